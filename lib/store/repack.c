/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/repack.h"
#include "store/places.h"
#include "sys/parallel.h"

#include <pthread.h>

#define BATCH 256 /* entries of a unit, or a few more */

struct run {
    struct vmscm_repack *repack;
    const struct vmscm_live_pack *pack;
    struct vmscm_places places;
    pthread_mutex_t lock; /* guards next, the units and the callback */
    size_t next;
};

struct lane {
    struct run *run;
    struct vmscm_ingest_lane *ingest;
    struct vmscm_fetch *fetch;
    struct vmscm_buf part;
    uint64_t unit;
};

/* All parts of a record. */
static int copy_whole(struct lane *l, const struct vmscm_pack_entry *entries, size_t count,
    struct vmscm_error *err)
{
    struct vmscm_packwriter_part parts[VMSCM_PACK_PARTS_MAX];
    struct vmscm_packwriter_record record = {.type = entries[0].type,
        .has_base = entries[0].has_base,
        .parts = parts,
        .part_count = count,
        .len = entries[0].length};
    int rc = vmscm_fetch_record(
        l->fetch, l->run->pack->pack, entries, count, &record.bytes, err);

    for (size_t i = 0; i < count; i++)
        parts[i] = (struct vmscm_packwriter_part){entries[i].id, entries[i].plain_len};
    return rc ? rc : vmscm_ingest_lane_add_record(l->ingest, l->unit, &record, err);
}

static int copy_parts(struct lane *l, const struct vmscm_pack_entry *entries, size_t count,
    struct vmscm_error *err)
{
    int rc = 0;

    for (size_t i = 0; i < count && !rc; i++) {
        const struct vmscm_pack_entry *e = &entries[i];
        if (!vmscm_live_wants(l->run->pack, e->number))
            continue;
        if (!(rc = vmscm_fetch_part(l->fetch, l->run->pack->pack, e, &l->part, err)))
            rc = vmscm_ingest_lane_add(
                l->ingest, l->unit, e->type, &e->id, l->part.data, l->part.len, err);
    }
    return rc;
}

static int copy_record(struct lane *l, const struct vmscm_pack_entry *entries, size_t count,
    struct vmscm_error *err)
{
    size_t needed = 0;

    for (size_t i = 0; i < count; i++)
        needed += vmscm_live_wants(l->run->pack, entries[i].number);
    if (!needed)
        return 0;
    /* What is stored against others is small as it is, and would not be so without them. */
    if (needed == count && count <= VMSCM_PACK_PARTS_MAX &&
        (!l->run->repack->recompress || entries[0].has_base))
        return copy_whole(l, entries, count, err);
    return copy_parts(l, entries, count, err);
}

/* The next entries to do, which become a unit; *at == *end: there are none. */
static void take(struct lane *l, size_t *at, size_t *end)
{
    struct run *run = l->run;

    pthread_mutex_lock(&run->lock);
    *at = *end = run->next;
    while (*end < run->places.count && *end - *at < BATCH)
        *end += vmscm_places_parts(&run->places, *end);
    run->next = *end;
    if (*at < *end)
        l->unit = run->repack->unit++;
    pthread_mutex_unlock(&run->lock);
}

static int copy_all(struct vmscm_parallel *p, struct lane *l, struct vmscm_error *err)
{
    struct run *run = l->run;
    size_t at, end, n;
    int rc = 0;

    while (!rc && !atomic_load(&p->stop)) {
        uint64_t bytes = 0;
        take(l, &at, &end);
        if (at == end)
            break;
        for (; at < end && !rc; at += n) {
            n = vmscm_places_parts(&run->places, at);
            rc = copy_record(l, &run->places.entries[at], n, err);
            bytes += run->places.entries[at].length;
        }
        if (rc || (rc = vmscm_ingest_lane_end_unit(l->ingest, l->unit, err)))
            break;
        pthread_mutex_lock(&run->lock);
        if (run->repack->progress && run->repack->progress(run->repack->data, bytes))
            rc = vmscm_error_set(err, VMSCM_ECANCELED, "interrupted");
        pthread_mutex_unlock(&run->lock);
    }
    return rc;
}

static int work(struct vmscm_parallel *p, unsigned index, struct vmscm_error *err)
{
    struct run *run = p->data;
    struct lane lane = {.run = run};
    int rc;

    (void)index;
    if ((rc = vmscm_fetch_new_own(&lane.fetch, run->repack->store, err)) ||
        (rc = vmscm_ingest_lane_new(&lane.ingest, run->repack->ingest, err)))
        goto out;
    vmscm_ingest_lane_copy(lane.ingest);
    rc = copy_all(p, &lane, err);
out:
    /* The others may be waiting for this one's unit. */
    if (rc)
        vmscm_ingest_stop(run->repack->ingest);
    vmscm_ingest_lane_free(lane.ingest);
    vmscm_fetch_free(lane.fetch);
    vmscm_buf_release(&lane.part);
    return rc;
}

int vmscm_repack_pack(struct vmscm_repack *repack, struct vmscm_live_pack *pack,
    struct vmscm_error *err)
{
    struct run run = {.repack = repack, .pack = pack};
    uint32_t unsorted = 0;
    int rc = vmscm_store_pin(repack->store, pack->pack, err);

    if (rc)
        return rc;
    if (!(rc = vmscm_places_read(&run.places, &unsorted, pack->pack, err)) && unsorted)
        rc = vmscm_error_set(err, VMSCM_EDAMAGED, "%s: index is not sorted", pack->pack->path);
    if (!rc) {
        /* A thread for a few records is not worth it. */
        size_t useful = run.places.count / BATCH + 1;
        pthread_mutex_init(&run.lock, NULL);
        rc = vmscm_parallel_run(
            useful < repack->jobs ? (unsigned)useful : repack->jobs, work, &run, err);
        pthread_mutex_destroy(&run.lock);
    }
    vmscm_places_release(&run.places);
    vmscm_store_unpin(repack->store, pack->pack);
    return rc;
}
