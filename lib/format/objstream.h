/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Git objects one after the other, as they travel: a type, a length, the bytes; vmscm-format-remote(5).
 * They may come in pieces of any length. No more is allocated than has come, whatever a length says.
 * Threading: one thread at a time.
 */
#ifndef FORMAT_OBJSTREAM_H
#define FORMAT_OBJSTREAM_H

#include "base/buf.h"

#define VMSCM_OBJSTREAM_HEAD 9
#define VMSCM_OBJSTREAM_MAX (256u << 20) /* bytes of one blob: a disk's map may be that large */
#define VMSCM_OBJSTREAM_META_MAX (64u << 20) /* of any other object */

enum vmscm_objstream_type {
    VMSCM_OBJSTREAM_COMMIT = 1,
    VMSCM_OBJSTREAM_TREE = 2,
    VMSCM_OBJSTREAM_BLOB = 3,
    VMSCM_OBJSTREAM_TAG = 4,
};

/* Zero-initialised it is at the beginning. */
struct vmscm_objstream {
    struct vmscm_buf pending;
};

void vmscm_objstream_encode(uint8_t out[VMSCM_OBJSTREAM_HEAD], unsigned type, uint64_t length);

/* Take in the next piece; each(data, type, bytes, len, err) for every object that is whole by then, whose
 * bytes are borrowed. VMSCM_EINPUT; what each returns that is not 0 ends it. */
int vmscm_objstream_feed(struct vmscm_objstream *stream, const void *piece, size_t len,
    int (*each)(void *data, unsigned type, const void *bytes, size_t len, struct vmscm_error *err),
    void *data, struct vmscm_error *err);

/* VMSCM_EINPUT if it ended within an object. */
int vmscm_objstream_end(const struct vmscm_objstream *stream, struct vmscm_error *err);

void vmscm_objstream_release(struct vmscm_objstream *stream);

#endif
