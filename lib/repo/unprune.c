/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Taking back what was pruned, as long as nothing of it is gone. */
#include "base/path.h"
#include "history/ident.h"
#include "history/pruned.h"
#include "machine/model.h"
#include "repo/snapshot.h"
#include "repo/whole.h"
#include "store/trash.h"
#include "sys/lockfile.h"

#include <stdbool.h>
#include <stdlib.h>
#include <vmscm/prune.h>

#define ATTEMPTS 3 /* when packs go while it is looked */

static int look_at_disk(struct vmscm_whole *whole, struct vmscm_store *store,
    struct vmscm_revision *rev, const struct vmscm_machine_disk *disk, struct vmscm_error *err)
{
    struct vmscm_map map = {0};
    int rc = vmscm_snapshot_map(&map, rev->repo, rev->info.id, disk, err);

    if (!rc)
        rc = vmscm_whole_check(whole, store, &map, err);
    vmscm_map_release(&map);
    return rc;
}

/* Marks the packs of all that the revision needs as relied on. VMSCM_EDAMAGED: something is missing. */
static int look_at_all(struct vmscm_store *store, struct vmscm_revision *rev,
    struct vmscm_error *err)
{
    struct vmscm_promises *promises = NULL;
    struct vmscm_whole whole = {0};
    const struct vmscm_machine *machine;
    bool changed;
    int rc;

    if ((rc = vmscm_store_reload(store, &changed, err)) ||
        (rc = vmscm_revision_machine(&machine, rev, err)) ||
        (rc = vmscm_promises_open(&promises, rev->repo, err)))
        return rc;
    whole.promises = promises;
    for (size_t i = 0; i < machine->disk_count && !rc; i++)
        rc = look_at_disk(&whole, store, rev, &machine->disks[i], err);
    vmscm_whole_release(&whole);
    vmscm_promises_free(promises);
    return rc;
}

/* With the commit lock held nothing goes; what went before is noticed. VMSCM_EBUSY. */
static int take_back(struct vmscm_store *store, struct vmscm_revision *rev,
    struct vmscm_error *err)
{
    const char *const ids[] = {rev->info.id};
    struct vmscm_signature who = {0};
    int lock = -1, rc = vmscm_handle_who(&who, NULL, rev->repo, err);

    if (!rc && !(rc = vmscm_handle_commit_lock(&lock, rev->repo, err)) &&
        !(rc = vmscm_store_confirm(store, err)))
        rc = vmscm_pruned_remove(rev->repo->git, ids, 1, &who, err);
    vmscm_lockfile_release(&lock);
    vmscm_ident_release(&who);
    return rc;
}

/* What gc moved to the trash is where it was. *lock: gc's, so that it stays there; *any: there was
 * something. */
static int empty_trash(bool *any, int *lock, struct vmscm_repo *repo, struct vmscm_error *err)
{
    struct vmscm_trash trash = {0};
    char *path = NULL;
    int rc = vmscm_path_join(&path, repo->path, "locks/gc", err);

    *any = false;
    if (!rc && (rc = vmscm_lockfile_try(lock, path, VMSCM_LOCK_EXCLUSIVE, err)) == VMSCM_EBUSY) {
        vmscm_error_set(err, rc, "%s: some of its data is in the trash, and a gc or a repair is running",
            repo->path);
        vmscm_error_hint(err, "try again when it has ended");
    }
    if (!rc)
        rc = vmscm_trash_list(&trash, repo->path, err);
    for (size_t i = 0; i < trash.count && !rc; i++) {
        rc = vmscm_trash_restore(repo->path, trash.entries[i].name, err);
        *any = true;
    }
    vmscm_trash_release(&trash);
    free(path);
    return rc;
}

int vmscm_prune_undo(struct vmscm_revision *rev, struct vmscm_error *err)
{
    struct vmscm_pruned_note note = {0};
    struct vmscm_error why = VMSCM_ERROR_INIT;
    struct vmscm_store *store;
    bool restored = false;
    int lock = -1, rc = vmscm_pruned_read(&note, rev->repo->git, rev->info.id, err);

    vmscm_pruned_note_release(&note);
    if (rc == VMSCM_ENOTFOUND)
        return vmscm_error_set(err, rc, "%.12s: was not pruned", rev->info.id);
    if (rc || (rc = vmscm_handle_store(&store, rev->repo, err)))
        return rc;
    for (int attempt = 1; attempt <= ATTEMPTS; attempt++) {
        rc = look_at_all(store, rev, &why);
        if (rc == VMSCM_EDAMAGED && lock < 0) {
            if ((rc = empty_trash(&restored, &lock, rev->repo, err)))
                break;
            rc = restored ? look_at_all(store, rev, &why) : VMSCM_EDAMAGED;
        }
        if (rc == VMSCM_EDAMAGED)
            rc = vmscm_error_set(err, VMSCM_ENOTFOUND,
                "%.12s: some of its disks' data is gone: it cannot be taken back", rev->info.id);
        else if (rc)
            vmscm_error_copy(err, &why);
        if (rc || (rc = take_back(store, rev, err)) != VMSCM_EBUSY)
            break;
    }
    vmscm_lockfile_release(&lock);
    return rc;
}
