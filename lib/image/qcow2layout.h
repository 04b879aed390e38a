/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where everything of a qcow2 image is that is written at once (the format: docs/interop/qcow2.txt of
 * QEMU, version 3): header, refcounts, and tables come first, then the clusters that hold data, in the
 * disk's order. So all places are known before the first byte is written, and data can be written to
 * them in any order, by any number of threads.
 *
 * The result is what qemu-img makes of the same disk but for the order of its clusters. No backing file,
 * nothing compressed or encrypted, refcounts of 16 bits.
 */
#ifndef IMAGE_QCOW2LAYOUT_H
#define IMAGE_QCOW2LAYOUT_H

#include "base/vec.h"
#include "image/blockdev.h"

#define VMSCM_QCOW2LAYOUT_BITS_MIN 12 /* clusters are no smaller than the blocks that zeros are told in */
#define VMSCM_QCOW2LAYOUT_BITS_MAX 21

/* Clusters with data, one after the other on the disk and in the file. */
struct vmscm_qcow2layout_run {
    uint64_t guest, host, count; /* in clusters */
};

struct vmscm_qcow2layout {
    unsigned bits; /* of an offset in a cluster */
    bool lazy_refcounts;
    bool zstd; /* how the disk's user may compress clusters later on */
    uint64_t size;     /* of the disk, whole sectors */
    uint64_t clusters; /* of the file */
    uint64_t l1_entries, l2_tables;
    uint64_t refcount_table_clusters, refcount_blocks, l1_clusters;
    VMSCM_VEC(struct vmscm_qcow2layout_run) runs;
};

/* Lay out a disk of `size` bytes, whole sectors, as which source is seen (what is behind its end is zeros).
 * canceled (may be NULL) is asked now and then; non-zero: VMSCM_ECANCELED. VMSCM_EUNSUPPORTED: the tables
 * would be larger than QEMU takes, or there are too many runs. Zero-initialised before; release it. */
int vmscm_qcow2layout_plan(struct vmscm_qcow2layout *layout, struct vmscm_blockdev *source,
    uint64_t size, unsigned bits, int (*canceled)(void *data), void *data,
    struct vmscm_error *err);

void vmscm_qcow2layout_release(struct vmscm_qcow2layout *layout);

/* The file's length. */
uint64_t vmscm_qcow2layout_length(const struct vmscm_qcow2layout *layout);

/* Where in the file what is at `offset` of the disk goes, and how many bytes (*len) from there on go side
 * by side. 0: nothing was to be there. */
uint64_t vmscm_qcow2layout_find(const struct vmscm_qcow2layout *layout, uint64_t offset,
    uint64_t *len);

/* All that is not data, in the file's order and clusters as they are: put gets one after the other, from
 * the file's first byte on. */
int vmscm_qcow2layout_tables(const struct vmscm_qcow2layout *layout,
    int (*put)(void *data, const void *bytes, size_t len, struct vmscm_error *err), void *data,
    struct vmscm_error *err);

/* Write that to an empty file, whose length is set. */
int vmscm_qcow2layout_write(const struct vmscm_qcow2layout *layout, int fd, const char *path,
    struct vmscm_error *err);

#endif
