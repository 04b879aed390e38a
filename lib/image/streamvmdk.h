/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writing streamOptimized vmdk ("Virtual Disk Format 5.0", VMware: "Stream-Optimized Compressed Sparse
 * Extents"): from the first byte to the last, so that it may go into a pipe. Grains of 64 KiB, each
 * compressed by itself, those of zeros left out; by several threads, and the same bytes whatever their
 * number.
 */
#ifndef IMAGE_STREAMVMDK_H
#define IMAGE_STREAMVMDK_H

#include "image/blockdev.h"

struct vmscm_streamvmdk_options {
    const char *name;    /* that its descriptor gives the file */
    const char *adapter; /* "lsilogic", "ide", "buslogic", "legacyESX"; NULL: lsilogic */
    unsigned hardware;   /* virtual hardware version; 0: 4 */
    uint32_t cid;        /* content id: another one for other content */
    int level;           /* of zlib, 1 to 9 */
    unsigned jobs;
    _Atomic uint64_t *read; /* bytes of the disk that were read are added to it; may be NULL */
    /* Takes what comes next; its failure ends it. From the calling thread. */
    int (*put)(void *data, const void *bytes, size_t len, struct vmscm_error *err);
    /* Bytes of the disk done so far; may be NULL. Non-zero cancels: VMSCM_ECANCELED. */
    int (*progress)(void *data, uint64_t done);
    void *data;
};

/* The disk's size is rounded up to whole sectors. VMSCM_EUNSUPPORTED: over 2 TiB would be written, or the
 * disk is over 64 TiB. Memory: 40 MiB, and 1 MiB a thread. */
int vmscm_streamvmdk_write(struct vmscm_blockdev *dev,
    const struct vmscm_streamvmdk_options *options, struct vmscm_error *err);

#endif
