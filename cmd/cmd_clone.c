/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm clone: a copy of a machine, which costs nothing. */
#include "cmd.h"
#include "json.h"
#include "report.h"
#include "text.h"
#include <stdbool.h>
#include <string.h>
#include <vmscm/revision.h>

/* What can only mean a repository elsewhere. MACHINE:TAG is never taken for HOST:PATH. */
static bool is_repository(const char *s)
{
    return strstr(s, "://") || *s == '/' || *s == '.' || *s == '~';
}

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    struct vmscm_revision *rev = NULL;
    const char *name = argv[1];
    char id[TEXT_MAX];
    int rc;

    (void)values;
    (void)argc;
    if (is_repository(argv[0])) {
        report_set(err, VMSCM_EUNSUPPORTED, "%.500s: cloning a repository is not in this version",
            argv[0]);
        return report_hint(err, "vmscm clone REV NEW-MACHINE copies a machine");
    }
    rc = ctx_repo(ctx, err);
    if (!rc)
        rc = vmscm_revision_resolve(&rev, ctx->repo, argv[0], err);
    if (!rc)
        rc = vmscm_revision_clone(rev, name, err);
    if (rc)
        goto out;
    if (ctx->common.json) {
        json_t *root = json_object();
        json_put(root, "machine", json_text(name));
        json_put(root, "id", json_text(vmscm_revision_id(rev)));
        json_print(root);
    } else if (!ctx->common.quiet) {
        text_put(stdout, name);
        printf(" %s\n", text_id(id, vmscm_revision_id(rev)));
    }
out:
    vmscm_revision_free(rev);
    return rc;
}

static const char *const usage[] = {"REV NEW-MACHINE", NULL};

const struct cmd cmd_clone = {
    .name = "clone",
    .summary = "copy a machine, at no cost",
    .usage = usage,
    .args = "revision machine",
    .min_args = 2,
    .max_args = 2,
    .group = GROUP_WORK,
    .flags = CMD_JSON,
    .run = run,
};
