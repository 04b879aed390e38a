/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/snapshot.h"
#include "base/str.h"
#include "history/ident.h"
#include "machine/json.h"
#include "machine/model.h"

#include <stdlib.h>

int vmscm_snapshot_open(struct vmscm_revision **out, struct vmscm_repo *repo, const char *id,
    const char *machine_name, struct vmscm_error *err)
{
    struct vmscm_revision *rev = calloc(1, sizeof *rev);
    int rc;

    if (!rev)
        return vmscm_error_nomem(err);
    rev->repo = repo;
    if (machine_name) {
        rev->name_known = 1;
        if ((rc = vmscm_str_dup(&rev->machine_name, machine_name, err)))
            goto out;
    }
    rc = vmscm_gitdb_read_commit(&rev->info, repo->git, id, err);
out:
    if (rc)
        vmscm_revision_free(rev);
    else
        *out = rev;
    return rc;
}

struct vmscm_lease *vmscm_snapshot_hold(const struct vmscm_revision *rev)
{
    struct vmscm_lease *lease = NULL;

    if (!vmscm_lease_open(&lease, rev->repo->path, NULL) &&
        vmscm_lease_add_commit(lease, rev->info.id, NULL)) {
        vmscm_lease_close(lease);
        lease = NULL;
    }
    return lease;
}

int vmscm_snapshot_machine(struct vmscm_machine **out, struct vmscm_repo *repo, const char *id,
    struct vmscm_error *err)
{
    struct vmscm_buf text = VMSCM_BUF_INIT;
    int rc = vmscm_gitdb_read_file(
        &text, repo->git, id, VMSCM_HANDLE_MACHINE_FILE, VMSCM_JSON_MAX, err);

    if (rc == VMSCM_ENOTFOUND)
        rc = vmscm_error_set(
            err, VMSCM_EDAMAGED, "has no " VMSCM_HANDLE_MACHINE_FILE ": not made by vmscm");
    if (!rc)
        rc = vmscm_json_decode(out, text.data, text.len, err);
    vmscm_buf_release(&text);
    if (rc)
        vmscm_error_prefix(err, "revision %.12s", id);
    return rc;
}

int vmscm_snapshot_kept(struct vmscm_repo *repo, const char *id, struct vmscm_error *err)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;
    struct vmscm_pruned_note note = {0};
    char *date = NULL;
    int rc = vmscm_pruned_read(&note, repo->git, id, &why);

    if (rc == VMSCM_ENOTFOUND)
        return 0;
    if (rc)
        return vmscm_error_copy(err, &why);
    rc = vmscm_ident_format_date(&date, &note.by, err);
    if (!rc) {
        rc = vmscm_error_set(err, VMSCM_ENOTFOUND,
            "%.12s: pruned on %.10s: its disks' data is no longer kept", id,
            note.by.time ? date : "a day unknown");
        vmscm_error_hint(err, "vmscm prune --undo %.12s, if none of it is gone yet", id);
    }
    free(date);
    vmscm_pruned_note_release(&note);
    return rc;
}

int vmscm_snapshot_readable(struct vmscm_repo *repo, const char *id, struct vmscm_error *err)
{
    int rc = vmscm_snapshot_kept(repo, id, err);

    if (rc != VMSCM_EDAMAGED)
        return rc;
    vmscm_error_clear(err);
    return 0;
}

int vmscm_snapshot_map(struct vmscm_map *map, struct vmscm_repo *repo, const char *id,
    const struct vmscm_machine_disk *disk, struct vmscm_error *err)
{
    struct vmscm_buf bytes = VMSCM_BUF_INIT;
    char *path = NULL;
    int rc = vmscm_str_printf(&path, err, VMSCM_HANDLE_DISK_DIR "/%s", disk->id);

    if (rc)
        return rc;
    rc = vmscm_gitdb_read_file(&bytes, repo->git, id, path, VMSCM_MAP_BYTES_MAX, err);
    if (rc == VMSCM_ENOTFOUND)
        rc = vmscm_error_set(err, VMSCM_EDAMAGED, "its map is missing");
    if (!rc)
        rc = vmscm_map_decode(map, bytes.data, bytes.len, err);
    if (!rc && map->size != disk->size) {
        vmscm_map_release(map);
        rc = vmscm_error_set(err, VMSCM_EDAMAGED, "its map is of a disk of another size");
    }
    if (rc)
        vmscm_error_prefix(err, "revision %.12s, disk %s", id, disk->id);
    vmscm_buf_release(&bytes);
    free(path);
    return rc;
}
