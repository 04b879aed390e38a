/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which repository a command works on. */
#include "cmd.h"
#include "progress.h"
#include "report.h"

#include <stdlib.h>
#include <vmscm/remote.h>

static const char *environment(void)
{
    const char *dir = getenv("VMSCM_DIR");

    return dir && *dir ? dir : NULL;
}

/* What a lazy repository lacks can be had from then on. */
static int open_at(struct ctx *ctx, const char *path, struct vmscm_error *err)
{
    int rc;

    if (vmscm_remote_is_bucket(path))
        return vmscm_remote_open(&ctx->repo, path, progress_events(ctx), err);
    rc = vmscm_repo_open(&ctx->repo, path, err);
    return !rc && vmscm_remote_promisor(ctx->repo)
        ? vmscm_remote_attach(ctx->repo, progress_events(ctx), err)
        : rc;
}

/* A repository that a checkout names. */
static int open_named(struct ctx *ctx, const char *path, struct vmscm_error *err)
{
    int rc = open_at(ctx, path, err);

    if (rc == VMSCM_ENOTFOUND)
        report_hint(err, "if it was moved, VMSCM_DIR says where it is now; the next 'vmscm checkin' "
                         "in the checkout remembers that");
    return rc;
}

int ctx_path(char **path, struct vmscm_error *err)
{
    const char *dir = environment();

    return vmscm_repo_discover(path, dir ? dir : ".", err);
}

int ctx_repo(struct ctx *ctx, struct vmscm_error *err)
{
    const char *dir = environment();
    char *path = NULL;
    int rc;

    if (ctx->repo)
        return 0;
    if (dir)
        return open_at(ctx, dir, err);
    rc = vmscm_repo_discover(&path, ".", err);
    if (!rc)
        rc = open_named(ctx, path, err);
    vmscm_free(path);
    return rc;
}

int ctx_repo_at(struct ctx *ctx, const char *path, struct vmscm_error *err)
{
    if (ctx->repo)
        return 0;
    return environment() ? ctx_repo(ctx, err) : open_named(ctx, path, err);
}
