/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/gitfiles.h"
#include "base/path.h"
#include "base/str.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REST (GIT_OID_HEXSZ - 2) /* digits of an id in the name of its file */

/* Every name in a directory below objects/ that does not begin with a dot. A directory that is not
 * there has none. */
static int list(const struct vmscm_gitdb *db, const char *below,
    int (*each)(void *data, int dirfd, const char *name, struct vmscm_error *err), void *data,
    struct vmscm_error *err)
{
    char *path = NULL;
    DIR *d = NULL;
    int rc = vmscm_str_printf(&path, err, "%s/objects/%s", db->path, below);

    if (rc)
        return rc;
    if (!(d = opendir(path))) {
        if (errno != ENOENT)
            rc = vmscm_error_errno(err, errno, "%s", path);
        goto out;
    }
    for (struct dirent *e; !rc && (errno = 0, e = readdir(d));) {
        if (e->d_name[0] != '.')
            rc = each(data, dirfd(d), e->d_name, err);
    }
    if (!rc && errno)
        rc = vmscm_error_errno(err, errno, "%s", path);
out:
    if (d)
        closedir(d);
    free(path);
    return rc;
}

struct loose {
    int (*each)(void *data, const git_oid *oid, struct vmscm_error *err);
    void *data;
    char digits[GIT_OID_HEXSZ + 1];
};

static int found_loose(void *data, int dirfd, const char *name, struct vmscm_error *err)
{
    struct loose *loose = data;
    git_oid oid;

    (void)dirfd;
    if (strlen(name) != REST || strspn(name, "0123456789abcdef") != REST)
        return 0;
    memcpy(loose->digits + 2, name, REST + 1);
    if (!vmscm_str_unhex(oid.id, GIT_OID_RAWSZ, loose->digits))
        return 0;
    return loose->each(loose->data, &oid, err);
}

int vmscm_gitfiles_loose(const struct vmscm_gitdb *db,
    int (*each)(void *data, const git_oid *oid, struct vmscm_error *err), void *data,
    struct vmscm_error *err)
{
    struct loose loose = {.each = each, .data = data};
    char fan[3];
    int rc = 0;

    for (unsigned i = 0; i < 256 && !rc; i++) {
        uint8_t byte = (uint8_t)i;
        vmscm_str_hex(fan, &byte, 1);
        memcpy(loose.digits, fan, 2);
        rc = list(db, fan, found_loose, &loose, err);
    }
    return rc;
}

/* Rename, or where that would take space that there is not, unlink. One that is gone is fine. */
static int put_away(const struct vmscm_gitdb *db, const char *path, struct vmscm_error *err)
{
    char *to = NULL;
    int rc = vmscm_str_printf(&to, err, "%s/objects/" VMSCM_GITFILES_WORK "/%s", db->path,
        vmscm_path_basename(path));

    if (!rc && rename(path, to) < 0 && unlink(path) < 0 && errno != ENOENT)
        rc = vmscm_error_errno(err, errno, "%s", path);
    free(to);
    return rc;
}

int vmscm_gitfiles_remove_loose(const struct vmscm_gitdb *db, const git_oid *oid,
    enum vmscm_gitfiles_removal how, uint64_t *bytes, struct vmscm_error *err)
{
    char id[VMSCM_GITDB_ID], *path = NULL;
    struct stat st;
    int rc;

    git_oid_tostr(id, sizeof id, oid);
    if ((rc = vmscm_str_printf(&path, err, "%s/objects/%.2s/%s", db->path, id, id + 2)))
        return rc;
    if (lstat(path, &st) < 0) {
        if (errno != ENOENT)
            rc = vmscm_error_errno(err, errno, "%s", path);
        goto out;
    }
    if (how == VMSCM_GITFILES_MOVE)
        rc = put_away(db, path, err);
    else if (how == VMSCM_GITFILES_UNLINK && unlink(path) < 0 && errno != ENOENT)
        rc = vmscm_error_errno(err, errno, "%s", path);
    if (!rc)
        *bytes += (uint64_t)st.st_size;
out:
    free(path);
    return rc;
}

/* What plain git may put beside a pack; the index goes by itself. */
static const char *const beside[] = {".pack", ".rev", ".bitmap", ".mtimes", ".promisor"};

struct packs {
    bool *midx;
    int (*each)(void *data, struct vmscm_gitfiles_pack *pack, struct vmscm_error *err);
    void *data;
};

static int found_pack(void *data, int dirfd, const char *name, struct vmscm_error *err)
{
    struct packs *packs = data;
    struct vmscm_gitfiles_pack pack = {NULL, 0, false};
    char *other = NULL;
    struct stat st;
    int rc;

    if (vmscm_str_starts(name, "multi-pack-index"))
        *packs->midx = true;
    if (!vmscm_str_ends(name, ".idx") || fstatat(dirfd, name, &st, 0) < 0)
        return 0;
    pack.bytes = (uint64_t)st.st_size;
    if ((rc = vmscm_str_printf(&pack.stem, err, "%.*s", (int)strlen(name) - 4, name)) ||
        (rc = vmscm_str_printf(&other, err, "%s.keep", pack.stem)))
        goto out;
    pack.kept = fstatat(dirfd, other, &st, 0) == 0;
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
        free(other);
        if ((rc = vmscm_str_printf(&other, err, "%s%s", pack.stem, beside[i])))
            goto out;
        if (fstatat(dirfd, other, &st, 0) == 0)
            pack.bytes += (uint64_t)st.st_size;
        else if (i == 0)
            goto out; /* an index alone is no pack */
    }
    rc = packs->each(packs->data, &pack, err);
    pack.stem = NULL;
out:
    free(other);
    free(pack.stem);
    return rc;
}

int vmscm_gitfiles_packs(const struct vmscm_gitdb *db, bool *midx,
    int (*each)(void *data, struct vmscm_gitfiles_pack *pack, struct vmscm_error *err), void *data,
    struct vmscm_error *err)
{
    struct packs packs = {midx, each, data};

    *midx = false;
    return list(db, "pack", found_pack, &packs, err);
}

static int unlink_pack_file(const struct vmscm_gitdb *db, const char *stem, const char *suffix,
    struct vmscm_error *err)
{
    char *path = NULL;
    int rc = vmscm_str_printf(&path, err, "%s/objects/pack/%s%s", db->path, stem, suffix);

    if (!rc && unlink(path) < 0 && errno != ENOENT)
        rc = vmscm_error_errno(err, errno, "%s", path);
    free(path);
    return rc;
}

static int remove_pack_file(const struct vmscm_gitdb *db, const char *stem, const char *suffix,
    struct vmscm_error *err)
{
    char *path = NULL;
    int rc = vmscm_str_printf(&path, err, "%s/objects/pack/%s%s", db->path, stem, suffix);

    if (!rc)
        rc = put_away(db, path, err);
    free(path);
    return rc;
}

/* Without its index a pack is nothing, to all who read. The index is in the working directory before
 * the pack goes, to say that it was to go; if it cannot be, on a full disk, it goes last: one without
 * a pack is known for garbage. */
int vmscm_gitfiles_remove_pack(const struct vmscm_gitdb *db, const char *stem,
    struct vmscm_error *err)
{
    char *from = NULL, *to = NULL;
    int rc;

    if ((rc = vmscm_str_printf(&from, err, "%s/objects/pack/%s.idx", db->path, stem)) ||
        (rc = vmscm_str_printf(
             &to, err, "%s/objects/" VMSCM_GITFILES_WORK "/%s.idx", db->path, stem)))
        goto out;
    bool moved = rename(from, to) == 0;
    for (size_t i = 0; i < sizeof beside / sizeof *beside && !rc; i++)
        rc = remove_pack_file(db, stem, beside[i], err);
    if (!rc && !moved)
        rc = remove_pack_file(db, stem, ".idx", err);
out:
    free(from);
    free(to);
    return rc;
}

/* An index in the working directory: its pack was about to go, or to come. */
static int settle(void *data, int dirfd, const char *name, struct vmscm_error *err)
{
    const struct vmscm_gitdb *db = data;
    char *path = NULL, *stem = NULL;
    int rc = 0;

    (void)dirfd;
    if (!vmscm_str_ends(name, ".idx"))
        return 0;
    if ((rc = vmscm_str_printf(&path, err, "%s/objects/pack/%s", db->path, name)) ||
        (rc = vmscm_str_printf(&stem, err, "%.*s", (int)strlen(name) - 4, name)))
        goto out;
    for (size_t i = 0; i < sizeof beside / sizeof *beside && !rc && !vmscm_file_exists(path); i++)
        rc = unlink_pack_file(db, stem, beside[i], err);
out:
    free(path);
    free(stem);
    return rc;
}

/* An index whose pack is gone: the order of the two is the file system's where power was lost. */
static int drop_lone_index(void *data, int dirfd, const char *name, struct vmscm_error *err)
{
    char *other = NULL;
    struct stat st;
    int rc;

    (void)data;
    if (!vmscm_str_ends(name, ".idx"))
        return 0;
    if ((rc = vmscm_str_printf(&other, err, "%.*s.pack", (int)strlen(name) - 4, name)))
        return rc;
    if (fstatat(dirfd, other, &st, 0) < 0 && errno == ENOENT && unlinkat(dirfd, name, 0) < 0 &&
        errno != ENOENT)
        rc = vmscm_error_errno(err, errno, "objects/pack/%s", name);
    free(other);
    return rc;
}

int vmscm_gitfiles_begin(const struct vmscm_gitdb *db, struct vmscm_error *err)
{
    char *work = NULL;
    int rc = vmscm_str_printf(&work, err, "%s/objects/" VMSCM_GITFILES_WORK, db->path);

    if (!rc && mkdir(work, 0777) < 0 && errno != EEXIST && errno != ENOSPC && errno != EDQUOT)
        rc = vmscm_error_errno(err, errno, "%s", work);
    free(work);
    return rc;
}

int vmscm_gitfiles_recover(const struct vmscm_gitdb *db, struct vmscm_error *err)
{
    char *work = NULL, *packs = NULL;
    int rc;

    if ((rc = vmscm_str_printf(&work, err, "%s/objects/" VMSCM_GITFILES_WORK, db->path)) ||
        (rc = vmscm_str_printf(&packs, err, "%s/objects/pack", db->path)) ||
        (rc = list(db, VMSCM_GITFILES_WORK, settle, (void *)db, err)) ||
        (rc = list(db, "pack", drop_lone_index, NULL, err)))
        goto out;
    if (vmscm_file_exists(work) &&
        ((rc = vmscm_file_sync_dir(packs, err)) || (rc = vmscm_file_remove_tree(work, err))))
        goto out;
out:
    free(work);
    free(packs);
    return rc;
}

struct dead {
    const char *prefix;
    bool dry;
    uint64_t *bytes;
};

static int found_dead(void *data, int dirfd, const char *name, struct vmscm_error *err)
{
    const struct dead *dead = data;
    struct stat st;

    if (!vmscm_str_starts(name, dead->prefix) ||
        fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
        return 0;
    if (!dead->dry && unlinkat(dirfd, name, 0) < 0)
        return errno == ENOENT ? 0 : vmscm_error_errno(err, errno, "objects/%s", name);
    *dead->bytes += (uint64_t)st.st_size;
    return 0;
}

int vmscm_gitfiles_remove_dead(const struct vmscm_gitdb *db, bool dry, uint64_t *bytes,
    struct vmscm_error *err)
{
    struct dead object = {"tmp_object_git2_", dry, bytes}, pack = {"pack_git2_", dry, bytes};
    int rc = list(db, ".", found_dead, &object, err);

    return rc ? rc : list(db, "pack", found_dead, &pack, err);
}

int vmscm_gitfiles_remove_hints(const struct vmscm_gitdb *db, struct vmscm_error *err)
{
    static const char *const names[] = {"objects/info/commit-graph", "objects/info/commit-graphs",
        "objects/info/packs", "logs/HEAD"};
    char *path = NULL;
    int rc = 0;

    for (size_t i = 0; i < sizeof names / sizeof names[0] && !rc; i++) {
        if (!(rc = vmscm_str_printf(&path, err, "%s/%s", db->path, names[i])))
            rc = vmscm_file_remove_tree(path, err);
        free(path);
        path = NULL;
    }
    return rc;
}
