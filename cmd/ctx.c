/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which repository a command works on. */
#include "cmd.h"

#include <stdlib.h>

static const char *environment(void)
{
    const char *dir = getenv("VMSCM_DIR");

    return dir && *dir ? dir : NULL;
}

int ctx_repo(struct ctx *ctx, struct vmscm_error *err)
{
    const char *dir = environment();
    char *path = NULL;
    int rc;

    if (ctx->repo)
        return 0;
    if (dir)
        return vmscm_repo_open(&ctx->repo, dir, err);
    rc = vmscm_repo_discover(&path, ".", err);
    if (!rc)
        rc = vmscm_repo_open(&ctx->repo, path, err);
    vmscm_free(path);
    return rc;
}

int ctx_repo_at(struct ctx *ctx, const char *path, struct vmscm_error *err)
{
    if (ctx->repo)
        return 0;
    return environment() ? ctx_repo(ctx, err) : vmscm_repo_open(&ctx->repo, path, err);
}
