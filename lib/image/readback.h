/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What was written to a raw file, read back: at once, from the disk, what was written past the page
 * cache; all else at the end by checksums, through the page cache: what still is in memory is
 * compared there, what is not comes from the disk.
 */
#ifndef IMAGE_READBACK_H
#define IMAGE_READBACK_H

#include "base/error.h"
#include "base/vec.h"
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vmscm_readback_piece {
    uint64_t offset;
    uint64_t length;
    uint64_t sum;
    bool compared; /* sum means nothing */
};

struct vmscm_readback {
    pthread_mutex_t lock; /* guards all */
    VMSCM_VEC(uint8_t *) spare; /* memory to read into, last used last */
    VMSCM_VEC(struct vmscm_readback_piece) pieces;
};

void vmscm_readback_init(struct vmscm_readback *rb);
void vmscm_readback_release(struct vmscm_readback *rb);

/* Remember that this is at offset. Pieces may come in any order, from several threads, and do not
 * overlap. 32 bytes of memory each. */
int vmscm_readback_note(struct vmscm_readback *rb, uint64_t offset, const void *data, size_t len,
    struct vmscm_error *err);

/* Compare with what is at offset now, through fd, which is open for reading past the page cache.
 * The bytes count as noted. *done: how many were compared; the rest is less than a block, or cannot
 * be read in this way. VMSCM_EIO: they differ. */
int vmscm_readback_compare(struct vmscm_readback *rb, size_t *done, int fd, const char *path,
    uint64_t offset, const void *data, size_t len, struct vmscm_error *err);

/* Whether the first size bytes of the file are all pieces noted, and zeros between them. VMSCM_EIO:
 * they are not. VMSCM_ECANCELED: stop(data), called from one thread at a time, was true. */
int vmscm_readback_check(struct vmscm_readback *rb, int fd, const char *path, uint64_t size,
    unsigned jobs, bool (*stop)(void *data), void *data, struct vmscm_error *err);

#endif
