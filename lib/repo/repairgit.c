/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/repairgit.h"
#include "base/str.h"
#include "history/gitpackmend.h"
#include "sys/lockfile.h"

#include <stdlib.h>

struct git {
    struct vmscm_repairing *r;
    struct vmscm_source *const *sources;
};

/* Who records a revision holds the lock from before it looks what objects there are. */
static int set_aside(void *data, const char *file, const char *name, bool stays,
    const char *why, struct vmscm_error *err)
{
    const struct git *g = data;
    char *path = NULL, *lock_path = NULL;
    int lock = -1, rc;

    /* Not by the handle, which would have a look at history: that may not be open. */
    if (!(rc = vmscm_str_printf(&path, err, "git/%s", file)) &&
        !(rc = vmscm_str_printf(&lock_path, err, "%s/locks/commit", g->r->path)) &&
        !(rc = vmscm_lockfile_acquire(&lock, lock_path, VMSCM_LOCK_EXCLUSIVE, err)))
        rc = vmscm_repairing_set_aside(g->r, path, name, stays, why, err);
    vmscm_lockfile_release(&lock);
    free(lock_path);
    free(path);
    return rc;
}

static void restored(void *data, const char *type, const char *id, size_t source)
{
    const struct git *g = data;

    g->r->result->restored++;
    vmscm_repairing_tell(
        g->r, vmscm_source_path(g->sources[source]), "%s %s restored from it", type, id);
}

static int is_canceled(void *data, struct vmscm_error *err)
{
    const struct git *g = data;

    return vmscm_repairing_canceled(g->r, err);
}

int vmscm_repairgit_packs(struct vmscm_repairing *r, struct vmscm_error *err)
{
    struct git git = {r, NULL};
    struct vmscm_gitmend mend = {.set_aside = set_aside, .canceled = is_canceled, .data = &git};
    char *path = NULL;
    int rc = vmscm_str_printf(&path, err, "%s/git", r->path);

    if (!rc)
        rc = vmscm_gitpackmend_run(&mend, path, err);
    free(path);
    return rc;
}

int vmscm_repairgit_run(struct vmscm_repairing *r, struct vmscm_source *const *sources,
    size_t count, struct vmscm_error *err)
{
    struct git git = {r, sources};
    struct vmscm_gitdb **dbs = calloc(count + 1, sizeof *dbs);
    struct vmscm_gitmend mend = {.sources = dbs,
        .source_count = count,
        .set_aside = set_aside,
        .restored = restored,
        .canceled = is_canceled,
        .data = &git};
    int rc;

    if (!dbs)
        return vmscm_error_nomem(err);
    for (size_t i = 0; i < count; i++)
        dbs[i] = vmscm_source_repo(sources[i]) ? vmscm_source_repo(sources[i])->git : NULL;
    rc = vmscm_gitmend_run(&mend, r->repo->git, err);
    free(dbs);
    return rc;
}
