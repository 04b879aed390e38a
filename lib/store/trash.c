/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/trash.h"
#include "base/path.h"
#include "base/str.h"
#include "store/packlist.h"
#include "sys/file.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define TRASH "trash"
#define PACKS "packs"

static int path_of(char **out, const char *repo_dir, const char *dir, const uint8_t *name,
    struct vmscm_error *err)
{
    char file[VMSCM_PACKFILE_NAME];

    vmscm_packfile_format_name(file, name);
    return vmscm_str_printf(out, err, "%s/%s/%s", repo_dir, dir, file);
}

static int sync_dir(const char *repo_dir, const char *dir, struct vmscm_error *err)
{
    char *path = NULL;
    int rc = vmscm_path_join(&path, repo_dir, dir, err);

    if (!rc)
        rc = vmscm_file_sync_dir(path, err);
    free(path);
    return rc;
}

static int move(const char *repo_dir, const char *from_dir, const char *to_dir,
    const uint8_t *name, struct vmscm_error *err)
{
    char *from = NULL, *to = NULL;
    struct stat x, y;
    int rc;

    if (!(rc = path_of(&from, repo_dir, from_dir, name, err)) &&
        !(rc = path_of(&to, repo_dir, to_dir, name, err)))
        rc = vmscm_file_rename_new(from, to, err);
    /* Where a file has two names while it is renamed, both may be left of one that was killed. */
    if (rc == VMSCM_EEXIST && lstat(from, &x) == 0 && lstat(to, &y) == 0 &&
        x.st_dev == y.st_dev && x.st_ino == y.st_ino) {
        vmscm_error_clear(err);
        rc = unlink(from) == 0 ? 0 : vmscm_error_errno(err, errno, "%s", from);
    }
    free(from);
    free(to);
    return rc;
}

int vmscm_trash_list(struct vmscm_trash *out, const char *repo_dir, struct vmscm_error *err)
{
    struct vmscm_packlist list = {0};
    char *dir = NULL, *path = NULL;
    int rc;

    *out = (struct vmscm_trash){0};
    if ((rc = vmscm_path_join(&dir, repo_dir, TRASH, err)) ||
        (rc = vmscm_packlist_read(&list, dir, err)))
        goto out;
    if (!(out->entries = calloc(list.packs.len + 1, sizeof *out->entries))) {
        rc = vmscm_error_nomem(err);
        goto out;
    }
    for (size_t i = 0; i < list.packs.len; i++) {
        struct vmscm_trash_entry *entry = &out->entries[out->count];
        struct stat st;
        memcpy(entry->name, list.packs.items[i].bytes, sizeof entry->name);
        if ((rc = path_of(&path, repo_dir, TRASH, entry->name, err)))
            goto out;
        if (lstat(path, &st) == 0) {
            entry->bytes = (uint64_t)st.st_size;
            entry->since = st.st_ctime;
            out->count++;
        } else if (errno != ENOENT) {
            rc = vmscm_error_errno(err, errno, "%s", path);
            goto out;
        }
        free(path);
        path = NULL;
    }
out:
    vmscm_packlist_release(&list);
    free(dir);
    free(path);
    if (rc)
        vmscm_trash_release(out);
    return rc;
}

void vmscm_trash_release(struct vmscm_trash *trash)
{
    free(trash->entries);
    *trash = (struct vmscm_trash){0};
}

int vmscm_trash_move(const char *repo_dir, struct vmscm_packfile *const *packs, size_t count,
    struct vmscm_error *err)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;
    int rc = 0;

    for (size_t i = 0; i < count && !rc; i++)
        rc = move(repo_dir, PACKS, TRASH, packs[i]->name, &why);
    if (rc)
        vmscm_error_copy(err, &why);
    /* First where they are now: in a crash they may be in both places, and then not in neither. */
    if (sync_dir(repo_dir, TRASH, rc ? NULL : err) || sync_dir(repo_dir, PACKS, rc ? NULL : err))
        return rc ? rc : VMSCM_EIO;
    return rc;
}

int vmscm_trash_restore(const char *repo_dir, const uint8_t name[VMSCM_MIDX_NAME_SIZE],
    struct vmscm_error *err)
{
    int rc = move(repo_dir, TRASH, PACKS, name, err);

    return rc ? rc : sync_dir(repo_dir, PACKS, err);
}

static bool is_elsewhere(struct vmscm_store *store, const struct vmscm_pack_entry *own)
{
    struct vmscm_pack_entry entry;

    for (size_t nth = 0; vmscm_store_locate(store, &entry, &own->id, nth); nth++)
        if (own->has_base || !entry.has_base) /* what is a base must stay one */
            return true;
    return false;
}

int vmscm_trash_is_covered(bool *yes, const char *repo_dir, struct vmscm_store *store,
    const uint8_t name[VMSCM_MIDX_NAME_SIZE], struct vmscm_error *err)
{
    struct vmscm_packfile *pack = NULL;
    struct vmscm_pack_entry entry;
    char *dir = NULL;
    int rc;

    *yes = false;
    if ((rc = vmscm_path_join(&dir, repo_dir, TRASH, err)) ||
        (rc = vmscm_packfile_new(&pack, name, err)))
        goto out;
    if ((rc = vmscm_packfile_map(pack, dir, err))) {
        /* What is in it is not known. */
        if (rc == VMSCM_EDAMAGED || rc == VMSCM_EUNSUPPORTED) {
            vmscm_error_clear(err);
            rc = 0;
        }
        goto out;
    }
    *yes = true;
    for (uint32_t i = 0; i < pack->trailer.entry_count && *yes; i++) {
        vmscm_packfile_entry(pack, &entry, i);
        *yes = is_elsewhere(store, &entry);
    }
out:
    vmscm_packfile_free(pack);
    free(dir);
    return rc;
}

int vmscm_trash_remove(const char *repo_dir, const uint8_t name[VMSCM_MIDX_NAME_SIZE],
    struct vmscm_error *err)
{
    char *path = NULL;
    int rc = path_of(&path, repo_dir, TRASH, name, err);

    if (!rc && unlink(path) < 0 && errno != ENOENT)
        rc = vmscm_error_errno(err, errno, "%s", path);
    free(path);
    return rc;
}
