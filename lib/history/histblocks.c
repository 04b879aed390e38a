/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/histblocks.h"
#include "codec/compress.h"
#include "format/objstream.h"

struct blocks {
    int (*each)(void *data, const uint8_t head[VMSCM_WIRE_BLOCK_HEAD], const uint8_t *packed,
        size_t len, struct vmscm_error *err);
    void *data;
    struct vmscm_compress *compress;
    struct vmscm_buf plain, packed;
};

static int flush(struct blocks *s, struct vmscm_error *err)
{
    enum vmscm_compress_algorithm algorithm;
    uint8_t head[VMSCM_WIRE_BLOCK_HEAD];
    size_t len;
    int rc;

    if (!s->plain.len)
        return 0;
    s->packed.len = 0;
    if ((rc = vmscm_buf_reserve(&s->packed, s->plain.len, err)) ||
        (rc = vmscm_compress_encode(s->compress, s->packed.data, &len, &algorithm, s->plain.data,
             s->plain.len, NULL, 0, err)))
        return rc;
    vmscm_wire_encode_block(head, algorithm, (uint32_t)s->plain.len);
    s->plain.len = 0;
    return s->each(s->data, head, s->packed.data, len, err);
}

static int put(struct blocks *s, const uint8_t *bytes, size_t len, struct vmscm_error *err)
{
    int rc = 0;

    while (len && !rc) {
        size_t n = VMSCM_WIRE_BLOCK_MAX - s->plain.len;
        if (n > len)
            n = len;
        if (!(rc = vmscm_buf_append(&s->plain, bytes, n, err)) &&
            s->plain.len == VMSCM_WIRE_BLOCK_MAX)
            rc = flush(s, err);
        bytes += n;
        len -= n;
    }
    return rc;
}

static int put_object(void *data, enum vmscm_novel_type type, const void *bytes, size_t len,
    struct vmscm_error *err)
{
    struct blocks *s = data;
    uint8_t head[VMSCM_OBJSTREAM_HEAD];
    int rc;

    vmscm_objstream_encode(head, type, len);
    return (rc = put(s, head, sizeof head, err)) ? rc : put(s, bytes, len, err);
}

int vmscm_histblocks_run(struct vmscm_novel *const *novels, size_t count,
    int (*each)(void *data, const uint8_t head[VMSCM_WIRE_BLOCK_HEAD], const uint8_t *packed,
        size_t len, struct vmscm_error *err),
    void *data, struct vmscm_error *err)
{
    struct blocks blocks = {.each = each, .data = data};
    int rc = vmscm_compress_new(&blocks.compress, VMSCM_COMPRESS_LEVEL_DEFAULT, err);

    for (size_t i = 0; i < count && !rc; i++)
        rc = vmscm_novel_objects(novels[i], true, put_object, &blocks, err);
    if (!rc)
        rc = flush(&blocks, err);
    vmscm_compress_free(blocks.compress);
    vmscm_buf_release(&blocks.plain);
    vmscm_buf_release(&blocks.packed);
    return rc;
}
