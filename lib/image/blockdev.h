/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A readable disk as the guest sees it: what check-in reads, what the NBD server serves, what
 * writers copy from. Implementations: raw files, extents of mapped images, qemu over NBD, and (in
 * lib/repo) a stored revision.
 *
 * Threading: pread and extent may be called from several threads at once on one device. Closing
 * is for one thread, after the others are done.
 */
#ifndef IMAGE_BLOCKDEV_H
#define IMAGE_BLOCKDEV_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VMSCM_BLOCKDEV_PART ((uint64_t)16 << 20)

struct vmscm_blockdev;

struct vmscm_blockdev_ops {
    /* Exactly len bytes at offset, all below the size. */
    int (*pread)(struct vmscm_blockdev *dev, void *data, size_t len, uint64_t offset,
        struct vmscm_error *err);
    /* What is at offset: *zero says whether it reads as zeros without being read, *len how far
     * that holds (at least 1, at most up to the size). NULL: everything is data. */
    int (*extent)(struct vmscm_blockdev *dev, uint64_t offset, uint64_t *len, bool *zero,
        struct vmscm_error *err);
    /* All data from offset to end, in the order and with as many threads as suit: each(data, bytes,
     * len, offset, err) for every piece, each byte once; its failure ends it. Zeros are left out.
     * offset and end are multiples of VMSCM_BLOCKDEV_PART, or the end of the disk. NULL: there is no
     * better way than reading. */
    int (*scatter)(struct vmscm_blockdev *dev, uint64_t offset, uint64_t end, unsigned jobs,
        int (*each)(void *data, const void *bytes, size_t len, uint64_t offset,
            struct vmscm_error *err),
        void *data, struct vmscm_error *err);
    /* VMSCM_EBUSY if the source changed since it was opened. NULL: it cannot. */
    int (*unchanged)(struct vmscm_blockdev *dev, struct vmscm_error *err);
    void (*close)(struct vmscm_blockdev *dev);
};

/* Implementations embed this as their first member. */
struct vmscm_blockdev {
    const struct vmscm_blockdev_ops *ops;
    uint64_t size;    /* bytes the guest sees */
    const char *name; /* for messages; owned by the implementation */
    unsigned threads; /* that should read it at once, for the jobs it was opened for; 0: as many */
    uint64_t data;    /* bytes of it, at most, that are not zeros; 0: not known */
};

/* As the operations, with bounds checked and defaults filled in. */
int vmscm_blockdev_pread(struct vmscm_blockdev *dev, void *data, size_t len, uint64_t offset,
    struct vmscm_error *err);
int vmscm_blockdev_extent(struct vmscm_blockdev *dev, uint64_t offset, uint64_t *len, bool *zero,
    struct vmscm_error *err);
int vmscm_blockdev_unchanged(struct vmscm_blockdev *dev, struct vmscm_error *err);
void vmscm_blockdev_close(struct vmscm_blockdev *dev); /* NULL is fine */

#endif
