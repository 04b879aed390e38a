/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/segment.h"
#include "chunk/cutter.h"
#include "repo/leafread.h"
#include "sys/direct.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW (512u << 10)
#define AROUND (128u << 10)  /* the same around a change: most chunks are shorter */
#define CLUSTER (64u << 10)  /* a compressed cluster read in two parts is inflated twice */

int vmscm_segment_worker_init(struct vmscm_segment_worker *w, struct vmscm_ingest *ingest,
    struct vmscm_store *store, int (*canceled)(void *data, struct vmscm_error *err), void *data,
    struct vmscm_error *err)
{
    int rc;

    *w = (struct vmscm_segment_worker){.canceled = canceled, .data = data};
    if ((rc = vmscm_hash_new(&w->hash, err)) ||
        (rc = vmscm_ingest_lane_new(&w->lane, ingest, err)) ||
        (store && (rc = vmscm_fetch_new(&w->fetch, store, err))))
        return rc;
    /* From the start of a page the kernel copies much faster. */
    w->window = vmscm_direct_alloc(WINDOW);
    return w->window ? 0 : vmscm_error_nomem(err);
}

void vmscm_segment_worker_release(struct vmscm_segment_worker *w)
{
    vmscm_hash_free(w->hash);
    vmscm_ingest_lane_free(w->lane);
    vmscm_fetch_free(w->fetch);
    vmscm_leaf_release(&w->leaf);
    vmscm_buf_release(&w->base_bytes);
    free(w->base);
    free(w->window);
}

/* See to it that the window begins at `at` and holds at least `least` bytes, or all up to limit: if
 * something must be read, about `goal` bytes. Offsets are in the segment, which begins at start. */
static int fill(struct vmscm_segment_worker *w, struct vmscm_blockdev *dev, uint64_t start,
    uint32_t at, uint32_t least, uint32_t goal, uint32_t limit, struct vmscm_error *err)
{
    uint32_t past = at - w->from, want;
    int rc;

    if (at < w->from || past >= w->have)
        w->have = 0;
    else if (past)
        memmove(w->window, w->window + past, w->have -= past);
    w->from = at;
    if (w->have >= least || at + w->have == limit)
        return 0;
    want = goal - w->have;
    if (want > limit - at - w->have)
        want = limit - at - w->have;
    else
        want -= (uint32_t)((start + at + goal) % CLUSTER);
    if ((rc = w->canceled(w->data, err)) ||
        (rc = vmscm_blockdev_pread(dev, w->window + w->have, want, start + at + w->have, err)))
        return rc;
    w->have += want;
    return 0;
}

/* Add a zero run or a chunk of len bytes, which begins the window. */
static int add_zeros(struct vmscm_segment_worker *w, uint32_t *at, uint32_t len,
    struct vmscm_error *err)
{
    *at += len;
    return vmscm_leaf_add(&w->leaf, len, NULL, err);
}

/* The chunks that the base has from `at` on, len bytes; returns how many. Called with rising `at`. */
static size_t find_near(struct vmscm_segment_worker *w, uint32_t at, uint32_t len,
    struct vmscm_id near[VMSCM_PACK_BASES_MAX])
{
    size_t count = 0;

    while (w->near < w->base_count && w->base[w->near].offset + w->base[w->near].length <= at)
        w->near++;
    for (size_t i = w->near; i < w->base_count && w->base[i].offset < at + len; i++)
        if (!w->base[i].zero && count < VMSCM_PACK_BASES_MAX)
            near[count++] = w->base[i].id;
    return count;
}

/* Whether a chunk need not be stored: the base has it, and that is had elsewhere. */
static bool is_promised(const struct vmscm_segment_worker *w, const struct vmscm_id *id)
{
    for (size_t i = 0; w->promised && i < w->base_count; i++)
        if (!w->base[i].zero && vmscm_hash_cmp(&w->base[i].id, id) == 0)
            return true;
    return false;
}

static int add_chunk(struct vmscm_segment_worker *w, struct vmscm_segment *segment,
    const uint8_t *p, uint32_t *at, uint32_t len, struct vmscm_error *err)
{
    struct vmscm_id id, near[VMSCM_PACK_BASES_MAX];
    int rc;

    if ((rc = vmscm_hash_compute(w->hash, &id, p, len, err)) ||
        (!is_promised(w, &id) &&
            (rc = vmscm_ingest_lane_add_near(w->lane, segment->unit, &id, p, len, near,
                 find_near(w, *at, len, near), err))))
        return rc;
    *at += len;
    segment->read += len;
    segment->chunks++;
    return vmscm_leaf_add(&w->leaf, len, &id, err);
}

/* Cut one zero run or chunk at *at, of which the window holds the bytes. *len: how long it is; 0:
 * there must be more in the window to tell. */
static int cut(struct vmscm_segment_worker *w, struct vmscm_segment *segment, uint32_t *at,
    uint32_t limit, uint32_t *len, struct vmscm_error *err)
{
    const uint8_t *p = w->window + (*at - w->from);
    uint32_t left = w->have - (*at - w->from);
    size_t blocks = vmscm_cutter_zero_blocks(p, left);
    bool zero = blocks > 0;

    if (!zero)
        blocks = vmscm_cutter_next(p, left);
    *len = blocks * VMSCM_CUTTER_BLOCK < left ? (uint32_t)blocks * VMSCM_CUTTER_BLOCK : left;
    /* A chunk that takes all there is might be longer. */
    if (!zero && *len == left && left < VMSCM_CUTTER_MAX && *at + left < limit) {
        *len = 0;
        return 0;
    }
    return zero ? add_zeros(w, at, *len, err) : add_chunk(w, segment, p, at, *len, err);
}

/* How far the data at `at` goes, up to the end of the segment, in whole blocks: after it comes at
 * least one block of zeros that need not be read. *limit == at: they are here, up to *zeros. */
static int find_data(struct vmscm_blockdev *dev, uint64_t start, uint32_t at, uint32_t length,
    uint32_t *limit, uint32_t *zeros, struct vmscm_error *err)
{
    for (*limit = at; *limit < length;) {
        uint64_t len;
        bool zero;
        int rc = vmscm_blockdev_extent(dev, start + *limit, &len, &zero, err);
        if (rc)
            return rc;
        if (len > length - *limit)
            len = length - *limit;
        uint64_t end = *limit + len;
        if (end < length)
            end &= ~(uint64_t)(VMSCM_CUTTER_BLOCK - 1);
        if (zero && end > *limit) {
            *zeros = (uint32_t)end;
            return 0;
        }
        end = *limit + len + VMSCM_CUTTER_BLOCK - 1;
        end &= ~(uint64_t)(VMSCM_CUTTER_BLOCK - 1);
        *limit = end < length ? (uint32_t)end : length;
    }
    return 0;
}

static int scan_whole(struct vmscm_segment_worker *w, struct vmscm_blockdev *dev,
    struct vmscm_segment *segment, uint64_t start, uint32_t length, struct vmscm_error *err)
{
    uint32_t at = 0, limit = 0, zeros = 0, len;
    int rc = 0;

    while (at < length && !rc) {
        if (at >= limit) {
            if ((rc = find_data(dev, start, at, length, &limit, &zeros, err)))
                break;
            if (limit == at) {
                rc = add_zeros(w, &at, zeros - at, err);
                continue;
            }
        }
        rc = fill(w, dev, start, at, VMSCM_CUTTER_MAX, WINDOW, limit, err);
        /* All but a chunk that may become longer: the less is moved to the window's start. */
        for (len = 1; !rc && len && at < w->from + w->have;)
            rc = cut(w, segment, &at, limit, &len, err);
    }
    return rc;
}

/* The entries of the segment in the disk's base. *whole: they are for as many bytes as it has. If they
 * cannot be had, there are none: a damaged base is no reason to fail, what is read anew mends it. */
static int load_base(struct vmscm_segment_worker *w, const struct vmscm_scan_disk *disk,
    uint64_t number, uint32_t length, bool *whole, struct vmscm_error *err)
{
    const struct vmscm_map_run *run;
    int rc;

    free(w->base);
    w->base = NULL;
    w->base_count = w->near = 0;
    *whole = w->promised = false;
    if (!disk->base || number >= vmscm_map_segments(disk->base->size))
        return 0;
    run = vmscm_map_run(disk->base, number);
    if (run->zero) {
        if (!(w->base = malloc(sizeof *w->base)))
            return vmscm_error_nomem(err);
        *w->base = (struct vmscm_leaf_entry){.length = length, .zero = true};
        w->base_count = 1;
        *whole = true;
        return 0;
    }
    rc = vmscm_leafread_entries(&w->base, &w->base_count, w->fetch, &w->base_bytes, &run->leaf,
        vmscm_map_segment_length(disk->base->size, number), NULL);
    *whole = !rc && vmscm_map_segment_length(disk->base->size, number) == length;
    w->base_leaf = run->leaf;
    w->promised = !rc && disk->promises && vmscm_promises_has(disk->promises, &run->leaf);
    return rc == VMSCM_ENOMEM ? vmscm_error_nomem(err) : 0;
}

/* Bytes from `at` on that can be taken over from entry e, which holds `at`. */
static uint32_t unchanged_from(const struct vmscm_leaf_entry *e, uint32_t at, uint32_t length,
    uint64_t change)
{
    uint32_t end = e->offset + e->length;

    if (e->zero) {
        if (change >= end)
            return end - at;
        change &= ~(uint64_t)(VMSCM_CUTTER_BLOCK - 1);
        return change > at ? (uint32_t)change - at : 0;
    }
    if (at != e->offset)
        return 0;
    return change >= (uint64_t)end + VMSCM_CUTTER_BLOCK || (end == length && change >= end)
        ? e->length
        : 0;
}

static int scan_changes(struct vmscm_segment_worker *w, const struct vmscm_scan_disk *disk,
    struct vmscm_segment *segment, uint64_t start, uint32_t length, struct vmscm_error *err)
{
    const struct vmscm_leaf_entry *e = w->base;
    uint32_t at = 0, limit = 0, zeros = 0, len;
    int rc = 0;

    while (at < length && !rc) {
        while (e->offset + e->length <= at)
            e++;
        uint64_t change = vmscm_changes_next(disk->changes, start + at);
        if (change != UINT64_MAX)
            change -= start;
        len = unchanged_from(e, at, length, change);
        if (len) {
            at += len;
            rc = vmscm_leaf_add(&w->leaf, len, e->zero ? NULL : &e->id, err);
            continue;
        }
        /* What was discarded since. */
        if (at >= limit && (rc = find_data(disk->dev, start, at, length, &limit, &zeros, err)))
            break;
        if (limit == at) {
            rc = add_zeros(w, &at, zeros - at, err);
            continue;
        }
        if (!(rc = fill(w, disk->dev, start, at, VMSCM_CUTTER_BLOCK, AROUND, limit, err)) &&
            !(rc = cut(w, segment, &at, limit, &len, err)) && !len &&
            !(rc = fill(w, disk->dev, start, at, VMSCM_CUTTER_MAX, WINDOW, limit, err)))
            rc = cut(w, segment, &at, limit, &len, err);
    }
    return rc;
}

int vmscm_segment_scan(struct vmscm_segment_worker *w, const struct vmscm_scan_disk *disk,
    struct vmscm_segment *segment, struct vmscm_error *err)
{
    uint64_t start = segment->number << VMSCM_LEAF_SEGMENT_LOG2;
    uint32_t length = vmscm_map_segment_length(disk->dev->size, segment->number);
    bool whole;
    int rc;

    w->from = w->have = 0;
    segment->read = segment->chunks = 0;
    if ((rc = vmscm_leaf_begin(&w->leaf, err)) ||
        (rc = load_base(w, disk, segment->number, length, &whole, err)))
        return rc;
    rc = disk->changes && whole ? scan_changes(w, disk, segment, start, length, err)
                                : scan_whole(w, disk->dev, segment, start, length, err);
    if (rc)
        return rc;
    vmscm_leaf_finish(&w->leaf, &segment->zero);
    if (segment->zero)
        return 0;
    if ((rc = vmscm_hash_compute(
             w->hash, &segment->leaf, w->leaf.bytes.data, w->leaf.bytes.len, err)))
        return rc;
    if (w->promised && vmscm_hash_cmp(&w->base_leaf, &segment->leaf) == 0)
        return 0;
    /* What is relied on is told by that leaf, which must be here then. */
    if (w->promised &&
        (rc = vmscm_ingest_lane_add(w->lane, segment->unit, VMSCM_PACK_LEAF, &w->base_leaf,
             w->base_bytes.data, w->base_bytes.len, err)))
        return rc;
    return vmscm_ingest_lane_add(w->lane, segment->unit, VMSCM_PACK_LEAF, &segment->leaf,
        w->leaf.bytes.data, w->leaf.bytes.len, err);
}
