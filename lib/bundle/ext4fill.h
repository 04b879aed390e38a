/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A container's files into a new ext4 file system. The stream that is stored is read twice: for what is
 * there, and for what is in it. Memory grows with the number of members, some 150 bytes each, not with their
 * sizes. Internal to lib/bundle.
 */
#ifndef BUNDLE_EXT4FILL_H
#define BUNDLE_EXT4FILL_H

#include "bundle/ext4fs.h"
#include "image/blockdev.h"
#include <vmscm/events.h>

struct vmscm_ext4fill_options {
    uint64_t size; /* of the file system, bytes; 0: as its content needs */
    uint8_t uuid[16], hash_seed[16];
    int64_t time;
    /* How much of the stream is done; non-zero cancels. */
    int (*progress)(void *data, uint64_t done);
    void *data;
    const struct vmscm_events *events; /* what ext4 cannot hold is a warning */
};

/* path: an empty file. VMSCM_EINPUT, VMSCM_EREFUSED: the archive cannot be unpacked, and which member is why;
 * VMSCM_EUNSUPPORTED: it does not fit. */
int vmscm_ext4fill_make(const char *path, struct vmscm_blockdev *stream,
    const struct vmscm_ext4fill_options *options, struct vmscm_error *err);

#endif
