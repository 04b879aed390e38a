/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/gitpack.h"
#include "base/path.h"
#include "base/str.h"
#include "history/gitfiles.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <git2/odb_backend.h>
#include <git2/pack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int vmscm_gitpack_open(git_odb **out, const struct vmscm_gitdb *db, const char *below,
    const char *stem, struct vmscm_error *err)
{
    git_odb_backend *backend = NULL;
    char *path = NULL;
    int rc, e;

    *out = NULL;
    if ((rc = vmscm_str_printf(&path, err, "%s/objects/%s/%s.idx", db->path, below, stem)))
        return rc;
    if ((e = git_odb_new(out)) < 0 || (e = git_odb_backend_one_pack(&backend, path)) < 0 ||
        (e = git_odb_add_backend(*out, backend, 1)) < 0) {
        rc = vmscm_git_error(
            err, e == GIT_ENOTFOUND ? GIT_EMISMATCH : e, VMSCM_EDAMAGED, "%s", path);
        git_odb_free(*out);
        *out = NULL;
    }
    free(path);
    return rc;
}

struct build {
    int (*progress)(void *data, uint64_t done, uint64_t total);
    void *data;
    size_t total;
    int rc; /* what progress ended with */
};

static int on_object(int stage, uint32_t current, uint32_t total, void *payload)
{
    struct build *b = payload;

    (void)total;
    if (stage == GIT_PACKBUILDER_DELTAFICATION && !b->rc && b->progress)
        b->rc = b->progress(b->data, current, b->total);
    return b->rc ? GIT_EUSER : 0;
}

static int build(const char *dir, struct vmscm_gitdb *db, const struct vmscm_gitpack_item *items,
    size_t count, unsigned jobs, struct build *b, struct vmscm_error *err)
{
    git_packbuilder *builder = NULL;
    int rc = 0, e;

    if ((e = git_packbuilder_new(&builder, db->repo)) < 0)
        return vmscm_git_error(err, e, VMSCM_EIO, "packing history");
    git_packbuilder_set_threads(builder, jobs);
    for (size_t i = 0; i < count && e >= 0; i++)
        e = git_packbuilder_insert(builder, &items[i].oid, items[i].name);
    if (e >= 0)
        e = git_packbuilder_set_callbacks(builder, on_object, b);
    if (e >= 0)
        e = git_packbuilder_write(builder, dir, 0444, NULL, NULL);
    if (b->rc)
        rc = b->rc;
    else if (e < 0)
        rc = vmscm_git_error(err, e == GIT_ENOTFOUND ? GIT_EMISMATCH : e, VMSCM_EDAMAGED,
            "packing history");
    git_packbuilder_free(builder);
    return rc;
}

/* libgit2 names a pack by what is in it, so that another pack of the same objects, which someone may
 * have open, would have that name. Git's way: by the last 20 bytes, which hash all before them. */
static int rename_pack(char **stem, const char *dir, struct vmscm_error *err)
{
    uint8_t hash[GIT_OID_RAWSZ];
    char hex[GIT_OID_HEXSZ + 1], *old = NULL;
    DIR *d = opendir(dir);
    struct stat st;
    int fd = -1, rc = 0;

    *stem = NULL;
    if (!d)
        return vmscm_error_errno(err, errno, "%s", dir);
    for (struct dirent *e; !rc && !old && (e = readdir(d));)
        if (vmscm_str_ends(e->d_name, ".pack"))
            rc = vmscm_str_dup(&old, e->d_name, err);
    if (!rc && !old)
        rc = vmscm_error_set(err, VMSCM_EIO, "%s: libgit2 wrote no pack", dir);
    if (rc)
        goto out;
    if ((fd = openat(dirfd(d), old, O_RDONLY | O_CLOEXEC)) < 0 || fstat(fd, &st) < 0) {
        rc = vmscm_error_errno(err, errno, "%s/%s", dir, old);
        goto out;
    }
    if (st.st_size < GIT_OID_RAWSZ) {
        rc = vmscm_error_set(err, VMSCM_EDAMAGED, "%s/%s: ends early", dir, old);
        goto out;
    }
    if ((rc = vmscm_file_pread(
             fd, hash, sizeof hash, (uint64_t)st.st_size - GIT_OID_RAWSZ, old, err)))
        goto out;
    vmscm_str_hex(hex, hash, sizeof hash);
    if ((rc = vmscm_str_printf(stem, err, "pack-%s", hex)))
        goto out;
    static const char *const suffixes[] = {".pack", ".idx"};
    for (size_t i = 0; i < 2 && !rc; i++) {
        char *from = NULL, *to = NULL;
        if (!(rc = vmscm_str_printf(&from, err, "%.*s%s", (int)strlen(old) - 5, old, suffixes[i])) &&
            !(rc = vmscm_str_printf(&to, err, "%s%s", *stem, suffixes[i])) &&
            renameat(dirfd(d), from, dirfd(d), to) < 0)
            rc = vmscm_error_errno(err, errno, "%s/%s", dir, from);
        free(from);
        free(to);
    }
out:
    if (fd >= 0)
        close(fd);
    closedir(d);
    free(old);
    return rc;
}

/* That all are in the new pack, by its index, which libgit2 made of the pack's own bytes. */
static int verify(const struct vmscm_gitdb *db, const char *stem,
    const struct vmscm_gitpack_item *items, size_t count, struct vmscm_error *err)
{
    char id[VMSCM_GITDB_ID];
    git_odb *odb;
    int rc = vmscm_gitpack_open(&odb, db, VMSCM_GITFILES_WORK, stem, err);

    for (size_t i = 0; i < count && !rc; i++)
        if (!git_odb_exists(odb, &items[i].oid))
            rc = vmscm_error_set(err, VMSCM_EDAMAGED, "packing history: %s is not in the new pack",
                git_oid_tostr(id, sizeof id, &items[i].oid));
    git_odb_free(odb);
    return rc;
}

static int sync_file(const char *path, uint64_t *bytes, struct vmscm_error *err)
{
    struct stat st;
    int fd = -1, rc = vmscm_file_open(&fd, path, O_RDONLY, 0, err);

    if (rc || (rc = vmscm_file_fsync(fd, path, err)))
        goto out;
    if (fstat(fd, &st) < 0)
        rc = vmscm_error_errno(err, errno, "%s", path);
    else
        *bytes += (uint64_t)st.st_size;
out:
    if (fd >= 0)
        close(fd);
    return rc;
}

/* The pack before its index: without one nobody sees it. */
static int move(const struct vmscm_gitdb *db, const char *stem, uint64_t *bytes,
    struct vmscm_error *err)
{
    static const char *const suffixes[] = {".pack", ".idx"};
    char *from[2] = {NULL, NULL}, *to[2] = {NULL, NULL}, *dir = NULL;
    int rc = 0;

    for (size_t i = 0; i < 2; i++)
        if ((rc = vmscm_str_printf(&from[i], err, "%s/objects/" VMSCM_GITFILES_WORK "/%s%s",
                 db->path, stem, suffixes[i])) ||
            (rc = vmscm_str_printf(
                 &to[i], err, "%s/objects/pack/%s%s", db->path, stem, suffixes[i])) ||
            (rc = sync_file(from[i], bytes, err)))
            goto out;
    for (size_t i = 0; i < 2; i++)
        if (rename(from[i], to[i]) < 0) {
            rc = vmscm_error_errno(err, errno, "%s", to[i]);
            goto out;
        }
    if (!(rc = vmscm_path_dirname(&dir, to[0], err)))
        rc = vmscm_file_sync_dir(dir, err);
out:
    for (size_t i = 0; i < 2; i++) {
        free(from[i]);
        free(to[i]);
    }
    free(dir);
    return rc;
}

int vmscm_gitpack_write(char **stem, uint64_t *bytes, struct vmscm_gitdb *db,
    const struct vmscm_gitpack_item *items, size_t count, unsigned jobs,
    int (*progress)(void *data, uint64_t done, uint64_t total), void *data,
    struct vmscm_error *err)
{
    struct build b = {progress, data, count, 0};
    char *dir = NULL;
    int rc;

    *stem = NULL;
    *bytes = 0;
    if ((rc = vmscm_str_printf(&dir, err, "%s/objects/" VMSCM_GITFILES_WORK, db->path)) ||
        (rc = vmscm_file_mkdirs(dir, err)) ||
        (rc = build(dir, db, items, count, jobs, &b, err)) ||
        (rc = rename_pack(stem, dir, err)) || (rc = verify(db, *stem, items, count, err)))
        goto out;
    rc = move(db, *stem, bytes, err);
out:
    if (rc) {
        free(*stem);
        *stem = NULL;
    }
    free(dir);
    return rc;
}
