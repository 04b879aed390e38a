/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/members.h"
#include "base/path.h"
#include "base/str.h"
#include "base/vec.h"
#include "bundle/tar.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOLDERS_MAX 3

struct vmscm_members {
    VMSCM_VEC(struct vmscm_member *) list; /* of a directory: those that were asked for */
    char *dir; /* NULL: all are in the list, sorted by name */
    int fd;    /* of that directory */
    /* of a tar, while it is read */
    const char *archive;
    struct stat st;
};

bool vmscm_members_is_noise(const char *name)
{
    const char *base = vmscm_path_basename(name);

    return vmscm_str_starts(base, "._") || strcmp(base, ".DS_Store") == 0 ||
        vmscm_str_starts(name, "__MACOSX/");
}

int vmscm_members_new(struct vmscm_members **out, struct vmscm_error *err)
{
    struct vmscm_members *members = calloc(1, sizeof *members);

    *out = NULL;
    if (!members)
        return vmscm_error_nomem(err);
    members->fd = -1;
    *out = members;
    return 0;
}

void vmscm_members_close(struct vmscm_members *members)
{
    if (!members)
        return;
    for (size_t i = 0; i < members->list.len; i++) {
        struct vmscm_member *m = members->list.items[i];
        if (!m)
            continue;
        free(m->name);
        free(m->path);
        free(m);
    }
    vmscm_vec_release(&members->list);
    if (members->fd >= 0)
        close(members->fd);
    free(members->dir);
    free(members);
}

static int append(struct vmscm_member **out, struct vmscm_members *members, const char *name,
    const char *path, struct vmscm_error *err)
{
    struct vmscm_member **slot, *m;
    int rc;

    if (members->list.len == VMSCM_MEMBERS_MAX)
        return vmscm_error_set(
            err, VMSCM_EREFUSED, "%s: more than %d members", path, VMSCM_MEMBERS_MAX);
    if ((rc = vmscm_vec_add(&members->list, &slot, err)))
        return rc;
    if (!(m = *slot = calloc(1, sizeof *m)))
        return vmscm_error_nomem(err);
    if ((rc = vmscm_str_dup(&m->name, name, err)) || (rc = vmscm_str_dup(&m->path, path, err)))
        return rc;
    *out = m;
    return 0;
}

static int each_in_tar(void *data, const struct vmscm_tar_member *in, struct vmscm_error *err)
{
    struct vmscm_members *members = data;
    struct vmscm_member *m;
    int rc;

    if (vmscm_members_is_noise(in->name))
        return 0;
    if ((rc = append(&m, members, in->name, members->archive, err)))
        return rc;
    m->offset = in->offset;
    m->length = in->length;
    m->st = members->st;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct vmscm_member *const *)a)->name, (*(struct vmscm_member *const *)b)->name);
}

int vmscm_members_settle(struct vmscm_members *members, const char *where, struct vmscm_error *err)
{
    if (members->list.len)
        qsort(members->list.items, members->list.len, sizeof *members->list.items, by_name);
    for (size_t i = 1; i < members->list.len; i++)
        if (by_name(&members->list.items[i - 1], &members->list.items[i]) == 0)
            return vmscm_error_set(err, VMSCM_EREFUSED, "%s: %s: there are two members of this name",
                where, members->list.items[i]->name);
    return 0;
}

int vmscm_members_open_tar(struct vmscm_members **out, const char *path, struct vmscm_error *err)
{
    struct vmscm_members *members = NULL;
    int fd = -1, rc = vmscm_members_new(&members, err);

    *out = NULL;
    if (rc || (rc = vmscm_file_open(&fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err)))
        goto out;
    if (fstat(fd, &members->st) < 0) {
        rc = vmscm_error_errno(err, errno, "%s", path);
        goto out;
    }
    members->archive = path;
    if ((rc = vmscm_tar_walk(fd, path, each_in_tar, members, err)) ||
        (rc = vmscm_members_settle(members, path, err)))
        goto out;
    members->archive = NULL;
    *out = members;
    members = NULL;
out:
    if (fd >= 0)
        close(fd);
    vmscm_members_close(members);
    return rc;
}

int vmscm_members_open_dir(struct vmscm_members **out, const char *path, struct vmscm_error *err)
{
    struct vmscm_members *members = NULL;
    int rc = vmscm_members_new(&members, err);

    *out = NULL;
    if (rc || (rc = vmscm_str_dup(&members->dir, path, err)) ||
        (rc = vmscm_file_open(&members->fd, path, O_RDONLY | O_DIRECTORY, 0, err))) {
        vmscm_members_close(members);
        return rc;
    }
    *out = members;
    return 0;
}

static int not_regular(const struct vmscm_members *members, const char *name, mode_t mode,
    struct vmscm_error *err)
{
    return vmscm_error_set(err, VMSCM_EREFUSED, "%s/%s: is %s", members->dir, name,
        S_ISLNK(mode) ? "a symbolic link"
                      : S_ISDIR(mode) ? "a directory"
                                      : "not a regular file");
}

/* Step by step, so that no component can be a link. */
static int look_below(struct stat *st, const struct vmscm_members *members, const char *name,
    struct vmscm_error *err)
{
    char *copy = NULL, *part, *slash;
    int fd = members->fd, rc = vmscm_str_dup(&copy, name, err);

    if (rc)
        return rc;
    for (part = copy; (slash = strchr(part, '/')); part = slash + 1) {
        int next;
        *slash = '\0';
        next = openat(fd, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0) {
            int why = errno;
            bool there = fstatat(fd, part, st, AT_SYMLINK_NOFOLLOW) == 0;
            rc = there && !S_ISDIR(st->st_mode) ? not_regular(members, part, st->st_mode, err)
                : why == ENOENT ? vmscm_error_set(err, VMSCM_ENOTFOUND, "%s/%s: is not there",
                                      members->dir, name)
                                : vmscm_error_errno(err, why, "%s/%s", members->dir, name);
            goto out;
        }
        if (fd != members->fd)
            close(fd);
        fd = next;
    }
    if (fstatat(fd, part, st, AT_SYMLINK_NOFOLLOW) < 0)
        rc = errno == ENOENT
            ? vmscm_error_set(err, VMSCM_ENOTFOUND, "%s/%s: is not there", members->dir, name)
            : vmscm_error_errno(err, errno, "%s/%s", members->dir, name);
    else if (!S_ISREG(st->st_mode))
        rc = not_regular(members, name, st->st_mode, err);
out:
    if (fd != members->fd)
        close(fd);
    free(copy);
    return rc;
}

int vmscm_members_add(struct vmscm_members *members, const char *name, const char *path,
    struct vmscm_error *err)
{
    struct vmscm_member *m;
    int rc = append(&m, members, name, path, err);

    if (rc)
        return rc;
    if (stat(path, &m->st) < 0)
        return vmscm_error_errno(err, errno, "%s", path);
    m->length = (uint64_t)m->st.st_size;
    m->whole = true;
    return 0;
}

static int find_below(const struct vmscm_member **out, struct vmscm_members *members,
    const char *name, struct vmscm_error *err)
{
    struct vmscm_member *m;
    struct stat st;
    char *path = NULL;
    int rc;

    for (size_t i = 0; i < members->list.len; i++)
        if (strcmp(members->list.items[i]->name, name) == 0) {
            *out = members->list.items[i];
            return 0;
        }
    if ((rc = look_below(&st, members, name, err)) ||
        (rc = vmscm_path_join(&path, members->dir, name, err)))
        return rc;
    if (!(rc = append(&m, members, name, path, err))) {
        m->st = st;
        m->length = (uint64_t)st.st_size;
        m->whole = true;
        *out = m;
    }
    free(path);
    return rc;
}

int vmscm_members_find(const struct vmscm_member **out, struct vmscm_members *members,
    const char *name, struct vmscm_error *err)
{
    struct vmscm_member key, *address = &key, **found;

    *out = NULL;
    while (name[0] == '.' && name[1] == '/')
        name += 2;
    if (!vmscm_path_is_confined(name))
        return vmscm_error_set(
            err, VMSCM_EREFUSED, "%.300s: a name that leaves the bundle", name);
    if (members->dir)
        return find_below(out, members, name, err);
    key.name = (char *)name;
    found = members->list.len ? bsearch(&address, members->list.items, members->list.len,
                                    sizeof *members->list.items, by_name)
                              : NULL;
    if (!found)
        return vmscm_error_set(
            err, VMSCM_ENOTFOUND, "%.300s: the bundle has no such member", name);
    *out = *found;
    return 0;
}

struct walk {
    const struct vmscm_members *members;
    int (*each)(void *data, const char *name, struct vmscm_error *err);
    void *data;
    unsigned left; /* names yet to be told of */
};

static int walk_folder(struct walk *w, int fd, const char *folder, unsigned depth,
    struct vmscm_error *err);

static int walk_entry(struct walk *w, int fd, const char *folder, const struct dirent *e,
    unsigned depth, struct vmscm_error *err)
{
    char *name = NULL;
    int below, rc;

    if (!w->left--)
        return vmscm_error_set(err, VMSCM_EREFUSED, "%s: more than %d files", w->members->dir,
            VMSCM_MEMBERS_MAX);
    if ((rc = vmscm_str_printf(&name, err, "%s%s%s", folder, *folder ? "/" : "", e->d_name)))
        return rc;
    if (!(rc = w->each(w->data, name, err)) && depth &&
        (below = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) >= 0)
        rc = walk_folder(w, below, name, depth - 1, err);
    free(name);
    return rc;
}

/* Takes fd over. */
static int walk_folder(struct walk *w, int fd, const char *folder, unsigned depth,
    struct vmscm_error *err)
{
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    int rc = 0;

    if (!d) {
        rc = vmscm_error_errno(err, errno, "%s", w->members->dir);
        if (fd >= 0)
            close(fd);
        return rc;
    }
    for (struct dirent *e; !rc && (e = readdir(d));)
        if (e->d_name[0] != '.')
            rc = walk_entry(w, dirfd(d), folder, e, depth, err);
    closedir(d);
    return rc;
}

static int walk(struct vmscm_members *members, unsigned depth,
    int (*each)(void *data, const char *name, struct vmscm_error *err), void *data,
    struct vmscm_error *err)
{
    struct walk w = {members, each, data, VMSCM_MEMBERS_MAX};
    int rc = 0;

    /* Of its own position: the descriptor is kept. */
    if (members->dir)
        return walk_folder(
            &w, openat(members->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), "", depth, err);
    for (size_t i = 0; i < members->list.len && !rc; i++)
        rc = each(data, members->list.items[i]->name, err);
    return rc;
}

int vmscm_members_walk(struct vmscm_members *members,
    int (*each)(void *data, const char *name, struct vmscm_error *err), void *data,
    struct vmscm_error *err)
{
    return walk(members, 0, each, data, err);
}

int vmscm_members_walk_all(struct vmscm_members *members,
    int (*each)(void *data, const char *name, struct vmscm_error *err), void *data,
    struct vmscm_error *err)
{
    return walk(members, FOLDERS_MAX, each, data, err);
}

int vmscm_members_open(int *fd, const struct vmscm_member *member, struct vmscm_error *err)
{
    struct stat st;
    int rc = vmscm_file_open(fd, member->path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err);

    if (rc)
        return rc;
    if (fstat(*fd, &st) < 0)
        rc = vmscm_error_errno(err, errno, "%s", member->path);
    else if (!S_ISREG(st.st_mode) || st.st_dev != member->st.st_dev ||
        st.st_ino != member->st.st_ino || st.st_size != member->st.st_size)
        rc = vmscm_error_set(err, VMSCM_EBUSY, "%s: changed while it was read", member->path);
    if (rc) {
        close(*fd);
        *fd = -1;
    }
    return rc;
}

int vmscm_members_read(struct vmscm_buf *buf, const struct vmscm_member *member, size_t max,
    struct vmscm_error *err)
{
    int fd = -1, rc;

    if (member->length > max)
        return vmscm_error_set(
            err, VMSCM_EINPUT, "%s: over %zu bytes, too long for what it is", member->name, max);
    if ((rc = vmscm_members_open(&fd, member, err)) ||
        (rc = vmscm_buf_reserve(buf, (size_t)member->length, err)))
        goto out;
    rc = vmscm_file_pread(
        fd, buf->data + buf->len, (size_t)member->length, member->offset, member->path, err);
    if (rc)
        goto out;
    buf->len += (size_t)member->length;
    buf->data[buf->len] = '\0';
out:
    if (fd >= 0)
        close(fd);
    return rc;
}
