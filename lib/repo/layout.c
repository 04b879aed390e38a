/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/layout.h"
#include "base/str.h"
#include "history/ancestry.h"
#include "history/pruned.h"
#include "history/reflist.h"
#include "machine/model.h"
#include "repo/bootorder.h"
#include "repo/leafread.h"
#include "repo/snapshot.h"
#include "store/idset.h"
#include "sys/parallel.h"

#include <pthread.h>
#include <stdlib.h>

/* A leaf, and the length of the segment it is for. */
struct segment {
    struct vmscm_id leaf;
    uint32_t length;
};

/* Some of what boots read, which is compressed together. */
struct stretch {
    size_t first, count;
};

struct layout {
    struct vmscm_repo *repo;
    struct vmscm_repack *repack;
    struct vmscm_ancestry *ancestry;
    struct vmscm_pruned *pruned;
    struct vmscm_idset seen;
    struct vmscm_fetch *fetch; /* for listing */
    struct vmscm_bootorder boots;
    VMSCM_VEC(struct stretch) stretches; /* of boots, in order; then come */
    VMSCM_VEC(struct segment) segments;  /* each leaf once, in order */
    struct vmscm_error *err;
    pthread_mutex_t lock; /* guards what the threads share: next, the marks, the callback */
    size_t next, end; /* units: the stretches, then the segments */
    uint64_t first_unit;
};

static int add_disk(struct layout *l, const char *commit, const struct vmscm_machine_disk *disk)
{
    struct vmscm_map map = {0};
    struct segment *slot;
    uint64_t *value;
    bool added;
    int rc = vmscm_snapshot_map(&map, l->repo, commit, disk, l->err);

    for (size_t i = 0; i < map.runs.len && !rc; i++) {
        const struct vmscm_map_run *run = &map.runs.items[i];
        if (run->zero || (rc = vmscm_idset_get(&l->seen, &value, &added, &run->leaf, l->err)) ||
            !added)
            continue;
        if ((rc = vmscm_vec_add(&l->segments, &slot, l->err)))
            break;
        *slot = (struct segment){run->leaf, vmscm_map_segment_length(map.size, run->first)};
    }
    vmscm_map_release(&map);
    return rc;
}

static int add_revision(void *data, const char *commit)
{
    struct layout *l = data;
    struct vmscm_machine *machine = NULL;
    int rc = 0;

    if (vmscm_pruned_has(l->pruned, commit))
        return 0;
    rc = vmscm_snapshot_machine(&machine, l->repo, commit, l->err);
    if (!rc)
        rc = vmscm_bootorder_add(&l->boots, l->repo, commit, machine, l->fetch, l->err);
    for (size_t i = 0; !rc && i < machine->disk_count; i++)
        rc = add_disk(l, commit, &machine->disks[i]);
    vmscm_model_free(machine);
    return rc;
}

static int add_head(void *data, const char *ref, const char *id)
{
    struct layout *l = data;

    (void)ref;
    return id ? vmscm_ancestry_walk(l->ancestry, l->repo->git, id, add_revision, l, l->err) : 0;
}

static int cut_boots(struct layout *l)
{
    struct stretch *slot;
    uint64_t bytes = 0;

    vmscm_bootorder_end(&l->boots);
    for (size_t i = 0; i < l->boots.items.len; i++) {
        uint32_t len = l->boots.items.items[i].len;
        if (i == 0 || bytes + len > VMSCM_INGEST_GROUP) {
            if (vmscm_vec_add(&l->stretches, &slot, l->err))
                return VMSCM_ENOMEM;
            *slot = (struct stretch){.first = i};
            bytes = 0;
        }
        l->stretches.items[l->stretches.len - 1].count++;
        bytes += len;
    }
    return 0;
}

static int find_segments(struct layout *l, const struct vmscm_roots *roots)
{
    int rc;

    if ((rc = vmscm_ancestry_new(&l->ancestry, l->err)) ||
        (rc = vmscm_fetch_new_own(&l->fetch, l->repack->store, l->err)) ||
        (rc = vmscm_pruned_load(&l->pruned, l->repo->git, l->err)) ||
        (rc = vmscm_reflist_walk(l->repo->git, VMSCM_HANDLE_HEADS, add_head, l, l->err)))
        return rc;
    for (size_t i = 0; i < roots->count && !rc; i++)
        if (!roots->entries[i].notes)
            rc = add_head(l, roots->entries[i].name, roots->entries[i].id);
    return rc ? rc : cut_boots(l);
}

struct lane {
    struct layout *layout;
    struct vmscm_ingest_lane *ingest;
    struct vmscm_fetch *fetch;
    struct vmscm_buf bytes;
    uint64_t unit, copied;
};

/* A chunk or leaf, unless it was copied before. */
static int copy(struct lane *lane, const struct vmscm_id *id, struct vmscm_error *err)
{
    struct layout *l = lane->layout;
    struct vmscm_pack_entry entry;
    struct vmscm_packfile *pack;
    int rc;

    pthread_mutex_lock(&l->lock);
    rc = vmscm_live_take(l->repack->live, &pack, &entry, id, err);
    pthread_mutex_unlock(&l->lock);
    if (rc || !pack || (rc = vmscm_fetch_part(lane->fetch, pack, &entry, &lane->bytes, err)))
        return rc;
    lane->copied += entry.plain_len;
    return vmscm_ingest_lane_add(
        lane->ingest, lane->unit, entry.type, id, lane->bytes.data, lane->bytes.len, err);
}

static int copy_segment(struct lane *lane, const struct segment *segment, struct vmscm_error *err)
{
    struct vmscm_leaf_entry *entries = NULL;
    size_t count = 0;
    int rc = vmscm_leafread_entries(
        &entries, &count, lane->fetch, &lane->bytes, &segment->leaf, segment->length, err);

    for (size_t i = 0; i < count && !rc; i++)
        if (!entries[i].zero)
            rc = copy(lane, &entries[i].id, err);
    free(entries);
    return rc ? rc : copy(lane, &segment->leaf, err);
}

static int copy_stretch(struct lane *lane, const struct stretch *stretch, struct vmscm_error *err)
{
    const struct vmscm_bootorder_item *items = lane->layout->boots.items.items + stretch->first;
    int rc = 0;

    for (size_t i = 0; i < stretch->count && !rc; i++)
        rc = copy(lane, &items[i].id, err);
    return rc;
}

static int copy_units(struct vmscm_parallel *p, struct lane *lane, struct vmscm_error *err)
{
    struct layout *l = lane->layout;
    size_t boots = l->stretches.len;
    int rc = 0;

    while (!rc && !atomic_load(&p->stop)) {
        pthread_mutex_lock(&l->lock);
        size_t n = l->next;
        l->next += n < l->end;
        if (l->repack->progress && l->repack->progress(l->repack->data, lane->copied))
            rc = vmscm_error_set(err, VMSCM_ECANCELED, "interrupted");
        pthread_mutex_unlock(&l->lock);
        if (rc || n == l->end)
            break;
        lane->copied = 0;
        lane->unit = l->first_unit + n;
        rc = n < boots ? copy_stretch(lane, &l->stretches.items[n], err)
                       : copy_segment(lane, &l->segments.items[n - boots], err);
        if (!rc)
            rc = vmscm_ingest_lane_end_unit(lane->ingest, lane->unit, err);
    }
    return rc;
}

static int work(struct vmscm_parallel *p, unsigned index, struct vmscm_error *err)
{
    struct layout *l = p->data;
    struct lane lane = {.layout = l};
    int rc;

    (void)index;
    if (!(rc = vmscm_fetch_new_own(&lane.fetch, l->repack->store, err)) &&
        !(rc = vmscm_ingest_lane_new(&lane.ingest, l->repack->ingest, err))) {
        vmscm_ingest_lane_copy(lane.ingest);
        rc = copy_units(p, &lane, err);
    }
    /* The others may be waiting for this one's unit. */
    if (rc)
        vmscm_ingest_stop(l->repack->ingest);
    vmscm_ingest_lane_free(lane.ingest);
    vmscm_fetch_free(lane.fetch);
    vmscm_buf_release(&lane.bytes);
    return rc;
}

int vmscm_layout_copy(struct vmscm_repo *repo, struct vmscm_repack *repack,
    const struct vmscm_roots *roots, struct vmscm_error *err)
{
    struct layout l = {
        .repo = repo, .repack = repack, .err = err, .first_unit = repack->unit};
    int rc = find_segments(&l, roots);

    if (!rc) {
        pthread_mutex_init(&l.lock, NULL);
        /* Else a segment could take what is in a stretch that another thread is at, and tear it. */
        l.end = l.stretches.len;
        if (!l.end || !(rc = vmscm_parallel_run(repack->jobs, work, &l, err))) {
            l.end += l.segments.len;
            rc = vmscm_parallel_run(repack->jobs, work, &l, err);
        }
        pthread_mutex_destroy(&l.lock);
        repack->unit += l.stretches.len + l.segments.len;
    }
    vmscm_ancestry_free(l.ancestry);
    vmscm_pruned_free(l.pruned);
    vmscm_idset_release(&l.seen);
    vmscm_fetch_free(l.fetch);
    vmscm_bootorder_release(&l.boots);
    vmscm_vec_release(&l.stretches);
    vmscm_vec_release(&l.segments);
    return rc;
}
