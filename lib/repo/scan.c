/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/scan.h"
#include "base/vec.h"
#include "repo/handle.h"
#include "repo/segment.h"
#include "sys/parallel.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PROGRESS_NS 100000000

/* Segments of a disk that have data, or may have changed. */
struct found {
    VMSCM_VEC(struct vmscm_segment) list;
};

struct scan {
    struct vmscm_scan_disk *disks;
    size_t disk_count;
    struct vmscm_ingest *ingest;
    struct vmscm_store *store;
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

/* From s->offset on, the next byte that must be looked at: past zeros, or past what did not change.
 * The disk's size: none. */
static int next_offset(struct scan *s, uint64_t *offset, struct vmscm_error *err)
{
    const struct vmscm_scan_disk *disk = &s->disks[s->disk];
    uint64_t size = disk->dev->size, len, end;
    bool zero;
    int rc;

    *offset = s->offset;
    if (disk->changes) {
        *offset = vmscm_changes_next(disk->changes, *offset);
        if (*offset > size)
            *offset = size;
        return 0;
    }
    while (*offset < size) {
        if ((rc = vmscm_blockdev_extent(disk->dev, *offset, &len, &zero, err)))
            return rc;
        if (!zero)
            break;
        /* On to the segment in which the zeros end. */
        end = *offset + len;
        if (end < size)
            end &= ~(uint64_t)(VMSCM_LEAF_SEGMENT - 1);
        if (end <= *offset)
            break;
        *offset = end;
    }
    return 0;
}

/* The next segment to do: its disk, its place in the disk's list. *more is false when there is
 * none. The lock is held. */
static int next_segment(struct scan *s, size_t *disk, size_t *slot, bool *more,
    struct vmscm_error *err)
{
    int rc = vmscm_handle_canceled(s->events, err);

    *more = false;
    while (!rc && s->disk < s->disk_count) {
        struct vmscm_segment *seg;
        uint64_t size = s->disks[s->disk].dev->size;
        if (s->offset < size && (rc = next_offset(s, &s->offset, err)))
            return rc;
        if (s->offset >= size) {
            s->done_before += size;
            s->disk++;
            s->offset = 0;
            continue;
        }
        if (vmscm_vec_add(&s->found[s->disk].list, &seg, err))
            return VMSCM_ENOMEM;
        *seg = (struct vmscm_segment){
            .number = s->offset >> VMSCM_LEAF_SEGMENT_LOG2, .unit = s->units++};
        *disk = s->disk;
        *slot = s->found[s->disk].list.len - 1;
        *more = true;
        s->offset = (seg->number + 1) << VMSCM_LEAF_SEGMENT_LOG2;
        break;
    }
    return rc;
}

/* Callers' callbacks are never called from two threads at once. */
static int check_canceled(void *data, struct vmscm_error *err)
{
    struct scan *s = data;

    pthread_mutex_lock(&s->lock);
    int rc = vmscm_handle_canceled(s->events, err);
    pthread_mutex_unlock(&s->lock);
    return rc;
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
    struct vmscm_segment_worker w;
    int rc;

    (void)index;
    rc = vmscm_segment_worker_init(&w, s->ingest, s->store, check_canceled, s, err);
    while (!rc && !atomic_load(&p->stop)) {
        struct vmscm_segment segment = {0};
        size_t disk, slot;
        bool more;
        pthread_mutex_lock(&s->lock);
        rc = next_segment(s, &disk, &slot, &more, err);
        if (!rc && more)
            segment = s->found[disk].list.items[slot];
        pthread_mutex_unlock(&s->lock);
        if (rc || !more)
            break;
        if ((rc = vmscm_segment_scan(&w, &s->disks[disk], &segment, err)) ||
            (rc = vmscm_ingest_lane_end_unit(w.lane, segment.unit, err)))
            break;
        pthread_mutex_lock(&s->lock);
        s->found[disk].list.items[slot] = segment;
        s->read += segment.read;
        s->chunks += segment.chunks;
        show(s, false);
        pthread_mutex_unlock(&s->lock);
    }
    if (rc)
        vmscm_ingest_stop(s->ingest);
    vmscm_segment_worker_release(&w);
    return rc;
}

/* Segments that were not looked at, up to `end`: as they were in the base, or zeros. */
static int add_others(struct vmscm_scan_disk *disk, uint64_t at, uint64_t end,
    struct vmscm_error *err)
{
    int rc = 0;

    if (!disk->changes)
        return at < end ? vmscm_map_add(&disk->map, end - at, NULL, err) : 0;
    const struct vmscm_map_run *run = at < end ? vmscm_map_run(disk->base, at) : NULL;
    for (; at < end && !rc; run++) {
        uint64_t stop = run->first + run->count < end ? run->first + run->count : end;
        rc = vmscm_map_add(&disk->map, stop - at, run->zero ? NULL : &run->leaf, err);
        at = stop;
    }
    return rc;
}

static int build_map(struct vmscm_scan_disk *disk, const struct vmscm_segment *found,
    size_t count, struct vmscm_error *err)
{
    uint64_t at = 0;
    int rc = 0;

    disk->map.size = disk->dev->size;
    for (size_t i = 0; i < count && !rc; i++) {
        if (!(rc = add_others(disk, at, found[i].number, err)))
            rc = vmscm_map_add(&disk->map, 1, found[i].zero ? NULL : &found[i].leaf, err);
        at = found[i].number + 1;
    }
    return rc ? rc : add_others(disk, at, vmscm_map_segments(disk->dev->size), err);
}

int vmscm_scan_run(struct vmscm_scan_disk *disks, size_t count, struct vmscm_ingest *ingest,
    struct vmscm_store *store, unsigned jobs, const struct vmscm_events *events,
    struct vmscm_scan_counts *counts, struct vmscm_error *err)
{
    struct scan s = {
        .disks = disks, .disk_count = count, .ingest = ingest, .store = store, .events = events};
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
