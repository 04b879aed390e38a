/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/map.h"
#include "base/endian.h"

#define MAP_VERSION 1
#define HEADER_SIZE 24
#define RUN_ZERO 0
#define RUN_LEAF 1

static const uint8_t magic[4] = {'V', 'M', 'A', 'P'};

uint64_t vmscm_map_segments(uint64_t size)
{
    return (size >> VMSCM_LEAF_SEGMENT_LOG2) + ((size & (VMSCM_LEAF_SEGMENT - 1)) != 0);
}

uint32_t vmscm_map_segment_length(uint64_t size, uint64_t n)
{
    uint64_t left = size - (n << VMSCM_LEAF_SEGMENT_LOG2);
    return left < VMSCM_LEAF_SEGMENT ? (uint32_t)left : VMSCM_LEAF_SEGMENT;
}

int vmscm_map_add(struct vmscm_map *map, uint64_t count, const struct vmscm_id *leaf,
    struct vmscm_error *err)
{
    struct vmscm_map_run *last = map->runs.len ? &map->runs.items[map->runs.len - 1] : NULL;
    struct vmscm_map_run *run;

    if (last && last->zero == !leaf && (!leaf || vmscm_hash_cmp(&last->leaf, leaf) == 0)) {
        last->count += count;
        return 0;
    }
    uint64_t first = last ? last->first + last->count : 0;
    if (vmscm_vec_add(&map->runs, &run, err))
        return VMSCM_ENOMEM;
    *run = (struct vmscm_map_run){.first = first, .count = count, .zero = !leaf};
    if (leaf)
        run->leaf = *leaf;
    return 0;
}

const struct vmscm_map_run *vmscm_map_run(const struct vmscm_map *map, uint64_t n)
{
    size_t low = 0, high = map->runs.len;

    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (map->runs.items[mid].first <= n)
            low = mid;
        else
            high = mid;
    }
    return &map->runs.items[low];
}

int vmscm_map_encode(struct vmscm_buf *out, const struct vmscm_map *map, struct vmscm_error *err)
{
    uint8_t header[HEADER_SIZE] = {0};
    size_t start = out->len;
    int rc;

    memcpy(header, magic, sizeof magic);
    header[4] = MAP_VERSION;
    header[5] = VMSCM_HASH_SHA256;
    header[6] = VMSCM_LEAF_SEGMENT_LOG2;
    vmscm_put_le64(header + 8, map->size);
    vmscm_put_le32(header + 16, (uint32_t)map->runs.len);
    if ((rc = vmscm_buf_append(out, header, sizeof header, err)))
        return rc;
    for (size_t i = 0; i < map->runs.len; i++) {
        const struct vmscm_map_run *run = &map->runs.items[i];
        uint8_t head[8];
        vmscm_put_le64(head, run->count << 8 | (run->zero ? RUN_ZERO : RUN_LEAF));
        if ((rc = vmscm_buf_append(out, head, sizeof head, err)) ||
            (!run->zero && (rc = vmscm_buf_append(out, run->leaf.bytes, VMSCM_HASH_SIZE, err))))
            return rc;
        /* What no reader accepts must not be written. */
        if (out->len - start > VMSCM_MAP_BYTES_MAX)
            return vmscm_error_set(
                err, VMSCM_EUNSUPPORTED, "disk map: over %u MiB", VMSCM_MAP_BYTES_MAX >> 20);
    }
    return 0;
}

int vmscm_map_decode(struct vmscm_map *map, const void *data, size_t len, struct vmscm_error *err)
{
    const uint8_t *p = data, *end;
    uint64_t segments, at = 0;
    uint32_t runs;
    int rc = 0;

    *map = (struct vmscm_map){0};
    if (len < HEADER_SIZE || memcmp(p, magic, sizeof magic) != 0)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "not a disk map");
    if (p[4] != MAP_VERSION || p[5] != VMSCM_HASH_SHA256 || p[6] != VMSCM_LEAF_SEGMENT_LOG2)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED,
            "disk map version %d, hash %d, segment 2^%d: not known", p[4], p[5], p[6]);
    map->size = vmscm_get_le64(p + 8);
    runs = vmscm_get_le32(p + 16);
    if (p[7] != 0 || vmscm_get_le32(p + 20) != 0 || map->size > VMSCM_MAP_DISK_MAX)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "disk map header is impossible");
    segments = vmscm_map_segments(map->size);
    end = p + len;
    p += HEADER_SIZE;
    for (uint32_t i = 0; i < runs && !rc; i++) {
        struct vmscm_id leaf;
        if (end - p < 8)
            goto damaged;
        uint64_t word = vmscm_get_le64(p), count = word >> 8;
        p += 8;
        if (count == 0 || count > segments - at || (word & 0xff) > RUN_LEAF)
            goto damaged;
        if ((word & 0xff) == RUN_LEAF) {
            if (end - p < VMSCM_HASH_SIZE)
                goto damaged;
            memcpy(leaf.bytes, p, VMSCM_HASH_SIZE);
            p += VMSCM_HASH_SIZE;
        }
        rc = vmscm_map_add(map, count, (word & 0xff) == RUN_LEAF ? &leaf : NULL, err);
        at += count;
    }
    /* A run that could have been part of the one before it is not how we write it. */
    if (!rc && (p != end || at != segments || map->runs.len != runs))
        goto damaged;
    if (rc)
        vmscm_map_release(map);
    return rc;
damaged:
    vmscm_map_release(map);
    return vmscm_error_set(err, VMSCM_EDAMAGED, "disk map does not fill its disk");
}

bool vmscm_map_same(const struct vmscm_map *a, const struct vmscm_map *b)
{
    bool same = a->size == b->size && a->runs.len == b->runs.len;

    for (size_t i = 0; same && i < a->runs.len; i++) {
        const struct vmscm_map_run *x = &a->runs.items[i], *y = &b->runs.items[i];
        same = x->count == y->count && x->zero == y->zero &&
            (x->zero || vmscm_hash_cmp(&x->leaf, &y->leaf) == 0);
    }
    return same;
}

void vmscm_map_release(struct vmscm_map *map)
{
    vmscm_vec_release(&map->runs);
    map->size = 0;
}
