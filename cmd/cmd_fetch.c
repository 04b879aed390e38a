/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm fetch: bring what another repository has here. */
#include "cmd.h"
#include "memory.h"
#include "progress.h"
#include "report.h"
#include "transfer.h"
#include <stdlib.h>
#include <string.h>
#include <vmscm/revision.h>

struct opts {
    int tags, prune, force, dry_run, full;
    const char *limit;
};

/* All data of revisions, to stay. */
static int complete(struct ctx *ctx, int argc, char **argv, struct vmscm_error *err)
{
    struct vmscm_remote_result result = {0};
    struct transfer transfer;
    char **ids = memory_zero(((size_t)argc + 1) * sizeof *ids);
    int rc = ctx_repo(ctx, err), count = 0;

    for (; !rc && count < argc; count++) {
        struct vmscm_revision *rev = NULL;
        if ((rc = vmscm_revision_resolve(&rev, ctx->repo, argv[count], err)))
            break;
        ids[count] = memory_printf("%s", vmscm_revision_id(rev));
        vmscm_revision_free(rev);
    }
    if (!rc) {
        transfer_begin(&transfer, ctx, "fetched", 0);
        rc = vmscm_remote_complete(ctx->repo, (const char *const *)ids, (size_t)count,
            progress_events(ctx), &result, err);
        transfer.told = result.stored > 0;
        transfer_end(&transfer, rc, &result, NULL);
    }
    while (count)
        free(ids[--count]);
    free(ids);
    return rc;
}

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    const struct opts *o = values;
    struct vmscm_remote_options options = {.tags = o->tags,
        .prune = o->prune,
        .force = o->force,
        .dry_run = o->dry_run};

    if (o->full && (o->tags || o->prune || o->force || o->dry_run || o->limit))
        return report_set(err, VMSCM_EUSAGE, "--full goes with no other option");
    if (o->full)
        return complete(ctx, argc, argv, err);
    return transfer_run(ctx, "fetched", vmscm_remote_fetch, &options, o->limit, argc, argv, err);
}

static const struct opt table[] = {
    {'t', "tags", OPT_FLAG, offsetof(struct opts, tags), NULL, NULL,
        "also make tags of machines that are here"},
    {'p', "prune", OPT_FLAG, offsetof(struct opts, prune), NULL, NULL,
        "forget what is not there any more"},
    {'f', "force", OPT_FLAG, offsetof(struct opts, force), NULL, NULL,
        "also move tags that are here"},
    {'n', "dry-run", OPT_FLAG, offsetof(struct opts, dry_run), NULL, NULL,
        "only tell what would be done"},
    {0, "full", OPT_FLAG, offsetof(struct opts, full), NULL, NULL,
        "in a lazy repository: bring all data of revisions, to stay"},
    {0, "limit", OPT_STRING, offsetof(struct opts, limit), "RATE", NULL,
        "at most so many bytes a second, such as 500k or 2M"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {"[-ptfn] [--limit=RATE] [REMOTE [NAME...]]", "--full [REV...]", NULL};

const struct cmd cmd_fetch = {
    .name = "fetch",
    .summary = "bring what another repository has here",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .args = "remote revision*",
    .max_args = -1,
    .group = GROUP_REMOTE,
    .flags = CMD_JSON | CMD_PROGRESS,
    .run = run,
};
