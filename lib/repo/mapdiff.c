/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/mapdiff.h"
#include "repo/leafread.h"
#include "store/batch.h"

#include <stdlib.h>

static int add_range(struct vmscm_mapdiff *d, uint64_t offset, uint64_t length,
    struct vmscm_error *err)
{
    struct vmscm_diff_range *last =
        d->ranges.len ? &d->ranges.items[d->ranges.len - 1] : NULL;

    if (last && last->offset + last->length == offset) {
        last->length += length;
        return 0;
    }
    if (vmscm_vec_add(&d->ranges, &last, err))
        return VMSCM_ENOMEM;
    *last = (struct vmscm_diff_range){offset, length};
    return 0;
}

/* A segment's entries; one zero entry where the segment is zero or beyond the disk's end. */
static int load_entries(struct vmscm_mapdiff *d, const struct vmscm_map *map, uint64_t segment,
    uint32_t want, struct vmscm_leaf_entry **entries, size_t *count, struct vmscm_error *err)
{
    const struct vmscm_map_run *run =
        map && segment < vmscm_map_segments(map->size) ? vmscm_map_run(map, segment) : NULL;
    if (!run || run->zero) {
        if (!(*entries = calloc(1, sizeof **entries)))
            return vmscm_error_nomem(err);
        **entries = (struct vmscm_leaf_entry){.length = want, .zero = true};
        *count = 1;
        return 0;
    }
    if (vmscm_leafread_entries(entries, count, d->fetch, &d->bytes, &run->leaf,
            vmscm_map_segment_length(map->size, segment), err))
        return vmscm_error_prefix(err, "segment %llu", (unsigned long long)segment);
    return 0;
}

static uint32_t end_of(const struct vmscm_leaf_entry *e)
{
    return e->offset + e->length;
}

/* Both lists side by side: bytes are the same where both are zero, or both are the same chunk at
 * the same place. */
static int diff_entries(struct vmscm_mapdiff *d, uint64_t start, uint32_t length,
    const struct vmscm_leaf_entry *x, size_t nx, const struct vmscm_leaf_entry *y, size_t ny,
    struct vmscm_error *err)
{
    size_t i = 0, j = 0;
    uint32_t at = 0;
    int rc = 0;

    while (at < length && !rc) {
        const struct vmscm_leaf_entry *a = i < nx ? &x[i] : NULL, *b = j < ny ? &y[j] : NULL;
        uint32_t end = length;
        if (a && end_of(a) < end)
            end = end_of(a);
        if (b && end_of(b) < end)
            end = end_of(b);
        bool za = !a || a->zero, zb = !b || b->zero;
        bool same = za && zb;
        if (!za && !zb)
            same = a->offset == b->offset && vmscm_hash_cmp(&a->id, &b->id) == 0;
        if (!same)
            rc = add_range(d, start + at, end - at, err);
        at = end;
        if (a && end_of(a) == end)
            i++;
        if (b && end_of(b) == end)
            j++;
    }
    return rc;
}

static int diff_segment(struct vmscm_mapdiff *d, const struct vmscm_map *a,
    const struct vmscm_map *b, uint64_t segment, uint32_t length, struct vmscm_error *err)
{
    struct vmscm_leaf_entry *x = NULL, *y = NULL;
    size_t nx = 0, ny = 0;
    int rc;

    if (d->at_most)
        return add_range(d, segment << VMSCM_LEAF_SEGMENT_LOG2, length, err);
    if (!(rc = load_entries(d, a, segment, length, &x, &nx, err)) &&
        !(rc = load_entries(d, b, segment, length, &y, &ny, err)) &&
        !(rc = d->segment ? d->segment(d->data, x, nx, y, ny, err) : 0))
        rc = diff_entries(
            d, segment << VMSCM_LEAF_SEGMENT_LOG2, length, x, nx, y, ny, err);
    if (rc == VMSCM_EDAMAGED && d->lenient) {
        vmscm_error_clear(err);
        d->at_most = true;
        rc = add_range(d, segment << VMSCM_LEAF_SEGMENT_LOG2, length, err);
    }
    free(x);
    free(y);
    return rc;
}

/* Whether a run of both maps is the same, and how many segments that holds from n on. */
static bool same_run(const struct vmscm_map *a, const struct vmscm_map *b, uint64_t n,
    uint64_t *count)
{
    const struct vmscm_map_run *x =
        a && n < vmscm_map_segments(a->size) ? vmscm_map_run(a, n) : NULL;
    const struct vmscm_map_run *y =
        b && n < vmscm_map_segments(b->size) ? vmscm_map_run(b, n) : NULL;
    uint64_t cx = x ? x->first + x->count - n : UINT64_MAX;
    uint64_t cy = y ? y->first + y->count - n : UINT64_MAX;

    *count = cx < cy ? cx : cy;
    bool zx = !x || x->zero, zy = !y || y->zero;
    return zx || zy ? zx && zy : vmscm_hash_cmp(&x->leaf, &y->leaf) == 0;
}

static int want_leaf(struct vmscm_batch *batch, const struct vmscm_map *map, uint64_t segment,
    struct vmscm_error *err)
{
    const struct vmscm_map_run *run =
        map && segment < vmscm_map_segments(map->size) ? vmscm_map_run(map, segment) : NULL;

    return run && !run->zero ? vmscm_batch_add_leaf(batch, &run->leaf, err) : 0;
}

/* The leaves of what differs, all at once, where they are elsewhere. */
static int bring_leaves(struct vmscm_batch *batch, const struct vmscm_map *a,
    const struct vmscm_map *b, uint64_t size, struct vmscm_error *err)
{
    uint64_t count;
    int rc = 0;

    for (uint64_t n = 0; n < vmscm_map_segments(size) && !rc; n += count) {
        if (same_run(a, b, n, &count))
            continue;
        count = 1;
        if (!(rc = want_leaf(batch, a, n, err)))
            rc = want_leaf(batch, b, n, err);
    }
    return rc ? rc : vmscm_batch_bring(batch, err);
}

int vmscm_mapdiff_run(struct vmscm_mapdiff *d, const struct vmscm_map *a,
    const struct vmscm_map *b, struct vmscm_error *err)
{
    uint64_t size_a = a ? a->size : 0, size_b = b ? b->size : 0, count;
    uint64_t size = size_a > size_b ? size_a : size_b;
    struct vmscm_batch batch;
    int rc = 0;

    d->ranges.len = 0;
    d->at_most = false;
    if (vmscm_batch_init(&batch, vmscm_fetch_store(d->fetch)) && !d->lenient)
        rc = bring_leaves(&batch, a, b, size, err);
    for (uint64_t n = 0; n < vmscm_map_segments(size) && !rc; n += count) {
        if (same_run(a, b, n, &count))
            continue;
        count = 1;
        rc = diff_segment(d, a, b, n, vmscm_map_segment_length(size, n), err);
    }
    vmscm_batch_release(&batch);
    return rc;
}

void vmscm_mapdiff_release(struct vmscm_mapdiff *d)
{
    vmscm_vec_release(&d->ranges);
    vmscm_buf_release(&d->bytes);
}
