/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A file in memory that is kept from one input of a fuzz target to the next: making one takes longer than
 * most of what reads it. */
#ifndef FUZZ_MEMFILE_H
#define FUZZ_MEMFILE_H

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* *fd is -1 before the first one. */
static inline void memfile_set(int *fd, const void *data, size_t size)
{
    if (*fd < 0)
        *fd = memfd_create("input", MFD_CLOEXEC);
    if (*fd < 0 || ftruncate(*fd, (off_t)size) < 0 ||
        (size && pwrite(*fd, data, size, 0) != (ssize_t)size))
        abort();
}

#endif
