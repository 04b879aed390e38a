/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm rename: give a machine another name. */
#include "cmd.h"
#include "text.h"
#include <vmscm/revision.h>

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    int rc = ctx_repo(ctx, err);

    (void)values;
    (void)argc;
    if (!rc)
        rc = vmscm_revision_rename(ctx->repo, argv[0], argv[1], err);
    if (!rc && !ctx->common.quiet) {
        text_put(stdout, argv[0]);
        fputs(" is now ", stdout);
        text_put(stdout, argv[1]);
        putchar('\n');
    }
    return rc;
}

static const char *const usage[] = {"OLD NEW", NULL};

const struct cmd cmd_rename = {
    .name = "rename",
    .summary = "give a machine another name",
    .usage = usage,
    .args = "machine machine",
    .min_args = 2,
    .max_args = 2,
    .group = GROUP_WORK,
    .run = run,
};
