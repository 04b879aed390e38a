/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Allocations that fail. The C library's own allocator does the work. Without a point to fail at, the log
 * has a line for the first allocation of each call stack; else one for each that failed, and one for the
 * crash that came of it, if any: the number or "crash", and the stack.
 *
 * With VMSCM_SHIM_TEST a program of cmocka's runs just that one of its tests, from 1; where it has
 * none with that number the log is "none". Thus a failure costs no more than its own test.
 */
#include "shim.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

#define LOGGED 200     /* failures of a run that are logged */
#define DEPTH 16       /* frames of a stack that is logged, and by which stacks are told apart */
#define STACKS (1 << 17) /* more than any program here has */

static atomic_uint_fast64_t allocations;
static _Thread_local bool busy;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t seen[STACKS];

/* " FILE+OFFSET" for each frame: who asked for memory, or where the program crashed. */
static size_t print_stack(char *out, size_t size, void *const *frames, int count)
{
    size_t len = 0;

    for (int i = 0; i < count && len < size; i++) {
        Dl_info info = {0};
        dladdr(frames[i], &info);
        const char *file = info.dli_fname ? strrchr(info.dli_fname, '/') : NULL;
        len += (size_t)snprintf(out + len, size - len, " %.60s+%#lx", file ? file + 1 : "?",
            (unsigned long)((char *)frames[i] - (char *)info.dli_fbase));
    }
    return len < size ? len : size - 1;
}

static void say(const char *what, void *const *frames, int count)
{
    char line[4000];
    size_t len = (size_t)snprintf(line, sizeof line, "%s", what);

    len += print_stack(line + len, sizeof line - len - 1, frames, count);
    line[len++] = '\n';
    shim_log(line, len);
}

/* The stack of whoever called the function of this file that was called. */
static int stack(void *frames[DEPTH + 3], void *caller)
{
    int count = backtrace(frames, DEPTH + 3), first = 0;

    while (first < count && frames[first] != caller)
        first++;
    if (first == count)
        first = 0;
    memmove(frames, frames + first, (size_t)(count - first) * sizeof *frames);
    return count - first;
}

static bool is_new(void *const *frames, int count)
{
    uint64_t hash = 14695981039346656037u, at;
    bool is = false;

    for (int i = 0; i < count; i++)
        hash = (hash ^ (uint64_t)(uintptr_t)frames[i]) * 1099511628211u;
    hash |= hash == 0;
    pthread_mutex_lock(&lock);
    for (at = (hash ^ hash >> 32) % STACKS; seen[at] && seen[at] != hash;)
        at = (at + 1) % STACKS;
    is = !seen[at];
    seen[at] = hash;
    pthread_mutex_unlock(&lock);
    return is;
}

static bool fails(void *caller)
{
    void *frames[DEPTH + 3];
    char what[40];

    if (shim_config.mode != SHIM_MEMORY || busy || !shim_active())
        return false;
    uint64_t n = atomic_fetch_add(&allocations, 1) + 1;
    if (shim_config.point && (n < shim_config.point ||
            (shim_config.times && n - shim_config.point >= shim_config.times)))
        return false;
    /* It allocates, too, the first time. */
    busy = true;
    int count = stack(frames, caller);
    if (shim_config.point || is_new(frames, count)) {
        snprintf(what, sizeof what, "%llu", (unsigned long long)n);
        if (n - shim_config.point < LOGGED || !shim_config.point)
            say(what, frames, count);
    }
    busy = false;
    errno = ENOMEM;
    return shim_config.point != 0;
}

static const int crashes[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};

/* Whose fault it is, is told by where it was and who had asked for memory. */
static void crashed(int number)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    void *frames[DEPTH + 3];

    busy = true;
    say("crash", frames, backtrace(frames, DEPTH + 3));
    sigaction(number, &action, NULL);
    raise(number);
}

/* cmocka would call a crash a test that failed. */
sighandler_t signal(int number, sighandler_t handler)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART}, old;

    for (size_t i = 0; i < sizeof crashes / sizeof crashes[0]; i++)
        if (number == crashes[i])
            return SIG_DFL;
    return sigaction(number, &action, &old) < 0 ? SIG_ERR : old.sa_handler;
}

int _cmocka_run_group_tests(const char *name, const struct CMUnitTest *tests, size_t count,
    CMFixtureFunction setup, CMFixtureFunction teardown)
{
    __typeof__(&_cmocka_run_group_tests) run =
        (__typeof__(run))dlsym(RTLD_NEXT, "_cmocka_run_group_tests");
    const char *only = getenv("VMSCM_SHIM_TEST");
    size_t n = only ? strtoul(only, NULL, 10) : 0;

    if (n > count) {
        shim_log("none\n", 5);
        return 0;
    }
    return n ? run(name, tests + n - 1, 1, setup, teardown)
             : run(name, tests, count, setup, teardown);
}

__attribute__((constructor)) static void begin(void)
{
    static char other[1 << 16];
    struct sigaction action = {.sa_handler = crashed, .sa_flags = SA_ONSTACK | SA_NODEFER};
    void *frames[1];

    if (!getenv("VMSCM_SHIM_LOG"))
        return;
    busy = true;
    backtrace(frames, 1);
    busy = false;
    sigaltstack(&(stack_t){.ss_sp = other, .ss_size = sizeof other}, NULL);
    for (size_t i = 0; i < sizeof crashes / sizeof crashes[0]; i++)
        sigaction(crashes[i], &action, NULL);
}

void *malloc(size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(old, size);
}

void *reallocarray(void *old, size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(old, bytes);
}

void *memalign(size_t alignment, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    void *got = fails(__builtin_return_address(0)) ? NULL : __libc_memalign(alignment, size);

    if (!got)
        return ENOMEM;
    *out = got;
    return 0;
}

void *mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
    if (fails(__builtin_return_address(0)))
        return MAP_FAILED;
    return (void *)syscall(SYS_mmap, at, len, prot, flags, fd, offset);
}

void *mmap64(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
    if (fails(__builtin_return_address(0)))
        return MAP_FAILED;
    return (void *)syscall(SYS_mmap, at, len, prot, flags, fd, offset);
}
