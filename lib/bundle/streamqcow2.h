/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writing qcow2 (docs/interop/qcow2.txt of QEMU, version 3) from the first byte to the last, so that it may
 * go into an archive or a pipe, and the same bytes each time: clusters of 64 KiB, tables before the data.
 * What reads as zeros is left out. Internal to lib/bundle.
 */
#ifndef BUNDLE_STREAMQCOW2_H
#define BUNDLE_STREAMQCOW2_H

#include "image/blockdev.h"

struct vmscm_streamqcow2;

/* Looks where there is data; the disk must stay. Sizes of no whole sectors are rounded up.
 * VMSCM_EUNSUPPORTED: too large. */
int vmscm_streamqcow2_open(struct vmscm_streamqcow2 **out, struct vmscm_blockdev *disk,
    struct vmscm_error *err);
void vmscm_streamqcow2_close(struct vmscm_streamqcow2 *image); /* NULL is fine */

/* Bytes that the image will be. */
uint64_t vmscm_streamqcow2_size(const struct vmscm_streamqcow2 *image);

/* put gets all of them, in order; progress (may be NULL) is told how much of the disk is done, and cancels
 * with non-zero. */
int vmscm_streamqcow2_write(struct vmscm_streamqcow2 *image,
    int (*put)(void *data, const void *bytes, size_t len, struct vmscm_error *err),
    int (*progress)(void *data, uint64_t done), void *data, struct vmscm_error *err);

#endif
