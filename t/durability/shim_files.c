/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The calls that open files and those on open ones, each a point. */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static int do_open(int dir, const char *name, int flags, mode_t mode)
{
    bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC));
    char path[4096];
    struct shim_point p;
    bool there;
    int fd = -1;

    if (!shim_active() || !shim_path(path, dir, name))
        return (int)syscall(SYS_openat, dir, name, flags, mode);
    p = shim_enter("open",
        !writes              ? SHIM_READ
            : flags & O_CREAT ? SHIM_SPACE
                              : SHIM_CHANGE,
        false, path, NULL);
    if (p.act != SHIM_ERROR) {
        there = syscall(SYS_faccessat, AT_FDCWD, path, F_OK) == 0;
        fd = (int)syscall(SYS_openat, dir, name, flags, mode);
        if (fd >= 0 && (flags & O_CREAT) && !there)
            shim_record_name("create", path, NULL);
        else if (fd >= 0 && (flags & O_TRUNC))
            shim_record_size("truncate", path, 0);
    }
    shim_leave(&p);
    return fd;
}

#define MODE_OF(flags, last)                                                                       \
    va_list ap;                                                                                    \
    va_start(ap, last);                                                                            \
    mode_t mode = (flags) & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;                        \
    va_end(ap)

int open(const char *name, int flags, ...)
{
    MODE_OF(flags, flags);
    return do_open(AT_FDCWD, name, flags, mode);
}

int open64(const char *name, int flags, ...)
{
    MODE_OF(flags, flags);
    return do_open(AT_FDCWD, name, flags, mode);
}

int openat(int dir, const char *name, int flags, ...)
{
    MODE_OF(flags, flags);
    return do_open(dir, name, flags, mode);
}

int openat64(int dir, const char *name, int flags, ...)
{
    MODE_OF(flags, flags);
    return do_open(dir, name, flags, mode);
}

int creat(const char *name, mode_t mode)
{
    return do_open(AT_FDCWD, name, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

int creat64(const char *name, mode_t mode)
{
    return creat(name, mode);
}

/* What the C library makes of open where it checks the arguments. */
int __open_2(const char *name, int flags);
int __open64_2(const char *name, int flags);
int __openat_2(int dir, const char *name, int flags);
int __openat64_2(int dir, const char *name, int flags);

int __open_2(const char *name, int flags)
{
    return do_open(AT_FDCWD, name, flags, 0);
}

int __open64_2(const char *name, int flags)
{
    return do_open(AT_FDCWD, name, flags, 0);
}

int __openat_2(int dir, const char *name, int flags)
{
    return do_open(dir, name, flags, 0);
}

int __openat64_2(int dir, const char *name, int flags)
{
    return do_open(dir, name, flags, 0);
}

/* A call with up to four more arguments on an open file. */
static long on_file(const char *call, enum shim_kind kind, long number, int fd, long a, long b,
    long c, long d)
{
    char path[4096];
    struct shim_point p;
    long rc = -1;

    if (!shim_active() || !shim_path_of(path, fd))
        return syscall(number, fd, a, b, c, d);
    p = shim_enter(call, kind, false, path, NULL);
    if (p.act != SHIM_ERROR) {
        rc = syscall(number, fd, a, b, c, d);
        if (rc == 0 && kind != SHIM_READ)
            shim_record_size(call, path, number == SYS_ftruncate ? (uint64_t)a
                    : number == SYS_fallocate                    ? (uint64_t)(b + c)
                                                                 : 0);
    }
    shim_leave(&p);
    return rc;
}

int fsync(int fd)
{
    return (int)on_file("fsync", SHIM_SPACE, SYS_fsync, fd, 0, 0, 0, 0);
}

int fdatasync(int fd)
{
    return (int)on_file("fsync", SHIM_SPACE, SYS_fdatasync, fd, 0, 0, 0, 0);
}

int sync_file_range(int fd, off_t offset, off_t len, unsigned flags)
{
    return (int)on_file(
        "sync_file_range", SHIM_CHANGE, SYS_sync_file_range, fd, offset, len, (long)flags, 0);
}

int ftruncate(int fd, off_t size)
{
    return (int)on_file("truncate", SHIM_CHANGE, SYS_ftruncate, fd, size, 0, 0, 0);
}

int ftruncate64(int fd, off64_t size)
{
    return ftruncate(fd, size);
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
    return (int)on_file(mode ? "punch" : "allocate", SHIM_SPACE, SYS_fallocate, fd, mode, offset,
        len, 0);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t len)
{
    return fallocate(fd, mode, offset, len);
}

int posix_fallocate(int fd, off_t offset, off_t len)
{
    return fallocate(fd, 0, offset, len) < 0 ? errno : 0;
}

int posix_fallocate64(int fd, off64_t offset, off64_t len)
{
    return posix_fallocate(fd, offset, len);
}

int fchmod(int fd, mode_t mode)
{
    return (int)on_file("chmod", SHIM_CHANGE, SYS_fchmod, fd, (long)mode, 0, 0, 0);
}

int close(int fd)
{
    char path[4096];
    struct shim_point p;
    int rc;

    if (!shim_active() || (syscall(SYS_fcntl, fd, F_GETFL) & O_ACCMODE) == O_RDONLY ||
        !shim_path_of(path, fd))
        return (int)syscall(SYS_close, fd);
    p = shim_enter("close", SHIM_SPACE, false, path, NULL);
    int error = errno;
    /* Closed it is in any case, as on Linux. */
    rc = (int)syscall(SYS_close, fd);
    if (p.act == SHIM_ERROR) {
        rc = -1;
        errno = error;
    }
    shim_leave(&p);
    return rc;
}

/* Where a write at the file's own position goes. */
static uint64_t position(int fd)
{
    struct stat st;

    if (shim_config.mode != SHIM_RECORD)
        return 0;
    if (syscall(SYS_fcntl, fd, F_GETFL) & O_APPEND)
        return syscall(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH) == 0 ? (uint64_t)st.st_size : 0;
    return (uint64_t)syscall(SYS_lseek, fd, 0, SEEK_CUR);
}

/* offset -1: the file's own position. */
static ssize_t do_write(int fd, const void *data, size_t len, off_t offset)
{
    char path[4096];
    struct shim_point p;
    ssize_t n = -1;

    if (!shim_active() || !shim_path_of(path, fd))
        return offset < 0 ? syscall(SYS_write, fd, data, len)
                          : syscall(SYS_pwrite64, fd, data, len, offset);
    p = shim_enter("write", SHIM_SPACE, len > 1, path, NULL);
    if (p.act != SHIM_ERROR) {
        uint64_t at = offset < 0 ? position(fd) : (uint64_t)offset;
        if (p.act == SHIM_HALF)
            len /= 2;
        n = offset < 0 ? syscall(SYS_write, fd, data, len)
                       : syscall(SYS_pwrite64, fd, data, len, offset);
        if (n > 0)
            shim_record_write(path, at, data, (size_t)n);
    }
    shim_leave(&p);
    return n;
}

ssize_t write(int fd, const void *data, size_t len)
{
    return do_write(fd, data, len, -1);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
    return do_write(fd, data, len, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t offset)
{
    return do_write(fd, data, len, offset);
}

/* In several writes, each a point: so a death in between is one too. */
static ssize_t do_writev(int fd, const struct iovec *parts, int count, off_t offset)
{
    ssize_t done = 0;

    for (int i = 0; i < count; i++) {
        if (!parts[i].iov_len)
            continue;
        ssize_t n = do_write(
            fd, parts[i].iov_base, parts[i].iov_len, offset < 0 ? offset : offset + done);
        if (n < 0)
            return done ? done : -1;
        done += n;
        if ((size_t)n < parts[i].iov_len)
            break;
    }
    return done;
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    char path[4096];

    if (!shim_active() || !shim_path_of(path, fd))
        return syscall(SYS_writev, fd, parts, count);
    return do_writev(fd, parts, count, -1);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    return do_writev(fd, parts, count, offset);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset)
{
    return do_writev(fd, parts, count, offset);
}

ssize_t copy_file_range(
    int in, off64_t *in_at, int out, off64_t *out_at, size_t len, unsigned flags)
{
    char path[4096];
    struct shim_point p;
    ssize_t n = -1;

    if (!shim_active() || !shim_path_of(path, out))
        return syscall(SYS_copy_file_range, in, in_at, out, out_at, len, flags);
    p = shim_enter("copy_file_range", SHIM_SPACE, len > 1, path, NULL);
    if (p.act != SHIM_ERROR) {
        uint64_t at = out_at ? (uint64_t)*out_at : position(out);
        n = syscall(SYS_copy_file_range, in, in_at, out, out_at,
            p.act == SHIM_HALF ? len / 2 : len, flags);
        if (n > 0)
            shim_record_range(path, at, (uint64_t)n);
    }
    shim_leave(&p);
    return n;
}

int ioctl(int fd, unsigned long request, ...)
{
    char path[4096];
    struct shim_point p;
    struct stat st;
    va_list ap;
    int rc = -1;

    va_start(ap, request);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    if ((request != FICLONE && request != FICLONERANGE) || !shim_active() ||
        !shim_path_of(path, fd))
        return (int)syscall(SYS_ioctl, fd, request, arg);
    p = shim_enter("clone", SHIM_SPACE, false, path, NULL);
    if (p.act != SHIM_ERROR) {
        rc = (int)syscall(SYS_ioctl, fd, request, arg);
        if (rc == 0 && syscall(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH) == 0)
            shim_record_range(path, 0, (uint64_t)st.st_size);
    }
    shim_leave(&p);
    return rc;
}

/* --- files in memory: what is written there is recorded when the mapping goes */

static struct mapping {
    char *at;
    size_t len;
    uint64_t offset;
    char path[4096];
} mappings[16];
static pthread_mutex_t mapping_lock = PTHREAD_MUTEX_INITIALIZER;

static void remember(void *at, size_t len, uint64_t offset, const char *path)
{
    pthread_mutex_lock(&mapping_lock);
    for (size_t i = 0; i < sizeof mappings / sizeof mappings[0]; i++)
        if (!mappings[i].at) {
            mappings[i] = (struct mapping){at, len, offset, ""};
            memcpy(mappings[i].path, path, strlen(path) + 1);
            break;
        }
    pthread_mutex_unlock(&mapping_lock);
}

static void write_back(const void *at, bool forget)
{
    pthread_mutex_lock(&mapping_lock);
    for (size_t i = 0; i < sizeof mappings / sizeof mappings[0]; i++)
        if (mappings[i].at && mappings[i].at == at) {
            shim_record_range(mappings[i].path, mappings[i].offset, mappings[i].len);
            if (forget)
                mappings[i].at = NULL;
        }
    pthread_mutex_unlock(&mapping_lock);
}

void *mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
    bool writes = (prot & PROT_WRITE) && (flags & MAP_TYPE) == MAP_SHARED;
    char path[4096];
    struct shim_point p;
    void *got = MAP_FAILED;

    if (fd < 0 || !shim_active() || !shim_path_of(path, fd))
        return (void *)syscall(SYS_mmap, at, len, prot, flags, fd, offset);
    p = shim_enter("mmap", writes ? SHIM_CHANGE : SHIM_READ, false, path, NULL);
    if (p.act != SHIM_ERROR) {
        got = (void *)syscall(SYS_mmap, at, len, prot, flags, fd, offset);
        if (got != MAP_FAILED && writes && shim_config.mode == SHIM_RECORD)
            remember(got, len, (uint64_t)offset, path);
    }
    shim_leave(&p);
    return got;
}

void *mmap64(void *at, size_t len, int prot, int flags, int fd, off64_t offset)
{
    return mmap(at, len, prot, flags, fd, offset);
}

int munmap(void *at, size_t len)
{
    if (shim_config.mode == SHIM_RECORD)
        write_back(at, true);
    return (int)syscall(SYS_munmap, at, len);
}

int msync(void *at, size_t len, int flags)
{
    if (shim_config.mode == SHIM_RECORD)
        write_back(at, false);
    return (int)syscall(SYS_msync, at, len, flags);
}

/* --- reading */

ssize_t read(int fd, void *data, size_t len)
{
    return on_file("read", SHIM_READ, SYS_read, fd, (long)data, (long)len, 0, 0);
}

ssize_t pread(int fd, void *data, size_t len, off_t offset)
{
    return on_file("read", SHIM_READ, SYS_pread64, fd, (long)data, (long)len, offset, 0);
}

ssize_t pread64(int fd, void *data, size_t len, off64_t offset)
{
    return pread(fd, data, len, offset);
}

int fstat(int fd, struct stat *st)
{
    return (int)on_file("stat", SHIM_READ, SYS_newfstatat, fd, (long)"", (long)st, AT_EMPTY_PATH, 0);
}

int fstat64(int fd, struct stat64 *st)
{
    return fstat(fd, (struct stat *)st);
}

int flock(int fd, int operation)
{
    return (int)on_file("flock", SHIM_READ, SYS_flock, fd, operation, 0, 0, 0);
}
