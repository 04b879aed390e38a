/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/leaf.h"
#include "base/endian.h"

#include <stdlib.h>

#define LEAF_VERSION 1
#define CHUNK_BIT 0x8000u

static const uint8_t magic[4] = {'V', 'L', 'E', 'F'};

int vmscm_leaf_begin(struct vmscm_leaf *leaf, struct vmscm_error *err)
{
    uint8_t header[VMSCM_LEAF_HEADER_SIZE] = {0};

    leaf->bytes.len = 0;
    leaf->length = leaf->entries = 0;
    leaf->zero_at = 0;
    memcpy(header, magic, sizeof magic);
    header[4] = LEAF_VERSION;
    header[5] = VMSCM_HASH_SHA256;
    header[6] = VMSCM_LEAF_BLOCK_LOG2;
    return vmscm_buf_append(&leaf->bytes, header, sizeof header, err);
}

int vmscm_leaf_add(struct vmscm_leaf *leaf, uint32_t length, const struct vmscm_id *id,
    struct vmscm_error *err)
{
    uint32_t blocks = (length + VMSCM_LEAF_BLOCK - 1) / VMSCM_LEAF_BLOCK;
    int rc;

    if (length == 0 || length > VMSCM_LEAF_SEGMENT - leaf->length ||
        leaf->length % VMSCM_LEAF_BLOCK || (id && blocks > VMSCM_LEAF_CHUNK_BLOCKS_MAX))
        return vmscm_error_set(err, VMSCM_EUSAGE, "leaf entry of %u bytes does not fit", length);
    if (!id && leaf->zero_at) {
        blocks += vmscm_get_le16(leaf->bytes.data + leaf->zero_at);
        vmscm_put_le16(leaf->bytes.data + leaf->zero_at, (uint16_t)blocks);
    } else {
        leaf->zero_at = id ? 0 : leaf->bytes.len;
        if ((rc = vmscm_buf_put16(&leaf->bytes, (uint16_t)(blocks | (id ? CHUNK_BIT : 0)), err)) ||
            (id && (rc = vmscm_buf_append(&leaf->bytes, id->bytes, VMSCM_HASH_SIZE, err))))
            return rc;
        leaf->entries++;
    }
    leaf->length += length;
    return 0;
}

void vmscm_leaf_finish(struct vmscm_leaf *leaf, bool *all_zero)
{
    vmscm_put_le32(leaf->bytes.data + 8, leaf->length);
    vmscm_put_le32(leaf->bytes.data + 12, leaf->entries);
    *all_zero = leaf->entries == 0 || (leaf->entries == 1 && leaf->zero_at);
}

void vmscm_leaf_release(struct vmscm_leaf *leaf)
{
    vmscm_buf_release(&leaf->bytes);
}

int vmscm_leaf_decode(struct vmscm_leaf_entry **entries, size_t *count, uint32_t *length,
    const void *data, size_t len, struct vmscm_error *err)
{
    const uint8_t *p = data, *end;
    struct vmscm_leaf_entry *list = NULL;
    uint32_t total, n, at = 0;

    if (len < VMSCM_LEAF_HEADER_SIZE || memcmp(p, magic, sizeof magic) != 0)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "not a leaf");
    if (p[4] != LEAF_VERSION || p[5] != VMSCM_HASH_SHA256 || p[6] != VMSCM_LEAF_BLOCK_LOG2)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED,
            "leaf version %d, hash %d, block 2^%d: not known", p[4], p[5], p[6]);
    total = vmscm_get_le32(p + 8);
    n = vmscm_get_le32(p + 12);
    if (p[7] != 0 || total == 0 || total > VMSCM_LEAF_SEGMENT || n == 0 ||
        n > VMSCM_LEAF_BLOCKS || len > VMSCM_LEAF_SIZE_MAX)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "leaf header is impossible");
    end = p + len;
    p += VMSCM_LEAF_HEADER_SIZE;
    if (!(list = malloc(n * sizeof *list)))
        return vmscm_error_nomem(err);
    for (uint32_t i = 0; i < n; i++) {
        if (end - p < 2)
            goto damaged;
        uint32_t word = vmscm_get_le16(p), blocks = word & ~CHUNK_BIT;
        bool zero = !(word & CHUNK_BIT);
        p += 2;
        if (blocks == 0 || at >= total || (zero && i && list[i - 1].zero) ||
            (!zero && blocks > VMSCM_LEAF_CHUNK_BLOCKS_MAX))
            goto damaged;
        list[i] = (struct vmscm_leaf_entry){.offset = at, .zero = zero};
        if (blocks > (total - at + VMSCM_LEAF_BLOCK - 1) / VMSCM_LEAF_BLOCK)
            goto damaged;
        list[i].length = blocks * VMSCM_LEAF_BLOCK;
        if (list[i].length > total - at)
            list[i].length = total - at;
        at += list[i].length;
        if (!zero) {
            if (end - p < VMSCM_HASH_SIZE)
                goto damaged;
            memcpy(list[i].id.bytes, p, VMSCM_HASH_SIZE);
            p += VMSCM_HASH_SIZE;
        }
    }
    if (p != end || at != total)
        goto damaged;
    *entries = list;
    *count = n;
    *length = total;
    return 0;
damaged:
    free(list);
    return vmscm_error_set(err, VMSCM_EDAMAGED, "leaf entries do not fill its segment");
}
