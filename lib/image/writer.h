/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writing a disk out as an image file of any format. raw, and qcow2 and streamOptimized vmdk with
 * common options: parallel, sparse, by ourselves. Others: a confined qemu-img convert reads from our own
 * NBD server on a private socket.
 */
#ifndef IMAGE_WRITER_H
#define IMAGE_WRITER_H

#include "image/blockdev.h"
#include "image/probe.h"
#include <vmscm/diff.h>
#include <vmscm/events.h>

struct vmscm_writer_options {
    enum vmscm_probe_format format;
    const struct vmscm_machine_option *options; /* qemu-img -o */
    size_t option_count;
    unsigned jobs;
    bool resume; /* raw: path may hold part of the disk; write only what differs, and on failure
                    leave it for the next try */
    /* raw: path holds the disk but for `ranges` (in order, apart; may reach past the end), and
     * only they are looked at; otherwise as resume. */
    bool update;
    const struct vmscm_diff_range *ranges;
    size_t range_count;
    /* Called with bytes of guest address space done so far, from one thread at a time; may be
     * NULL. Non-zero cancels (VMSCM_ECANCELED). */
    int (*progress)(void *data, uint64_t done);
    bool readback; /* raw, all of it written anew: read it back; VMSCM_EIO if it differs */
    /* Called when all is written; a raw disk may be being synced meanwhile. May be NULL. Non-zero
     * is what the writer fails with. */
    int (*written)(void *data, struct vmscm_error *err);
    void *data;
    const struct vmscm_events *events; /* warnings; may be NULL */
};

/* Make path (and, for formats of several files, files beside it named after it) from source.
 * Synced to disk when it returns. *written (may be NULL): bytes of data written (raw) or read for
 * it (others). On failure the files are removed, except a raw one that can be resumed.
 * Errors: VMSCM_EEXIST: one of the files is there already; VMSCM_EUSAGE: an option, as
 * vmscm_writer_check_option; VMSCM_EUNSUPPORTED: the format cannot hold this size or option; VMSCM_ETOOL;
 * VMSCM_EIO; what reading source gives; VMSCM_ECANCELED. */
int vmscm_writer_write(struct vmscm_blockdev *source, const char *path,
    const struct vmscm_writer_options *options, uint64_t *written, struct vmscm_error *err);

/* The guest-visible size the format would give this disk: *size. raw holds any size; all others
 * whole sectors of 512 bytes, so that the size asked for is rounded up to them: the caller says so
 * to the user. (vpc too: the writer sets force_size, without which it would be rounded up to a
 * geometry.) VMSCM_EUNSUPPORTED if it cannot hold it. */
int vmscm_writer_size(uint64_t *size, enum vmscm_probe_format format, uint64_t wanted,
    struct vmscm_error *err);

/* Check "NAME=VALUE" for a format against the creation options we know and allow (no option that
 * names a file or an encryption secret). VMSCM_EUSAGE. */
int vmscm_writer_check_option(enum vmscm_probe_format format, const char *name,
    const char *value, struct vmscm_error *err);

#endif
