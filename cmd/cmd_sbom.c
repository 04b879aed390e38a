/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm sbom: a revision's bill of materials. */
#include "cmd.h"
#include "pager.h"
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <vmscm/sbom.h>

struct opts {
    const char *format;
};

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    const struct opts *o = values;
    bool spdx = o->format && strcmp(o->format, "spdx") == 0;
    struct vmscm_revision *rev = NULL;
    char *text = NULL;
    int rc = ctx_repo(ctx, err);

    (void)argc;
    if (!rc && !(rc = vmscm_revision_resolve(&rev, ctx->repo, argv[0], err)) &&
        !(rc = vmscm_sbom_write(&text, rev, spdx ? VMSCM_SBOM_SPDX : VMSCM_SBOM_CYCLONEDX, err))) {
        pager_start(ctx);
        puts(text);
    }
    vmscm_free(text);
    vmscm_revision_free(rev);
    return rc;
}

static const struct opt table[] = {
    {0, "format", OPT_CHOICE, offsetof(struct opts, format), "FORMAT", "cyclonedx|spdx",
        "CycloneDX 1.5, which it is unless given, or SPDX 2.3"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {"[--format=FORMAT] REV", NULL};

const struct cmd cmd_sbom = {
    .name = "sbom",
    .summary = "print a revision's bill of materials",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .args = "revision",
    .min_args = 1,
    .max_args = 1,
    .group = GROUP_HISTORY,
    .flags = CMD_JSON | CMD_PAGER,
    .run = run,
};
