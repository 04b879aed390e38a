/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/gitpackmend.h"
#include "base/str.h"
#include "base/vec.h"
#include "history/gitloose.h"
#include "history/gitpacks.h"
#include "sys/file.h"
#include "sys/tempdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <git2/indexer.h>
#include <git2/odb_backend.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INDEX_MAX ((size_t)1 << 30)
#define INDEX_COUNT (8 + 255 * 4) /* where it has the number of objects */
#define SHA1 20u
#define PIECE (1u << 20)
#define OBJECT_MAX ((size_t)300 << 20)

struct ids {
    VMSCM_VEC(git_oid) list;
    struct vmscm_error *err;
};

struct pack {
    const struct vmscm_gitmend *mend;
    const char *git_dir;
    git_odb *loose;
    char *base; /* "objects/pack/pack-HEX" */
    char *index, *file; /* whole paths of its two files */
    bool indexed; /* the index can be followed */
    git_odb *odb; /* of this pack alone; NULL: it cannot be opened */
    struct ids ids;
};

static int add_id(const git_oid *oid, void *data)
{
    struct ids *ids = data;
    git_oid *slot;

    if (vmscm_vec_add(&ids->list, &slot, ids->err))
        return VMSCM_ENOMEM;
    *slot = *oid;
    return 0;
}

static void close_pack(struct pack *p)
{
    git_odb_free(p->odb);
    p->odb = NULL;
    p->ids.list.len = 0;
}

/* Open a pack by the path of its index, and list what that names. */
static int open_index(struct pack *p, const char *index, struct vmscm_error *err)
{
    git_odb_backend *backend = NULL;

    p->ids.err = err;
    if (git_odb_new(&p->odb) < 0)
        return vmscm_error_nomem(err);
    if (git_odb_backend_one_pack(&backend, index) < 0 ||
        git_odb_add_backend(p->odb, backend, 1) < 0 ||
        git_odb_foreach(p->odb, add_id, &p->ids) < 0)
        close_pack(p);
    return 0;
}

/* The same, if its index can be followed. */
static int open_pack(struct pack *p, struct vmscm_error *err)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;
    char *objects = NULL;
    int rc = vmscm_str_printf(&objects, err, "%s/objects", p->git_dir);

    if (rc)
        return rc;
    rc = vmscm_gitpacks_check_index(objects, strrchr(p->index, '/') + 1, &why);
    free(objects);
    if (rc == VMSCM_EDAMAGED || !vmscm_file_exists(p->index))
        return 0;
    if (rc)
        return vmscm_error_copy(err, &why);
    p->indexed = true;
    return open_index(p, p->index, err);
}

static git_odb_object *read_object(const struct pack *p, const git_oid *oid)
{
    git_odb_object *object = NULL;
    git_object_t type;
    size_t len;

    if (git_odb_read_header(&len, &type, p->odb, oid) < 0 || len > OBJECT_MAX ||
        git_odb_read(&object, p->odb, oid) < 0)
        return NULL;
    return object;
}

/* Whether all objects that the index names are good. */
static int check_pack(const struct pack *p, bool *good, struct vmscm_error *err)
{
    int rc = 0;

    *good = p->odb != NULL;
    for (size_t i = 0; i < p->ids.list.len && *good && !rc; i++) {
        git_odb_object *object = read_object(p, &p->ids.list.items[i]);
        *good = object != NULL;
        git_odb_object_free(object);
        rc = p->mend->canceled(p->mend->data, err);
    }
    return rc;
}

static int set_aside(const struct pack *p, const char *suffix, bool stays, struct vmscm_error *err)
{
    char *file = NULL;
    int rc = vmscm_str_printf(&file, err, "%s%s", p->base, suffix);

    if (!rc)
        rc = p->mend->set_aside(
            p->mend->data, file, strrchr(file, '/') + 1, stays, "damaged", err);
    free(file);
    return rc == VMSCM_ENOTFOUND ? 0 : rc;
}

/* The index of a pack that is whole, made anew in a directory; *index: its path, or NULL if the pack is
 * not. */
static int make_index(const struct pack *p, const char *dir, char **index,
    struct vmscm_error *err)
{
    git_indexer_progress progress;
    git_indexer *indexer = NULL;
    uint8_t *piece = malloc(PIECE);
    uint64_t at = 0;
    size_t got = 1;
    int fd = -1, rc = 0, e = 0;

    *index = NULL;
    if (!piece)
        return vmscm_error_nomem(err);
    if ((rc = vmscm_file_open(&fd, p->file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, err)))
        goto out;
    if ((e = git_indexer_new(&indexer, dir, 0, NULL, NULL)) < 0)
        goto out;
    while (!rc && e >= 0 && got) {
        if ((rc = vmscm_file_pread_some(fd, piece, PIECE, at, &got, p->file, err)))
            break;
        at += got;
        if (got)
            e = git_indexer_append(indexer, piece, got, &progress);
    }
    if (!rc && e >= 0 && (e = git_indexer_commit(indexer, &progress)) >= 0)
        rc = vmscm_str_printf(index, err, "%s/pack-%s.idx", dir, git_indexer_name(indexer));
out:
    git_indexer_free(indexer);
    if (fd >= 0)
        close(fd);
    free(piece);
    return rc;
}

/* *done: the pack is whole, and has a right index now. */
static int mend_index(const struct pack *p, bool *done, struct vmscm_error *err)
{
    struct vmscm_buf bytes = VMSCM_BUF_INIT;
    char *dir = NULL, *index = NULL;
    int rc;

    *done = false;
    if ((rc = vmscm_tempdir_make(&dir, NULL, err)) || (rc = make_index(p, dir, &index, err)) ||
        !index || (rc = vmscm_file_read(&bytes, index, INDEX_MAX, err)) ||
        (vmscm_file_exists(p->index) && (rc = set_aside(p, ".idx", true, err))))
        goto out;
    rc = vmscm_file_replace(p->index, bytes.data, bytes.len, 0444, err);
    *done = !rc;
out:
    vmscm_tempdir_remove(dir);
    vmscm_buf_release(&bytes);
    free(index);
    return rc;
}

/* Into *index the path of a copy of the index, beside one of the pack that has the header and trailer the
 * index says: libgit2 reads no other, whatever is between. */
static int copy_pack(const struct pack *p, const char *dir, char **index, struct vmscm_error *err)
{
    static const uint8_t magic[8] = {'P', 'A', 'C', 'K', 0, 0, 0, 2};
    struct vmscm_buf bytes = VMSCM_BUF_INIT;
    uint8_t *piece = malloc(PIECE);
    char *to = NULL;
    uint64_t at = 0;
    size_t got = 1;
    int in = -1, out = -1, rc;

    if (!piece)
        return vmscm_error_nomem(err);
    if ((rc = vmscm_str_printf(index, err, "%s/pack-copy.idx", dir)) ||
        (rc = vmscm_str_printf(&to, err, "%s/pack-copy.pack", dir)) ||
        (rc = vmscm_file_read(&bytes, p->index, INDEX_MAX, err)) ||
        (rc = vmscm_file_replace(*index, bytes.data, bytes.len, 0600, err)) ||
        (rc = vmscm_file_open(&in, p->file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, err)) ||
        (rc = vmscm_file_open(&out, to, O_WRONLY | O_CREAT | O_EXCL, 0600, err)))
        goto out;
    while (!(rc = vmscm_file_pread_some(in, piece, PIECE, at, &got, p->file, err)) && got) {
        if ((rc = vmscm_file_pwrite(out, piece, got, at, to, err)))
            goto out;
        at += got;
    }
    /* The index was checked: it is long enough, and so is the pack. */
    if (!rc && !(rc = vmscm_file_pwrite(out, magic, sizeof magic, 0, to, err)) &&
        !(rc = vmscm_file_pwrite(out, bytes.data + INDEX_COUNT, 4, sizeof magic, to, err)))
        rc = vmscm_file_pwrite(
            out, bytes.data + bytes.len - 2 * SHA1, SHA1, at - SHA1, to, err);
out:
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    vmscm_buf_release(&bytes);
    free(piece);
    free(to);
    return rc;
}

/* Write what is good in a pack to files, one an object. */
static int save_objects(struct pack *p, struct vmscm_error *err)
{
    char *dir = NULL, *index = NULL;
    int rc;

    close_pack(p);
    if ((rc = vmscm_tempdir_make(&dir, NULL, err)) || (rc = copy_pack(p, dir, &index, err)) ||
        (rc = open_index(p, index, err)))
        goto out;
    for (size_t i = 0; i < p->ids.list.len && !rc; i++) {
        git_odb_object *object = read_object(p, &p->ids.list.items[i]);
        if (object)
            rc = vmscm_gitloose_write(p->loose, p->git_dir, object, err);
        git_odb_object_free(object);
    }
out:
    close_pack(p);
    vmscm_tempdir_remove(dir);
    free(index);
    return rc;
}

/* Without its index it is no pack any more: so that goes first. */
static int unpack(struct pack *p, struct vmscm_error *err)
{
    int rc = p->indexed ? save_objects(p, err) : 0;

    if (!rc && vmscm_file_exists(p->index))
        rc = set_aside(p, ".idx", false, err);
    return rc ? rc : set_aside(p, ".pack", false, err);
}

static int mend_pack(struct pack *p, const char *name, struct vmscm_error *err)
{
    bool good, done = false;
    int rc, fd = -1;

    if ((rc = vmscm_str_printf(&p->base, err, "objects/pack/%.*s", (int)strlen(name) - 5, name)) ||
        (rc = vmscm_str_printf(&p->index, err, "%s/%s.idx", p->git_dir, p->base)) ||
        (rc = vmscm_str_printf(&p->file, err, "%s/%s.pack", p->git_dir, p->base)))
        return rc;
    /* One that cannot be opened says nothing about what is in it. */
    if (vmscm_file_open(&fd, p->file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, NULL))
        return 0;
    close(fd);
    if ((rc = open_pack(p, err)) || (rc = check_pack(p, &good, err)) || good ||
        (rc = mend_index(p, &done, err)) || done)
        return rc;
    return unpack(p, err);
}

static void release(struct pack *p)
{
    close_pack(p);
    vmscm_vec_release(&p->ids.list);
    free(p->base);
    free(p->index);
    free(p->file);
}

/* The names of packs in a directory. */
static int list_packs(char ***names, size_t *count, const char *dir, struct vmscm_error *err)
{
    VMSCM_VEC(char *) list = {0};
    DIR *d = opendir(dir);
    char **slot;
    int rc = 0;

    if (!d)
        return errno == ENOENT ? 0 : vmscm_error_errno(err, errno, "%s", dir);
    for (struct dirent *e; !rc && (errno = 0, e = readdir(d));)
        if (vmscm_str_starts(e->d_name, "pack-") && vmscm_str_ends(e->d_name, ".pack") &&
            !(rc = vmscm_vec_add(&list, &slot, err)))
            rc = vmscm_str_dup(slot, e->d_name, err);
    if (!rc && errno)
        rc = vmscm_error_errno(err, errno, "%s", dir);
    closedir(d);
    *names = list.items;
    *count = list.len;
    return rc;
}

int vmscm_gitpackmend_run(const struct vmscm_gitmend *mend, const char *git_dir,
    struct vmscm_error *err)
{
    git_odb *loose = NULL;
    char *dir = NULL, **names = NULL;
    size_t count = 0;
    int rc = vmscm_git_start(err);

    if (rc)
        return rc;
    if ((rc = vmscm_str_printf(&dir, err, "%s/objects/pack", git_dir)) ||
        (rc = vmscm_gitloose_open(&loose, git_dir, err)))
        goto out;
    rc = list_packs(&names, &count, dir, err);
    for (size_t i = 0; i < count && !rc; i++) {
        struct pack p = {.mend = mend, .git_dir = git_dir, .loose = loose};
        rc = mend_pack(&p, names[i], err);
        release(&p);
    }
out:
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    git_odb_free(loose);
    free(dir);
    vmscm_git_stop();
    return rc;
}
