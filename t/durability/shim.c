/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Points: where the program is, and what is to happen there. See shim.h. */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct shim_config shim_config;
static char root[4096];
static size_t root_len;
static int log_fd = -1;
static pid_t owner;
static time_t fixed_time;
static atomic_uint_fast64_t fixed_random; /* the state of a generator; 0: none */
static atomic_uint_fast64_t points;
static pthread_mutex_t recording = PTHREAD_MUTEX_INITIALIZER;

static uint64_t number(const char *name)
{
    const char *value = getenv(name);

    return value ? (uint64_t)strtoll(value, NULL, 10) : 0;
}

__attribute__((constructor)) static void start(void)
{
    static const char *const modes[] = {
        "off", "count", "kill", "tear", "after", "fail", "record", "memory"};
    const char *mode = getenv("VMSCM_SHIM_MODE"), *dir = getenv("VMSCM_SHIM_ROOT");
    const char *log = getenv("VMSCM_SHIM_LOG");

    fixed_time = (time_t)number("VMSCM_SHIM_TIME");
    fixed_random = number("VMSCM_SHIM_RANDOM");
    if (!mode || !dir || strlen(dir) >= sizeof root)
        return;
    root_len = strlen(dir);
    memcpy(root, dir, root_len + 1);
    shim_config.point = number("VMSCM_SHIM_POINT");
    shim_config.times = number("VMSCM_SHIM_TIMES");
    shim_config.error = (int)number("VMSCM_SHIM_ERRNO");
    shim_config.reads = number("VMSCM_SHIM_READS") != 0;
    if (log)
        log_fd = (int)syscall(
            SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    owner = (pid_t)syscall(SYS_getpid);
    if (!number("VMSCM_SHIM_CHILDREN"))
        unsetenv("LD_PRELOAD");
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (strcmp(mode, modes[i]) == 0)
            shim_config.mode = (enum shim_mode)i;
}

bool shim_active(void)
{
    /* A child between fork and exec is another program already. */
    return shim_config.mode != SHIM_OFF && (pid_t)syscall(SYS_getpid) == owner;
}

void shim_log(const void *data, size_t len)
{
    /* A log with holes proves nothing, but of allocations, where a test may limit the size of files. */
    if (log_fd >= 0 && syscall(SYS_write, log_fd, data, len) != (long)len &&
        shim_config.mode != SHIM_MEMORY)
        _exit(97);
}

static bool is_below(const char *path)
{
    return strncmp(path, root, root_len) == 0 && (path[root_len] == '/' || !path[root_len]);
}

/* Take "//", "/." and "/.." out of an absolute path. */
static void tidy(char *path)
{
    char *to = path;

    for (const char *from = path; *from;) {
        size_t len = strcspn(from + 1, "/");
        if (len == 2 && from[1] == '.' && from[2] == '.') {
            while (to > path && *--to != '/')
                ;
        } else if (len && !(len == 1 && from[1] == '.')) {
            memmove(to, from, len + 1);
            to += len + 1;
        }
        from += len + 1;
    }
    *to = '\0';
}

bool shim_path_of(char out[4096], int fd)
{
    char link[40];
    ssize_t n;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = syscall(SYS_readlinkat, AT_FDCWD, link, out, 4095);
    if (n <= 0)
        return false;
    out[n] = '\0';
    if (n > 10 && strcmp(out + n - 10, " (deleted)") == 0)
        return false;
    return is_below(out);
}

bool shim_path(char out[4096], int dir, const char *name)
{
    size_t len = 0;

    if (!name || strlen(name) >= 2000)
        return false;
    if (name[0] != '/') {
        if (dir != AT_FDCWD) {
            if (!shim_path_of(out, dir))
                return false;
        } else if (syscall(SYS_getcwd, out, 2000) < 0) {
            return false;
        }
        len = strlen(out);
        if (len >= 2000)
            return false;
        out[len++] = '/';
    }
    memcpy(out + len, name, strlen(name) + 1);
    tidy(out);
    return is_below(out);
}

static void say(uint64_t n, const char *call, const char *path, const char *to)
{
    char line[9000];
    int len = snprintf(line, sizeof line, "%llu %s %s%s%s\n", (unsigned long long)n, call,
        path[root_len] ? path + root_len + 1 : ".", to ? " " : "",
        to ? to + (is_below(to) && to[root_len] ? root_len + 1 : 0) : "");

    shim_log(line, (size_t)len);
}

static _Noreturn void die(void)
{
    syscall(SYS_kill, owner, SIGKILL);
    for (;;)
        pause();
}

struct shim_point shim_enter(
    const char *call, enum shim_kind kind, bool halves, const char *path, const char *to)
{
    struct shim_point p = {.call = call};

    if (kind == SHIM_READ && !shim_config.reads)
        return p;
    if (shim_config.mode == SHIM_RECORD && kind != SHIM_READ) {
        pthread_mutex_lock(&recording);
        p.locked = true;
        return p;
    }
    uint64_t n = atomic_fetch_add(&points, 1) + 1;
    switch (shim_config.mode) {
    case SHIM_COUNT:
        say(n, call, path, to);
        break;
    case SHIM_KILL:
    case SHIM_TEAR:
    case SHIM_AFTER:
        if (n != shim_config.point)
            break;
        say(n, call, path, to);
        if (shim_config.mode == SHIM_KILL || (shim_config.mode == SHIM_TEAR && !halves))
            die();
        p.dies = true;
        if (shim_config.mode == SHIM_TEAR)
            p.act = SHIM_HALF;
        break;
    case SHIM_FAIL:
        if (n < shim_config.point ||
            (shim_config.times && n - shim_config.point >= shim_config.times))
            break;
        /* What cannot happen is not tried. */
        if ((shim_config.error == ENOSPC && kind != SHIM_SPACE) ||
            (shim_config.error < 0 && !halves))
            break;
        if (n == shim_config.point || shim_config.times)
            say(n, call, path, to);
        p.act = shim_config.error < 0 ? SHIM_HALF : SHIM_ERROR;
        errno = shim_config.error;
        break;
    default:
        break;
    }
    return p;
}

void shim_leave(const struct shim_point *p)
{
    int saved = errno;

    if (p->dies)
        die();
    if (p->locked)
        pthread_mutex_unlock(&recording);
    errno = saved;
}

time_t time(time_t *out)
{
    struct timespec now;

    if (fixed_time) {
        now.tv_sec = fixed_time;
    } else {
        clock_gettime(CLOCK_REALTIME, &now);
    }
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}

/* Where time stands there is nothing to wait for. */
int nanosleep(const struct timespec *how_long, struct timespec *left)
{
    return fixed_time ? 0 : (int)syscall(SYS_nanosleep, how_long, left);
}

/* Vigna, splitmix64. */
ssize_t getrandom(void *buf, size_t len, unsigned flags)
{
    unsigned char *out = buf;
    uint64_t z = 0;

    if (!fixed_random)
        return syscall(SYS_getrandom, buf, len, flags);
    for (size_t i = 0; i < len; i++) {
        if (i % 8 == 0) {
            z = atomic_fetch_add(&fixed_random, 0x9e3779b97f4a7c15) + 0x9e3779b97f4a7c15;
            z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
            z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
            z ^= z >> 31;
        }
        out[i] = (unsigned char)(z >> (i % 8 * 8));
    }
    return (ssize_t)len;
}
