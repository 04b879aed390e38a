/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A bundle of history, to be read: vmscm-format-bundle(5). Nothing in it is believed; who takes it in does
 * with it as with what a remote answers. One thread at a time. */
#ifndef REMOTE_BUNDLEFILE_H
#define REMOTE_BUNDLEFILE_H

#include "base/vec.h"
#include "format/histbundle.h"
#include "remote/land.h"
#include "remote/stream.h"

struct vmscm_bundlefile {
    int fd;
    struct vmscm_stream *stream;
    struct vmscm_histbundle state;
    struct vmscm_wire_info info;
    struct vmscm_buf refs;                /* one after the other, as of VMSCM_WIRE_REFS; all can be decoded */
    VMSCM_VEC(struct vmscm_land_id) had;  /* revisions that must be there */
    VMSCM_VEC(struct vmscm_land_id) bare; /* whose data is not in it */
    struct vmscm_stream_frame frame;      /* the next; borrowed */
    bool has_frame;
};

/* Whether a path is that of a bundle. */
bool vmscm_bundlefile_is(const char *path);

/* Reads all that says what is in it. Errors: VMSCM_ENOTFOUND, VMSCM_EIO, VMSCM_EINPUT, VMSCM_EUNSUPPORTED. */
int vmscm_bundlefile_open(struct vmscm_bundlefile **out, const char *path,
    const struct vmscm_events *events, struct vmscm_error *err);
void vmscm_bundlefile_close(struct vmscm_bundlefile *b); /* NULL is fine */

/* The next frame, of history or a record. *over: that was all, the checksum was right, and nothing
 * follows. */
int vmscm_bundlefile_next(struct vmscm_bundlefile *b, struct vmscm_stream_frame *frame, bool *over,
    struct vmscm_error *err);

#endif
