/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm init: make a repository. */
#include "cmd.h"
#include "json.h"
#include "memory.h"
#include "progress.h"
#include "text.h"
#include <stdlib.h>
#include <vmscm/remote.h>

struct opts {
    int bare;
};

static int run(struct ctx *ctx, const void *options, int argc, char **argv,
    struct vmscm_error *err)
{
    const struct opts *o = options;
    const char *dir = argc > 0 ? argv[0] : ".", *set = getenv("VMSCM_DIR");
    int bare = o->bare, rc;
    char *path = NULL;

    /* VMSCM_DIR names the repository itself, not the directory beside it. */
    if (argc == 0 && set && *set) {
        dir = set;
        bare = 1;
    }
    if (vmscm_remote_is_bucket(dir)) {
        bare = 1;
        rc = vmscm_remote_init(dir, progress_events(ctx), err);
        progress_clear();
        path = rc ? NULL : memory_dup(dir);
    } else {
        rc = vmscm_repo_init(&path, dir, bare, err);
    }
    if (rc)
        return rc;
    if (ctx->common.json) {
        json_t *root = json_object();
        json_put(root, "path", json_text(path));
        json_put(root, "bare", json_boolean(bare));
        json_print(root);
    } else if (!ctx->common.quiet) {
        fputs("made an empty repository in ", stdout);
        text_put(stdout, path);
        putchar('\n');
    }
    vmscm_free(path);
    return 0;
}

static const struct opt table[] = {
    {0, "bare", OPT_FLAG, offsetof(struct opts, bare), NULL, NULL,
        "make DIR itself the repository, not .vmscm in it"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {"[--bare] [DIR]", "s3://BUCKET/PREFIX", NULL};

const struct cmd cmd_init = {
    .name = "init",
    .summary = "make a repository",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .args = "dir",
    .max_args = 1,
    .group = GROUP_START,
    .flags = CMD_JSON,
    .run = run,
};
