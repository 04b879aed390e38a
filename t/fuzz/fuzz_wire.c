/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzz target of lib/format/wire and objstream: the first byte says which message the rest is. What is
 * accepted and can be encoded again becomes the same bytes.
 */
#include "format/objstream.h"
#include "format/wire.h"

#include <stdlib.h>
#include <string.h>

static int each_object(void *data, unsigned type, const void *bytes, size_t len,
    struct vmscm_error *err)
{
    size_t *total = data;

    (void)err;
    if (type < VMSCM_OBJSTREAM_COMMIT || type > VMSCM_OBJSTREAM_TAG || len > VMSCM_OBJSTREAM_MAX)
        abort();
    /* Every byte is there. */
    for (size_t i = 0; i < len; i++)
        *total += ((const uint8_t *)bytes)[i];
    return 0;
}

static void same(const struct vmscm_buf *buf, const uint8_t *data, size_t size)
{
    if (buf->len != size || (size && memcmp(buf->data, data, size) != 0))
        abort();
}

static void check_objects(const uint8_t *data, size_t size)
{
    struct vmscm_objstream s = {{0}};
    size_t total = 0, half = size / 2;

    if (!vmscm_objstream_feed(&s, data, half, each_object, &total, NULL) &&
        !vmscm_objstream_feed(&s, data + half, size - half, each_object, &total, NULL))
        vmscm_objstream_end(&s, NULL);
    vmscm_objstream_release(&s);
}

static void check_refs(struct vmscm_buf *buf, const uint8_t *data, size_t size)
{
    struct vmscm_wire_ref ref;
    const uint8_t *at = data;
    size_t left = size;

    while (left)
        if (vmscm_wire_decode_ref(&ref, &at, &left, NULL))
            return;
        else if (vmscm_wire_encode_ref(buf, &ref, NULL))
            abort();
    same(buf, data, size);
}

static void check_lists(struct vmscm_buf *buf, unsigned kind, const uint8_t *data, size_t size)
{
    const uint8_t *ids, *bits;
    struct vmscm_id leaf;
    unsigned role;
    size_t count;

    if (kind == VMSCM_WIRE_ENTRIES) {
        if (!vmscm_wire_decode_entries(&leaf, &bits, &count, data, size, NULL) &&
            !vmscm_wire_encode_entries(buf, &leaf, bits, count, NULL))
            same(buf, data, size);
    } else if (kind == VMSCM_WIRE_BITS) {
        if (!vmscm_wire_decode_bits(&bits, &count, data, size, NULL) &&
            !vmscm_wire_encode_bits(buf, bits, count, NULL))
            same(buf, data, size);
    } else {
        size_t each = kind == VMSCM_WIRE_IDS ? VMSCM_HASH_SIZE : VMSCM_WIRE_OID_SIZE;
        if (!vmscm_wire_decode_list(&role, &ids, &count, each, data, size, NULL) &&
            !vmscm_wire_encode_list(buf, role, ids, count, each, NULL))
            same(buf, data, size);
    }
}

static void check_block(const uint8_t *data, size_t size)
{
    const uint8_t *stored;
    unsigned algorithm;
    uint32_t plain;
    size_t len;

    if (!vmscm_wire_decode_block(&algorithm, &plain, &stored, &len, data, size, NULL) &&
        (plain > VMSCM_WIRE_BLOCK_MAX || stored + len != data + size))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    struct vmscm_wire_opening opening;
    struct vmscm_wire_update update;
    struct vmscm_wire_result result;
    struct vmscm_wire_info info;
    struct vmscm_error said = VMSCM_ERROR_INIT;
    uint64_t total;
    uint32_t length;
    unsigned type, kind;

    if (!size)
        return 0;
    kind = *data++ % 18;
    size--;
    switch (kind) {
    case 0:
        if (size >= VMSCM_WIRE_HEAD_SIZE &&
            !vmscm_wire_decode_head(&type, &length, data, NULL) && length > VMSCM_WIRE_FRAME_MAX)
            abort();
        break;
    case VMSCM_WIRE_REQUEST:
        if (!vmscm_wire_decode_opening(&opening, data, size, NULL) &&
            !vmscm_wire_encode_opening(&buf, &opening, NULL))
            same(&buf, data, size);
        break;
    case VMSCM_WIRE_ERROR:
        if (!vmscm_wire_decode_error(&said, data, size, NULL) && !said.code)
            abort();
        break;
    case VMSCM_WIRE_INFO:
        if (!vmscm_wire_decode_info(&info, data, size, NULL) &&
            !vmscm_wire_encode_info(&buf, &info, NULL))
            same(&buf, data, size);
        break;
    case VMSCM_WIRE_REFS:
        check_refs(&buf, data, size);
        break;
    case VMSCM_WIRE_HISTORY:
        check_block(data, size);
        break;
    case VMSCM_WIRE_COMMITS:
    case VMSCM_WIRE_IDS:
    case VMSCM_WIRE_ENTRIES:
    case VMSCM_WIRE_BITS:
        check_lists(&buf, kind, data, size);
        break;
    case VMSCM_WIRE_UPDATE:
        if (!vmscm_wire_decode_update(&update, data, size, NULL) &&
            !vmscm_wire_encode_update(&buf, &update, NULL))
            same(&buf, data, size);
        break;
    case VMSCM_WIRE_RESULT:
        vmscm_wire_decode_result(&result, data, size, NULL);
        break;
    case VMSCM_WIRE_TOTAL:
        vmscm_wire_decode_total(&total, data, size, NULL);
        break;
    case 17:
        check_objects(data, size);
        break;
    }
    vmscm_buf_release(&buf);
    return 0;
}
