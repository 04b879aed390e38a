/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm pull: fetch, and let machines follow. */
#include "cmd.h"
#include "transfer.h"

struct opts {
    int prune, force, dry_run;
    const char *limit;
};

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    const struct opts *o = values;
    struct vmscm_remote_options options = {.prune = o->prune,
        .force = o->force,
        .dry_run = o->dry_run};

    return transfer_run(ctx, "pulled", vmscm_remote_pull, &options, o->limit, argc, argv, err);
}

static const struct opt table[] = {
    {'p', "prune", OPT_FLAG, offsetof(struct opts, prune), NULL, NULL,
        "forget what is not there any more"},
    {'f', "force", OPT_FLAG, offsetof(struct opts, force), NULL, NULL,
        "also where revisions here are lost by it"},
    {'n', "dry-run", OPT_FLAG, offsetof(struct opts, dry_run), NULL, NULL,
        "only tell what would be done"},
    {0, "limit", OPT_STRING, offsetof(struct opts, limit), "RATE", NULL,
        "at most so many bytes a second, such as 500k or 2M"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {"[-pfn] [--limit=RATE] [REMOTE [NAME...]]", NULL};

const struct cmd cmd_pull = {
    .name = "pull",
    .summary = "fetch, and let machines follow",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .args = "remote revision*",
    .max_args = -1,
    .group = GROUP_REMOTE,
    .flags = CMD_JSON | CMD_PROGRESS,
    .run = run,
};
