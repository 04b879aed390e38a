/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sys/file.h"
#include "base/path.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

int vmscm_file_open(int *fd, const char *path, int flags, mode_t mode, struct vmscm_error *err)
{
    do
        *fd = open(path, flags | O_CLOEXEC, mode);
    while (*fd < 0 && errno == EINTR);
    if (*fd < 0) {
        int errnum = errno;
        vmscm_error_errno(err, errnum, "%s", path);
        if (err && errnum == ENOENT)
            err->code = VMSCM_ENOTFOUND;
        if (err && errnum == EEXIST)
            err->code = VMSCM_EEXIST;
        return errnum == ENOENT ? VMSCM_ENOTFOUND
            : errnum == EEXIST  ? VMSCM_EEXIST
            : errnum == ENOMEM  ? VMSCM_ENOMEM
                                : VMSCM_EIO;
    }
    return 0;
}

int vmscm_file_pread_some(int fd, void *data, size_t len, uint64_t offset, size_t *got,
    const char *path, struct vmscm_error *err)
{
    size_t done = 0;

    if (offset > INT64_MAX - len)
        return vmscm_error_set(err, VMSCM_EINPUT, "%s: offset out of range", path);
    while (done < len) {
        ssize_t n = pread(fd, (char *)data + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return vmscm_error_errno(err, errno, "%s: reading", path);
        if (n == 0)
            break;
        done += (size_t)n;
    }
    *got = done;
    return 0;
}

int vmscm_file_pread(int fd, void *data, size_t len, uint64_t offset, const char *path,
    struct vmscm_error *err)
{
    size_t got;
    int rc = vmscm_file_pread_some(fd, data, len, offset, &got, path, err);

    if (rc)
        return rc;
    if (got < len)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "%s: ends early", path);
    return 0;
}

int vmscm_file_write(int fd, const void *data, size_t len, const char *path,
    struct vmscm_error *err)
{
    const char *p = data;

    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return vmscm_error_errno(err, errno, "%s: writing", path);
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int vmscm_file_pwrite(int fd, const void *data, size_t len, uint64_t offset, const char *path,
    struct vmscm_error *err)
{
    const char *p = data;

    while (len) {
        ssize_t n = pwrite(fd, p, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return vmscm_error_errno(err, errno, "%s: writing", path);
        p += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

int vmscm_file_read(struct vmscm_buf *buf, const char *path, size_t max, struct vmscm_error *err)
{
    struct stat st;
    size_t got;
    int fd = -1, rc;

    if ((rc = vmscm_file_open(&fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err)))
        return rc;
    if (fstat(fd, &st) < 0) {
        rc = vmscm_error_errno(err, errno, "%s", path);
        goto out;
    }
    if (!S_ISREG(st.st_mode)) {
        rc = vmscm_error_set(err, VMSCM_EINPUT, "%s: not a regular file", path);
        goto out;
    }
    if ((uint64_t)st.st_size > max) {
        rc = vmscm_error_set(err, VMSCM_EINPUT, "%s: larger than %zu bytes", path, max);
        goto out;
    }
    if ((rc = vmscm_buf_reserve(buf, (size_t)st.st_size, err)))
        goto out;
    if ((rc = vmscm_file_pread_some(
             fd, buf->data + buf->len, (size_t)st.st_size, 0, &got, path, err)))
        goto out;
    buf->len += got;
    buf->data[buf->len] = '\0';
out:
    close(fd);
    return rc;
}

int vmscm_file_fsync(int fd, const char *path, struct vmscm_error *err)
{
    if (fsync(fd) < 0)
        return vmscm_error_errno(err, errno, "%s: fsync", path);
    return 0;
}

int vmscm_file_close(int *fd, const char *path, struct vmscm_error *err)
{
    int old = *fd;

    *fd = -1;
    /* On Linux the descriptor is gone even when close says EINTR. */
    if (old >= 0 && close(old) < 0 && errno != EINTR)
        return vmscm_error_errno(err, errno, "%s: closing", path);
    return 0;
}

int vmscm_file_make(const char *path, struct vmscm_error *err)
{
    int fd = -1, rc = vmscm_file_open(&fd, path, O_WRONLY | O_CREAT | O_EXCL, 0666, err);

    return rc ? rc : vmscm_file_close(&fd, path, err);
}

int vmscm_file_sync(const char *path, struct vmscm_error *err)
{
    int fd = -1, rc = vmscm_file_open(&fd, path, O_RDONLY | O_NOFOLLOW, 0, err);

    if (rc)
        return rc;
    rc = vmscm_file_fsync(fd, path, err);
    close(fd);
    return rc;
}

int vmscm_file_sync_dir(const char *dir, struct vmscm_error *err)
{
    int fd = -1;
    int rc = vmscm_file_open(&fd, dir, O_RDONLY | O_DIRECTORY, 0, err);

    if (rc)
        return rc;
    rc = vmscm_file_fsync(fd, dir, err);
    close(fd);
    return rc;
}

int vmscm_file_rename_new(const char *from, const char *to, struct vmscm_error *err)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno == EINVAL || errno == ENOSYS) {
        if (link(from, to) == 0) {
            if (unlink(from) == 0)
                return 0;
            return vmscm_error_errno(err, errno, "%s", from);
        }
    }
    if (errno == EEXIST)
        return vmscm_error_set(err, VMSCM_EEXIST, "%s: already exists", to);
    return vmscm_error_errno(err, errno, "%s: renaming to %s", from, to);
}

/* Names a temporary file beside another. No ref, and so no reflog, has a name that ends so. */
#define BESIDE ".tmp-"
#define BESIDE_END ".lock"
#define BESIDE_LEN (sizeof BESIDE - 1 + 16 + sizeof BESIDE_END - 1)

/* The lock of something that was just made beside a file says that its maker lives. False: before it
 * was locked it was taken for a dead one's, and is gone. */
static bool lock_beside(int fd)
{
    struct stat st;

    return flock(fd, LOCK_EX) < 0 || fstat(fd, &st) < 0 || st.st_nlink;
}

static int name_beside(char **tmp, const char *path, struct vmscm_error *err)
{
    uint64_t nonce;

    *tmp = NULL;
    if (getrandom(&nonce, sizeof nonce, 0) != sizeof nonce)
        return vmscm_error_errno(err, errno, "%s", path);
    return vmscm_str_printf(tmp, err, "%s" BESIDE "%016" PRIx64 BESIDE_END, path, nonce);
}

/* A new file beside path, locked. open applies the process's umask, which could be asked for only by
 * changing it under the feet of other threads. */
static int open_beside(int *fd, char **tmp, const char *path, mode_t mode, struct vmscm_error *err)
{
    for (;;) {
        int rc = name_beside(tmp, path, err);

        if (rc)
            return rc;
        *fd = open(*tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (*fd >= 0 && lock_beside(*fd))
            return 0;
        rc = *fd < 0 ? errno : EEXIST;
        if (*fd >= 0)
            close(*fd);
        *fd = -1;
        free(*tmp);
        *tmp = NULL;
        if (rc != EEXIST)
            return vmscm_error_errno(err, rc, "%s", path);
    }
}

int vmscm_file_mkdir_beside(int *lock, char **tmp, const char *path, struct vmscm_error *err)
{
    for (;;) {
        int rc = name_beside(tmp, path, err);

        *lock = -1;
        if (rc)
            return rc;
        rc = mkdir(*tmp, 0777) < 0 ? errno : 0;
        if (!rc && (*lock = open(*tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
            rc = errno == ENOENT ? EEXIST : errno;
        if (!rc && lock_beside(*lock))
            return 0;
        if (*lock >= 0)
            close(*lock);
        *lock = -1;
        if (rc && rc != EEXIST)
            rmdir(*tmp);
        free(*tmp);
        *tmp = NULL;
        if (rc && rc != EEXIST)
            return vmscm_error_errno(err, rc, "%s", path);
    }
}

int vmscm_file_replace(const char *path, const void *data, size_t len, mode_t mode,
    struct vmscm_error *err)
{
    char *tmp = NULL, *dir = NULL;
    int fd = -1, lock = -1, rc;

    vmscm_file_sweep(path);
    if ((rc = vmscm_path_dirname(&dir, path, err)) ||
        (rc = open_beside(&fd, &tmp, path, mode, err)) ||
        (rc = vmscm_file_write(fd, data, len, path, err)) ||
        (rc = vmscm_file_fsync(fd, path, err)))
        goto out;
    /* What close has to say is heard before the rename, and the lock held until after it. */
    if ((lock = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0) {
        rc = vmscm_error_errno(err, errno, "%s", path);
        goto out;
    }
    if ((rc = vmscm_file_close(&fd, path, err)))
        goto out;
    if (rename(tmp, path) < 0) {
        rc = vmscm_error_errno(err, errno, "%s", path);
        goto out;
    }
    free(tmp);
    tmp = NULL;
    rc = vmscm_file_sync_dir(dir, err);
out:
    if (fd >= 0)
        close(fd);
    if (tmp)
        unlink(tmp);
    if (lock >= 0)
        close(lock);
    free(tmp);
    free(dir);
    return rc;
}

int vmscm_file_mkdirs(const char *path, struct vmscm_error *err)
{
    char *copy = NULL;
    int rc = vmscm_str_dup(&copy, path, err);

    if (rc)
        return rc;
    for (char *p = copy + 1;; p++) {
        if (*p && *p != '/')
            continue;
        char saved = *p;
        *p = '\0';
        if (mkdir(copy, 0777) == 0) {
            char *dir = NULL;
            if (!(rc = vmscm_path_dirname(&dir, copy, err)))
                rc = vmscm_file_sync_dir(dir, err);
            free(dir);
            if (rc)
                break;
        } else {
            struct stat st;
            int errnum = errno;
            if (stat(copy, &st) < 0 || !S_ISDIR(st.st_mode)) {
                rc = vmscm_error_errno(err, errnum, "%s: making directory", copy);
                break;
            }
        }
        *p = saved;
        if (!saved)
            break;
    }
    free(copy);
    return rc;
}

bool vmscm_file_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

int vmscm_file_realpath(char **out, const char *path, struct vmscm_error *err)
{
    *out = realpath(path, NULL);
    if (!*out) {
        int errnum = errno;
        vmscm_error_errno(err, errnum, "%s", path);
        if (errnum != ENOENT)
            return errnum == ENOMEM ? VMSCM_ENOMEM : VMSCM_EIO;
        if (err)
            err->code = VMSCM_ENOTFOUND;
        return VMSCM_ENOTFOUND;
    }
    return 0;
}

static int remove_at(int dirfd, const char *name, const char *path, struct vmscm_error *err)
{
    if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return vmscm_error_errno(err, errno, "%s: removing %s", path, name);

    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return vmscm_error_errno(err, errno, "%s: removing %s", path, name);
    DIR *d = fdopendir(fd);
    if (!d) {
        close(fd);
        return vmscm_error_nomem(err);
    }
    int rc = 0;
    for (struct dirent *e; !rc && (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            rc = remove_at(fd, e->d_name, path, err);
    closedir(d);
    if (!rc && unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        rc = vmscm_error_errno(err, errno, "%s: removing %s", path, name);
    return rc;
}

void vmscm_file_sweep(const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    size_t len = strlen(base);
    char *dir = NULL;
    DIR *d = NULL;

    if (vmscm_path_dirname(&dir, path, NULL) == 0)
        d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (strlen(e->d_name) != len + BESIDE_LEN || strncmp(e->d_name, base, len) != 0 ||
            strncmp(e->d_name + len, BESIDE, sizeof BESIDE - 1) != 0 ||
            strspn(e->d_name + len + sizeof BESIDE - 1, "0123456789abcdef") != 16 ||
            !vmscm_str_ends(e->d_name, BESIDE_END))
            continue;
        int fd = openat(dirfd(d), e->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
            remove_at(dirfd(d), e->d_name, path, NULL);
        if (fd >= 0)
            close(fd);
    }
    if (d)
        closedir(d);
    free(dir);
}

int vmscm_file_remove_tree(const char *path, struct vmscm_error *err)
{
    return remove_at(AT_FDCWD, path, path, err);
}
