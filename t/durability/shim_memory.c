/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Allocations that fail. The C library's own allocator does the work. */
#include "shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
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

static atomic_uint_fast64_t allocations;

/* Who asked: library and function, for whoever looks into what then went wrong. */
static void say(uint64_t n, void *caller)
{
    static _Thread_local bool busy;
    char line[600];
    Dl_info info = {0};

    if (busy)
        return;
    busy = true;
    dladdr(caller, &info);
    const char *file = info.dli_fname ? strrchr(info.dli_fname, '/') : NULL;
    int len = snprintf(line, sizeof line, "%llu %.200s %.200s+%#lx\n", (unsigned long long)n,
        file ? file + 1 : "?", info.dli_sname ? info.dli_sname : "?",
        (unsigned long)((char *)caller - (char *)info.dli_fbase));
    shim_log(line, (size_t)len);
    busy = false;
}

static bool fails(void *caller)
{
    if (shim_config.mode != SHIM_MEMORY || !shim_active())
        return false;
    uint64_t n = atomic_fetch_add(&allocations, 1) + 1;
    if (!shim_config.point || n < shim_config.point ||
        (shim_config.times && n - shim_config.point >= shim_config.times))
        return false;
    if (n == shim_config.point)
        say(n, caller);
    errno = ENOMEM;
    return true;
}

__attribute__((destructor)) static void finish(void)
{
    if (shim_config.mode == SHIM_MEMORY && !shim_config.point && shim_active()) {
        char line[40];
        int len = snprintf(line, sizeof line, "%llu\n", (unsigned long long)allocations);
        shim_log(line, (size_t)len);
    }
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
