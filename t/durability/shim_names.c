/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The calls on names and directories, each a point. */
#include "shim.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

/* Two names, either of which may be below the root. */
static int two(const char *call, enum shim_kind kind, long number, int from_dir, const char *from,
    int to_dir, const char *to, unsigned flags)
{
    char a[4096], b[4096];
    struct shim_point p;
    int rc = -1;

    if (!shim_active() || !(shim_path(a, from_dir, from) | shim_path(b, to_dir, to)))
        return (int)syscall(number, from_dir, from, to_dir, to, flags);
    p = shim_enter(call, kind, false, a, b);
    if (p.act != SHIM_ERROR) {
        rc = (int)syscall(number, from_dir, from, to_dir, to, flags);
        if (rc == 0)
            shim_record_name(flags & RENAME_EXCHANGE ? "exchange" : call, a, b);
    }
    shim_leave(&p);
    return rc;
}

int rename(const char *from, const char *to)
{
    return two("rename", SHIM_SPACE, SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return two("rename", SHIM_SPACE, SYS_renameat2, from_dir, from, to_dir, to, 0);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    return two("rename", SHIM_SPACE, SYS_renameat2, from_dir, from, to_dir, to, flags);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    return two("link", SHIM_SPACE, SYS_linkat, from_dir, from, to_dir, to, (unsigned)flags);
}

int link(const char *from, const char *to)
{
    return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* One name. number's call takes it and two more arguments. */
static int one(const char *call, enum shim_kind kind, long number, int dir, const char *name,
    long third, long fourth)
{
    char path[4096];
    struct shim_point p;
    int rc = -1;

    if (!shim_active() || !shim_path(path, dir, name))
        return (int)syscall(number, dir, name, third, fourth);
    p = shim_enter(call, kind, false, path, NULL);
    if (p.act != SHIM_ERROR) {
        rc = (int)syscall(number, dir, name, third, fourth);
        if (rc == 0 && kind != SHIM_READ)
            shim_record_name(call, path, NULL);
    }
    shim_leave(&p);
    return rc;
}

int unlinkat(int dir, const char *name, int flags)
{
    return one(flags & AT_REMOVEDIR ? "rmdir" : "unlink", SHIM_CHANGE, SYS_unlinkat, dir, name,
        flags, 0);
}

int unlink(const char *name)
{
    return unlinkat(AT_FDCWD, name, 0);
}

int rmdir(const char *name)
{
    return unlinkat(AT_FDCWD, name, AT_REMOVEDIR);
}

int remove(const char *name)
{
    int rc = unlinkat(AT_FDCWD, name, 0);

    return rc < 0 && errno == EISDIR ? unlinkat(AT_FDCWD, name, AT_REMOVEDIR) : rc;
}

int mkdirat(int dir, const char *name, mode_t mode)
{
    return one("mkdir", SHIM_SPACE, SYS_mkdirat, dir, name, (long)mode, 0);
}

int mkdir(const char *name, mode_t mode)
{
    return mkdirat(AT_FDCWD, name, mode);
}

int symlinkat(const char *target, int dir, const char *name)
{
    char path[4096];
    struct shim_point p;
    int rc = -1;

    if (!shim_active() || !shim_path(path, dir, name))
        return (int)syscall(SYS_symlinkat, target, dir, name);
    p = shim_enter("symlink", SHIM_SPACE, false, path, target);
    if (p.act != SHIM_ERROR) {
        rc = (int)syscall(SYS_symlinkat, target, dir, name);
        if (rc == 0)
            shim_record_name("symlink", path, target);
    }
    shim_leave(&p);
    return rc;
}

int symlink(const char *target, const char *name)
{
    return symlinkat(target, AT_FDCWD, name);
}

int chmod(const char *name, mode_t mode)
{
    return one("chmod", SHIM_CHANGE, SYS_fchmodat, AT_FDCWD, name, (long)mode, 0);
}

int truncate(const char *name, off_t size)
{
    char path[4096];
    struct shim_point p;
    int rc = -1;

    if (!shim_active() || !shim_path(path, AT_FDCWD, name))
        return (int)syscall(SYS_truncate, name, size);
    p = shim_enter("truncate", SHIM_CHANGE, false, path, NULL);
    if (p.act != SHIM_ERROR) {
        rc = (int)syscall(SYS_truncate, name, size);
        if (rc == 0)
            shim_record_size("truncate", path, (uint64_t)size);
    }
    shim_leave(&p);
    return rc;
}

int truncate64(const char *name, off64_t size)
{
    return truncate(name, size);
}

int utimensat(int dir, const char *name, const struct timespec times[2], int flags)
{
    /* With no name it is the file at dir. */
    if (!name)
        return (int)syscall(SYS_utimensat, dir, name, times, flags);
    return one("utimes", SHIM_CHANGE, SYS_utimensat, dir, name, (long)times, flags);
}

int utimes(const char *name, const struct timeval times[2])
{
    struct timespec fine[2];

    for (int i = 0; times && i < 2; i++)
        fine[i] = (struct timespec){times[i].tv_sec, times[i].tv_usec * 1000};
    return utimensat(AT_FDCWD, name, times ? fine : NULL, 0);
}

/* --- reading */

int access(const char *name, int mode)
{
    return one("access", SHIM_READ, SYS_faccessat, AT_FDCWD, name, mode, 0);
}

int fstatat(int dir, const char *name, struct stat *st, int flags)
{
    return one("stat", SHIM_READ, SYS_newfstatat, dir, name, (long)st, flags);
}

int stat(const char *name, struct stat *st)
{
    return fstatat(AT_FDCWD, name, st, 0);
}

int lstat(const char *name, struct stat *st)
{
    return fstatat(AT_FDCWD, name, st, AT_SYMLINK_NOFOLLOW);
}

int fstatat64(int dir, const char *name, struct stat64 *st, int flags)
{
    return fstatat(dir, name, (struct stat *)st, flags);
}

int stat64(const char *name, struct stat64 *st)
{
    return stat(name, (struct stat *)st);
}

int lstat64(const char *name, struct stat64 *st)
{
    return lstat(name, (struct stat *)st);
}

DIR *opendir(const char *name)
{
    char path[4096];
    struct shim_point p;
    DIR *dir = NULL;
    int fd = -1;

    if (!shim_active() || !shim_path(path, AT_FDCWD, name)) {
        fd = (int)syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? NULL : fdopendir(fd);
    }
    p = shim_enter("opendir", SHIM_READ, false, path, NULL);
    if (p.act != SHIM_ERROR) {
        fd = (int)syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        dir = fd < 0 ? NULL : fdopendir(fd);
    }
    shim_leave(&p);
    return dir;
}

struct dirent64 *readdir64(DIR *dir)
{
    static struct dirent64 *(*real)(DIR *);
    char path[4096];
    struct shim_point p;
    struct dirent64 *entry = NULL;

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "readdir64");
    if (!shim_active() || !shim_path_of(path, dirfd(dir)))
        return real(dir);
    p = shim_enter("readdir", SHIM_READ, false, path, NULL);
    if (p.act != SHIM_ERROR)
        entry = real(dir);
    shim_leave(&p);
    return entry;
}

struct dirent *readdir(DIR *dir)
{
    return (struct dirent *)readdir64(dir);
}
