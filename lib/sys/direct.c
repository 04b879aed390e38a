/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sys/direct.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *vmscm_direct_alloc(size_t len)
{
    size_t mask = VMSCM_DIRECT_BLOCK - 1;

    return len <= SIZE_MAX - mask ? aligned_alloc(VMSCM_DIRECT_BLOCK, (len + mask) & ~mask) : NULL;
}

bool vmscm_direct_set(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0)
        return false;
    if (fcntl(fd, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT) < 0)
        return (flags & O_DIRECT) != 0;
    return on;
}

static int reopen(int fd, int how)
{
    char path[32];

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, how | O_DIRECT | O_CLOEXEC);
}

int vmscm_direct_reopen(int fd)
{
    return reopen(fd, O_RDWR);
}

/* Read into `into`, or write from `from`. */
static int transfer(int fd, size_t *done, char *into, const char *from, size_t len, uint64_t offset,
    const char *path, struct vmscm_error *err)
{
    const size_t mask = VMSCM_DIRECT_BLOCK - 1;
    uintptr_t memory = into ? (uintptr_t)into : (uintptr_t)from;

    *done = 0;
    while (len - *done > mask && !((memory + *done) & mask) && !((offset + *done) & mask)) {
        size_t want = (len - *done) & ~mask;
        off_t at = (off_t)(offset + *done);
        ssize_t n = into ? pread(fd, into + *done, want, at) : pwrite(fd, from + *done, want, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0 || (n < 0 && errno == EINVAL))
            break;
        if (n < 0)
            return vmscm_error_errno(err, errno, "%s: %s", path, into ? "reading" : "writing");
        *done += (size_t)n;
    }
    return 0;
}

int vmscm_direct_put(int fd, size_t *done, const void *data, size_t len, uint64_t offset,
    const char *path, struct vmscm_error *err)
{
    return transfer(fd, done, NULL, data, len, offset, path, err);
}

int vmscm_direct_get(int fd, size_t *done, void *data, size_t len, uint64_t offset,
    const char *path, struct vmscm_error *err)
{
    return transfer(fd, done, data, NULL, len, offset, path, err);
}

bool vmscm_direct_pays(uint64_t bytes)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

    return pages > 0 && size > 0 && bytes > (uint64_t)pages * (uint64_t)size / 4;
}

/* Whether the page cache has all of it; also where that cannot be seen. (RWF_NOWAIT would tell, but
 * reads ahead.) */
static bool is_cached(int fd, uint64_t start, size_t len)
{
    unsigned char pages[256];
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = sizeof pages * page;
    uint8_t *map = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, (off_t)start);
    bool all = true;

    if (map == MAP_FAILED)
        return true;
    for (size_t at = 0; all && at < len; at += room) {
        size_t n = len - at < room ? len - at : room;
        if (mincore(map + at, n, pages) < 0)
            break;
        for (size_t i = 0; all && i < (n + page - 1) / page; i++)
            all = pages[i] & 1;
    }
    munmap(map, len);
    return all;
}

int vmscm_direct_pread_once(int fd, const uint8_t **data, uint8_t *memory, size_t len,
    uint64_t offset, const char *path, struct vmscm_error *err)
{
    uint64_t start = offset & ~(uint64_t)(VMSCM_DIRECT_BLOCK - 1);
    size_t before = (size_t)(offset - start), done = 0;
    size_t whole = (before + len + VMSCM_DIRECT_BLOCK - 1) & ~((size_t)VMSCM_DIRECT_BLOCK - 1);
    int direct = -1, rc = 0;

    *data = memory + before;
    if (!is_cached(fd, start, before + len) && (direct = reopen(fd, O_RDONLY)) >= 0) {
        rc = vmscm_direct_get(direct, &done, memory, whole, start, path, err);
        close(direct);
    }
    /* The last block of a file is read as far as it goes, and no further. */
    if (rc || done >= before + len)
        return rc;
    return vmscm_file_pread(fd, memory + before, len, offset, path, err);
}

int vmscm_direct_pwrite(int fd, bool *on, const void *data, size_t len, uint64_t offset,
    const char *path, struct vmscm_error *err)
{
    const char *p = data;

    while (*on && len) {
        ssize_t n = pwrite(fd, p, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EINVAL) {
            *on = vmscm_direct_set(fd, false);
            if (!*on)
                break;
        }
        if (n < 0)
            return vmscm_error_errno(err, errno, "%s: writing", path);
        p += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return len ? vmscm_file_pwrite(fd, p, len, offset, path, err) : 0;
}
