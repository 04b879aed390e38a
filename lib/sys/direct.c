/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sys/direct.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void *vmscm_direct_alloc(size_t len)
{
    return aligned_alloc(VMSCM_DIRECT_BLOCK, len);
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

int vmscm_direct_reopen(int fd)
{
    char path[32];

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
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
