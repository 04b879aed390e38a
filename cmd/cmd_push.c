/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm push: bring machines to another repository. */
#include "cmd.h"
#include "report.h"
#include "transfer.h"

struct opts {
    int all, tags, prune, remove, force, dry_run, atomic;
    const char *limit;
};

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    const struct opts *o = values;
    struct vmscm_remote_options options = {.all = o->all,
        .tags = o->tags,
        .prune = o->prune,
        .remove = o->remove,
        .force = o->force,
        .dry_run = o->dry_run,
        .atomic = o->atomic};

    if (o->all && argc > 1)
        return report_set(err, VMSCM_EUSAGE, "--all: not together with names");
    if (o->remove && (o->all || o->prune || argc < 2))
        return report_set(err, VMSCM_EUSAGE, "--delete: needs names, and goes with neither --all "
                                             "nor --prune");
    if (o->prune && !o->all && argc < 2)
        return report_set(err, VMSCM_EUSAGE, "--prune: needs --all, or names or patterns of machines");
    return transfer_run(ctx, "pushed", vmscm_remote_push, &options, o->limit, argc, argv, err);
}

static const struct opt table[] = {
    {'a', "all", OPT_FLAG, offsetof(struct opts, all), NULL, NULL, "all machines"},
    {'t', "tags", OPT_FLAG, offsetof(struct opts, tags), NULL, NULL, "also the machines' tags"},
    {'p', "prune", OPT_FLAG, offsetof(struct opts, prune), NULL, NULL,
        "remove there what is not here, of what is named or of --all"},
    {'d', "delete", OPT_FLAG, offsetof(struct opts, remove), NULL, NULL,
        "remove there what is named, a machine with its tags"},
    {'f', "force", OPT_FLAG, offsetof(struct opts, force), NULL, NULL,
        "also where revisions there are lost by it"},
    {'n', "dry-run", OPT_FLAG, offsetof(struct opts, dry_run), NULL, NULL,
        "only tell what would be done"},
    {0, "atomic", OPT_FLAG, offsetof(struct opts, atomic), NULL, NULL, "all or nothing"},
    {0, "limit", OPT_STRING, offsetof(struct opts, limit), "RATE", NULL,
        "at most so many bytes a second, such as 500k or 2M"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {
    "[-aptfn] [--atomic] [--limit=RATE] [REMOTE [NAME...]]", "-d [-n] REMOTE NAME...", NULL};

const struct cmd cmd_push = {
    .name = "push",
    .summary = "bring machines to another repository",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .args = "remote revision*",
    .max_args = -1,
    .group = GROUP_REMOTE,
    .flags = CMD_JSON | CMD_PROGRESS,
    .run = run,
};
