/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm thicken: a thin checkout becomes one that needs nothing but itself. */
#include "cmd.h"
#include "json.h"
#include "progress.h"
#include "report.h"
#include "text.h"
#include <vmscm/thin.h>

struct opts {
    unsigned jobs;
};

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    const struct opts *o = values;
    struct vmscm_thicken_result result;
    struct vmscm_workdir *dir = NULL;
    char size[TEXT_MAX], written[TEXT_MAX], time[TEXT_MAX];
    int rc = vmscm_workdir_open(&dir, argc > 0 ? argv[0] : ".", err);

    if (!rc)
        rc = ctx_repo_at(ctx, vmscm_workdir_repository(dir), err);
    if (!rc)
        rc = vmscm_workdir_thicken(dir, ctx->repo, o->jobs, progress_events(ctx), &result, err);
    if (rc)
        goto out;
    progress_clear();
    if (ctx->common.json) {
        json_t *root = json_object();
        json_put(root, "dir", json_text(vmscm_workdir_path(dir)));
        json_put(root, "size", json_number(result.size));
        json_put(root, "written", json_number(result.written));
        json_put(root, "seconds", json_real(result.seconds));
        json_print(root);
    } else if (!ctx->common.quiet) {
        text_put(stdout, vmscm_workdir_path(dir));
        printf("  %s, %s written, %s\n", text_size(size, result.size),
            text_size(written, result.written), text_seconds(time, result.seconds));
    }
out:
    vmscm_workdir_close(dir);
    return rc;
}

static const struct opt table[] = {
    {'j', "jobs", OPT_UINT, offsetof(struct opts, jobs), "N", NULL, "work with N threads"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {"[-j N] [DIR]", NULL};

const struct cmd cmd_thicken = {
    .name = "thicken",
    .summary = "make a thin checkout a full one",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .args = "dir",
    .max_args = 1,
    .group = GROUP_WORK,
    .flags = CMD_JSON | CMD_PROGRESS,
    .run = run,
};
