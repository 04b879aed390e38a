/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/objstream.h"
#include "base/endian.h"

#include <string.h>

void vmscm_objstream_encode(uint8_t out[VMSCM_OBJSTREAM_HEAD], unsigned type, uint64_t length)
{
    out[0] = (uint8_t)type;
    vmscm_put_le64(out + 1, length);
}

static uint64_t limit(unsigned type)
{
    return type == VMSCM_OBJSTREAM_BLOB ? VMSCM_OBJSTREAM_MAX : VMSCM_OBJSTREAM_META_MAX;
}

int vmscm_objstream_feed(struct vmscm_objstream *stream, const void *piece, size_t len,
    int (*each)(void *data, unsigned type, const void *bytes, size_t len, struct vmscm_error *err),
    void *data, struct vmscm_error *err)
{
    struct vmscm_buf *pending = &stream->pending;
    size_t at = 0;
    int rc = vmscm_buf_append(pending, piece, len, err);

    while (!rc && pending->len - at >= VMSCM_OBJSTREAM_HEAD) {
        const uint8_t *head = pending->data + at;
        uint64_t length = vmscm_get_le64(head + 1);
        if (head[0] < VMSCM_OBJSTREAM_COMMIT || head[0] > VMSCM_OBJSTREAM_TAG ||
            length > limit(head[0]))
            return vmscm_error_set(
                err, VMSCM_EINPUT, "the other side sent an object that cannot be read");
        if (pending->len - at - VMSCM_OBJSTREAM_HEAD < length)
            break;
        rc = each(data, head[0], head + VMSCM_OBJSTREAM_HEAD, (size_t)length, err);
        at += VMSCM_OBJSTREAM_HEAD + (size_t)length;
    }
    if (at) {
        memmove(pending->data, pending->data + at, pending->len - at);
        pending->len -= at;
    }
    return rc;
}

int vmscm_objstream_end(const struct vmscm_objstream *stream, struct vmscm_error *err)
{
    return stream->pending.len
        ? vmscm_error_set(err, VMSCM_EINPUT, "the other side sent a history that ends early")
        : 0;
}

void vmscm_objstream_release(struct vmscm_objstream *stream)
{
    vmscm_buf_release(&stream->pending);
}
