/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/scan.h"
#include "base/vec.h"
#include "chunk/cutter.h"
#include "codec/hash.h"
#include "format/leaf.h"
#include "repo/handle.h"
#include "sys/parallel.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WINDOW (512u << 10) /* bytes read at once; more than the longest chunk */
#define CLUSTER (64u << 10) /* a compressed cluster read in two parts is inflated twice */
#define PROGRESS_NS 100000000

/* A segment that has data, and what became of it. */
struct segment {
    uint64_t number; /* in its disk */
    struct vmscm_id leaf;
    bool zero;
};

struct found {
    VMSCM_VEC(struct segment) list;
};

struct scan {
    struct vmscm_scan_disk *disks;
    size_t disk_count;
    struct vmscm_ingest *ingest;
    const struct vmscm_events *events;
    uint64_t total; /* guest bytes */

    pthread_mutex_t lock; /* guards all below */
    size_t disk;          /* at hand */
    uint64_t offset;      /* in it; segments are handed out in order */
    uint64_t done_before; /* guest bytes of the disks before it */
    uint64_t units;       /* handed out */
    uint64_t read, chunks;
    struct found *found; /* one a disk */
    struct timespec shown;
};

struct worker {
    struct scan *scan;
    struct vmscm_hash *hash;
    struct vmscm_ingest_lane *lane;
    struct vmscm_leaf leaf;
    uint8_t *window;
    uint64_t read, chunks; /* of the segment at hand */
};

/* The next segment with data: its disk, its place in the disk's list, its unit. *more is false when
 * there is none. */
static int next_segment(struct scan *s, size_t *disk, size_t *slot, uint64_t *unit, bool *more,
    struct vmscm_error *err)
{
    *more = false;
    while (s->disk < s->disk_count) {
        struct vmscm_blockdev *dev = s->disks[s->disk].dev;
        uint64_t len;
        bool zero;
        int rc;
        if (s->offset >= dev->size) {
            s->done_before += dev->size;
            s->disk++;
            s->offset = 0;
            continue;
        }
        if ((rc = vmscm_blockdev_extent(dev, s->offset, &len, &zero, err)))
            return rc;
        if (zero) {
            /* On to the segment in which the zeros end. */
            uint64_t end = s->offset + len;
            if (end < dev->size)
                end &= ~(uint64_t)(VMSCM_LEAF_SEGMENT - 1);
            if (end > s->offset) {
                s->offset = end;
                continue;
            }
        }
        struct segment *seg;
        if (vmscm_vec_add(&s->found[s->disk].list, &seg, err))
            return VMSCM_ENOMEM;
        seg->number = s->offset >> VMSCM_LEAF_SEGMENT_LOG2;
        *disk = s->disk;
        *slot = s->found[s->disk].list.len - 1;
        *unit = s->units++;
        *more = true;
        s->offset = (seg->number + 1) << VMSCM_LEAF_SEGMENT_LOG2;
        return 0;
    }
    return 0;
}

/* Cut what the window holds, up to what may still become longer; returns the bytes consumed. */
static int cut(struct worker *w, uint64_t unit, size_t have, bool last, size_t *used,
    struct vmscm_error *err)
{
    size_t at = 0;

    while (at < have && (last || have - at >= VMSCM_CUTTER_MAX)) {
        const uint8_t *p = w->window + at;
        size_t left = have - at, blocks = vmscm_cutter_zero_blocks(p, left), len;
        struct vmscm_id id;
        int rc;
        if (blocks) {
            len = blocks * VMSCM_CUTTER_BLOCK < left ? blocks * VMSCM_CUTTER_BLOCK : left;
            rc = vmscm_leaf_add(&w->leaf, (uint32_t)len, NULL, err);
        } else {
            len = vmscm_cutter_next(p, left) * VMSCM_CUTTER_BLOCK;
            if (len > left)
                len = left;
            if (!(rc = vmscm_hash_compute(w->hash, &id, p, len, err)) &&
                !(rc = vmscm_ingest_add(w->lane, unit, VMSCM_PACK_CHUNK, &id, p, len, err)))
                rc = vmscm_leaf_add(&w->leaf, (uint32_t)len, &id, err);
            w->read += len;
            w->chunks++;
        }
        if (rc)
            return rc;
        at += len;
    }
    *used = at;
    return 0;
}

/* Callers' callbacks are never called from two threads at once. */
static int check_canceled(struct scan *s, struct vmscm_error *err)
{
    pthread_mutex_lock(&s->lock);
    int rc = vmscm_handle_canceled(s->events, err);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

static int scan_segment(struct worker *w, struct vmscm_blockdev *dev, uint64_t number,
    uint64_t unit, struct segment *out, struct vmscm_error *err)
{
    uint64_t start = number << VMSCM_LEAF_SEGMENT_LOG2;
    uint64_t end = start + vmscm_map_segment_length(dev->size, number);
    uint64_t at = start; /* of the window's first byte */
    size_t have = 0, used;
    int rc = vmscm_leaf_begin(&w->leaf, err);

    while (at < end && !rc) {
        if ((rc = check_canceled(w->scan, err)))
            return rc;
        if (have == 0) {
            uint64_t len;
            bool zero;
            if ((rc = vmscm_blockdev_extent(dev, at, &len, &zero, err)))
                return rc;
            if (len > end - at)
                len = end - at;
            if (at + len < end)
                len &= ~(uint64_t)(VMSCM_CUTTER_BLOCK - 1);
            if (zero && len) {
                rc = vmscm_leaf_add(&w->leaf, (uint32_t)len, NULL, err);
                at += len;
                continue;
            }
        }
        size_t want = WINDOW - have;
        if (want > end - at - have)
            want = (size_t)(end - at - have);
        else
            want -= (size_t)((at + have + want) % CLUSTER);
        if ((rc = vmscm_blockdev_pread(dev, w->window + have, want, at + have, err)))
            return rc;
        have += want;
        if ((rc = cut(w, unit, have, at + have == end, &used, err)))
            return rc;
        memmove(w->window, w->window + used, have - used);
        have -= used;
        at += used;
    }
    if (rc)
        return rc;
    vmscm_leaf_finish(&w->leaf, &out->zero);
    if (out->zero)
        return 0;
    if ((rc = vmscm_hash_compute(
             w->hash, &out->leaf, w->leaf.bytes.data, w->leaf.bytes.len, err)))
        return rc;
    return vmscm_ingest_add(w->lane, unit, VMSCM_PACK_LEAF, &out->leaf, w->leaf.bytes.data,
        w->leaf.bytes.len, err);
}

/* Called with the lock held. */
static void show(struct scan *s, bool now)
{
    struct vmscm_ingest_counts counts;
    struct vmscm_progress p = {.phase = "checking in", .total = s->total};
    struct timespec t;

    if (!s->events || !s->events->progress)
        return;
    clock_gettime(CLOCK_MONOTONIC, &t);
    if (!now && (t.tv_sec - s->shown.tv_sec) * 1000000000 + (t.tv_nsec - s->shown.tv_nsec) <
            PROGRESS_NS)
        return;
    s->shown = t;
    vmscm_ingest_count(s->ingest, &counts);
    p.item = s->disk < s->disk_count ? s->disks[s->disk].name : NULL;
    p.done = now ? s->total : s->done_before + s->offset;
    p.read = s->read;
    p.fresh = counts.fresh;
    p.stored = counts.stored;
    s->events->progress(s->events->data, &p);
}

static int work(struct vmscm_parallel *p, unsigned index, struct vmscm_error *err)
{
    struct scan *s = p->data;
    struct worker w = {.scan = s};
    int rc;

    (void)index;
    if ((rc = vmscm_hash_new(&w.hash, err)) ||
        (rc = vmscm_ingest_lane_new(&w.lane, s->ingest, err)))
        goto out;
    if (!(w.window = malloc(WINDOW))) {
        rc = vmscm_error_nomem(err);
        goto out;
    }
    while (!atomic_load(&p->stop)) {
        struct segment result = {0};
        uint64_t unit;
        size_t disk, slot;
        bool more;
        pthread_mutex_lock(&s->lock);
        rc = next_segment(s, &disk, &slot, &unit, &more, err);
        if (!rc && more)
            result = s->found[disk].list.items[slot];
        pthread_mutex_unlock(&s->lock);
        if (rc || !more)
            break;
        w.read = w.chunks = 0;
        if ((rc = scan_segment(&w, s->disks[disk].dev, result.number, unit, &result, err)) ||
            (rc = vmscm_ingest_end_unit(w.lane, unit, err)))
            break;
        pthread_mutex_lock(&s->lock);
        s->found[disk].list.items[slot] = result;
        s->read += w.read;
        s->chunks += w.chunks;
        show(s, false);
        pthread_mutex_unlock(&s->lock);
    }
out:
    if (rc)
        vmscm_ingest_stop(s->ingest);
    vmscm_hash_free(w.hash);
    vmscm_ingest_lane_free(w.lane);
    vmscm_leaf_release(&w.leaf);
    free(w.window);
    return rc;
}

/* Segments in order, zeros between them. */
static int build_map(struct vmscm_scan_disk *disk, const struct segment *found, size_t count,
    struct vmscm_error *err)
{
    uint64_t at = 0, segments = vmscm_map_segments(disk->dev->size);
    int rc = 0;

    disk->map.size = disk->dev->size;
    for (size_t i = 0; i < count && !rc; i++) {
        if (found[i].number > at)
            rc = vmscm_map_add(&disk->map, found[i].number - at, NULL, err);
        if (!rc)
            rc = vmscm_map_add(&disk->map, 1, found[i].zero ? NULL : &found[i].leaf, err);
        at = found[i].number + 1;
    }
    if (!rc && segments > at)
        rc = vmscm_map_add(&disk->map, segments - at, NULL, err);
    return rc;
}

int vmscm_scan_run(struct vmscm_scan_disk *disks, size_t count, struct vmscm_ingest *ingest,
    unsigned jobs, const struct vmscm_events *events, struct vmscm_scan_counts *counts,
    struct vmscm_error *err)
{
    struct scan s = {
        .disks = disks, .disk_count = count, .ingest = ingest, .events = events};
    int rc;

    pthread_mutex_init(&s.lock, NULL);
    clock_gettime(CLOCK_MONOTONIC, &s.shown);
    for (size_t i = 0; i < count; i++)
        s.total += disks[i].dev->size;
    if (!(s.found = calloc(count, sizeof *s.found)))
        rc = vmscm_error_nomem(err);
    else
        rc = vmscm_parallel_run(jobs, work, &s, err);
    for (size_t i = 0; i < count && s.found; i++) {
        if (!rc)
            rc = build_map(&disks[i], s.found[i].list.items, s.found[i].list.len, err);
        vmscm_vec_release(&s.found[i].list);
    }
    if (!rc)
        show(&s, true);
    counts->read = s.read;
    counts->chunks = s.chunks;
    free(s.found);
    pthread_mutex_destroy(&s.lock);
    return rc;
}
