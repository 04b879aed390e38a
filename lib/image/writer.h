/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writing a disk out as an image file of any format. raw: parallel, sparse, by ourselves. Others:
 * a confined qemu-img convert reads from our own NBD server on a private socket.
 */
#ifndef IMAGE_WRITER_H
#define IMAGE_WRITER_H

#include "image/blockdev.h"
#include "image/probe.h"
#include <vmscm/events.h>

struct vmscm_writer_options {
    enum vmscm_probe_format format;
    const struct vmscm_machine_option *options; /* qemu-img -o */
    size_t option_count;
    unsigned jobs;
    bool resume; /* raw: path may hold part of the disk; write only what differs */
    /* Called with bytes of guest address space done so far, from one thread at a time; may be
     * NULL. Non-zero cancels (VMSCM_ECANCELED). */
    int (*progress)(void *data, uint64_t done);
    void *data;
    const struct vmscm_events *events; /* warnings; may be NULL */
};

/* Make path (and, for formats of several files, files beside it named after it) from source.
 * Synced to disk when it returns. *written: bytes of data. On failure the files are removed,
 * except a raw one that can be resumed.
 * Errors: VMSCM_EUNSUPPORTED: the format cannot hold this size or option; VMSCM_ETOOL;
 * VMSCM_EIO; what reading source gives; VMSCM_ECANCELED. */
int vmscm_writer_write(struct vmscm_blockdev *source, const char *path,
    const struct vmscm_writer_options *options, uint64_t *written, struct vmscm_error *err);

/* The guest-visible size the format would give this disk: *size, which is at least the one asked
 * for (whole sectors). VMSCM_EUNSUPPORTED if it cannot hold it. */
int vmscm_writer_size(uint64_t *size, enum vmscm_probe_format format, uint64_t wanted,
    struct vmscm_error *err);

/* Check "NAME=VALUE" for a format against the creation options we know and allow (no option that
 * names a file or an encryption secret). VMSCM_EUSAGE. */
int vmscm_writer_check_option(enum vmscm_probe_format format, const char *name,
    const char *value, struct vmscm_error *err);

#endif
