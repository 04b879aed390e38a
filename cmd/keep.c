/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "keep.h"

#include "memory.h"
#include "progress.h"
#include "report.h"
#include "service.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Whether a checkout is in this very directory: others are looked for above it, too. */
static bool is_checkout(const char *dir)
{
    char *path = memory_printf("%s/.vmscm-checkout", dir);
    struct stat st;
    bool is = lstat(path, &st) == 0;

    free(path);
    return is;
}

static int make(struct ctx *ctx, struct vmscm_revision *rev, const char *dir,
    struct vmscm_error *err)
{
    char *socket = service_socket(vmscm_repo_path(ctx->repo), err);
    const struct vmscm_checkout_options options = {.thin = socket};
    int rc = socket ? vmscm_checkout(rev, dir, &options, progress_events(ctx), NULL, err)
                    : err->code;

    progress_clear();
    free(socket);
    return rc;
}

static int check(struct vmscm_workdir *work, struct ctx *ctx, struct vmscm_revision *rev,
    const char *dir, struct vmscm_error *err)
{
    const char *base = vmscm_workdir_base(work);
    char *repo = realpath(vmscm_workdir_repository(work), NULL);
    bool other = repo && strcmp(repo, vmscm_repo_path(ctx->repo)) != 0;

    free(repo);
    if (other)
        return report_set(err, VMSCM_EREFUSED, "%s: a checkout of another repository, %s", dir,
            vmscm_workdir_repository(work));
    if (!vmscm_workdir_thin_socket(work)) {
        report_set(err, VMSCM_EREFUSED, "%s: a checkout, but not a thin one", dir);
        return report_hint(err, "another directory is made one");
    }
    if (strcmp(base, vmscm_revision_id(rev)) != 0) {
        report_set(err, VMSCM_EREFUSED, "%s: a checkout of %.12s, not of %.12s", dir, base,
            vmscm_revision_id(rev));
        return report_hint(err, "with %.12s as the revision, it is gone on with", base);
    }
    return 0;
}

int keep_open(struct vmscm_workdir **out, struct ctx *ctx, struct vmscm_revision *rev,
    const char *dir, struct vmscm_error *err)
{
    struct vmscm_workdir *work = NULL;
    bool made = false;
    int rc = 0;

    if (!is_checkout(dir)) {
        if ((rc = make(ctx, rev, dir, err)))
            return rc;
        made = true;
    }
    if ((rc = vmscm_workdir_open(&work, dir, err)) || (!made && (rc = check(work, ctx, rev, dir, err))) ||
        (rc = vmscm_workdir_thin_hold(work, ctx->repo, err)) ||
        (rc = service_ensure(ctx, vmscm_workdir_thin_socket(work), err)))
        goto out;
    rc = vmscm_workdir_thin_check(work, err);
out:
    if (rc)
        vmscm_workdir_close(work);
    else
        *out = work;
    return rc;
}

struct search {
    struct vmscm_workdir *dir;
    const char *disk;
    char *path;
};

static int match(void *data, const struct vmscm_workdir_disk *disk)
{
    struct search *s = data;

    if (strcmp(disk->id, s->disk) == 0)
        s->path = memory_printf("%s/%s", vmscm_workdir_path(s->dir), disk->file);
    return s->path != NULL;
}

char *keep_file(struct vmscm_workdir *dir, const char *disk)
{
    struct search search = {dir, disk, NULL};

    vmscm_workdir_status(dir, match, &search, NULL);
    return search.path;
}
