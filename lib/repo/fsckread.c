/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Threads take runs of segments in order; a leaf that several segments share is read once. */
#include "repo/fsckread.h"
#include "repo/handle.h"
#include "repo/leafread.h"
#include "sys/parallel.h"

#include <pthread.h>
#include <stdlib.h>

struct reading {
    struct vmscm_fsckread *what;
    pthread_mutex_t lock; /* guards all below, what->bad, its counts, and callbacks */
    size_t run;           /* the next segment: its run in the map, */
    uint64_t number;      /* and which it is */
    struct vmscm_idset seen; /* leaves that a thread took */
};

/* The next segment whose leaf nobody read; *more is false if there is none. */
static int next_segment(struct reading *r, struct vmscm_id *leaf, uint64_t *number, bool *more,
    struct vmscm_error *err)
{
    const struct vmscm_map *map = r->what->map;
    uint64_t *value;
    bool added;
    int rc;

    *more = false;
    while (r->run < map->runs.len) {
        const struct vmscm_map_run *run = &map->runs.items[r->run];
        *number = run->first;
        *leaf = run->leaf;
        r->run++;
        r->number = run->first + run->count;
        if (run->zero || r->what->skip(r->what->data, leaf))
            continue;
        if ((rc = vmscm_idset_get(&r->seen, &value, &added, leaf, err)))
            return rc;
        if (added) {
            *more = true;
            return 0;
        }
    }
    return 0;
}

/* Called with the lock held. */
static int show(struct reading *r, struct vmscm_error *err)
{
    const struct vmscm_events *events = r->what->events;
    struct vmscm_progress p = {.phase = "checking",
        .item = r->what->item,
        .done = r->number << VMSCM_LEAF_SEGMENT_LOG2,
        .total = r->what->map->size};

    if (p.done > p.total)
        p.done = p.total;
    if (events && events->progress)
        events->progress(events->data, &p);
    return vmscm_handle_canceled(events, err);
}

static int read_segment(struct reading *r, struct vmscm_fetch *fetch, struct vmscm_buf *bytes,
    const struct vmscm_id *leaf, uint32_t length, struct vmscm_error *err)
{
    struct vmscm_leaf_entry *entries = NULL;
    struct vmscm_error why = VMSCM_ERROR_INIT;
    uint64_t *value, chunks = 0, total = 0;
    size_t count;
    bool added;
    int rc = vmscm_leafread_entries(&entries, &count, fetch, bytes, leaf, length, &why);

    if (rc)
        return rc == VMSCM_ENOMEM ? vmscm_error_copy(err, &why) : 0;
    for (size_t i = 0; i < count && !rc; i++) {
        if (entries[i].zero)
            continue;
        rc = vmscm_fetch_read_buf(
            fetch, VMSCM_PACK_CHUNK, &entries[i].id, bytes, VMSCM_PACK_PART_MAX, &why);
        chunks++;
        total += bytes->len;
        if (rc == VMSCM_ENOMEM) {
            vmscm_error_copy(err, &why);
        } else if (rc) {
            pthread_mutex_lock(&r->lock);
            rc = vmscm_idset_get(r->what->bad, &value, &added, &entries[i].id, err);
            pthread_mutex_unlock(&r->lock);
        }
    }
    free(entries);
    pthread_mutex_lock(&r->lock);
    r->what->chunks += chunks;
    r->what->bytes += total;
    if (!rc)
        rc = show(r, err);
    pthread_mutex_unlock(&r->lock);
    return rc;
}

static int work(struct vmscm_parallel *p, unsigned index, struct vmscm_error *err)
{
    struct reading *r = p->data;
    struct vmscm_buf bytes = VMSCM_BUF_INIT;
    struct vmscm_fetch *fetch = NULL;
    struct vmscm_id leaf;
    uint64_t number;
    bool more;
    int rc = vmscm_fetch_new_own(&fetch, r->what->store, err);

    (void)index;
    while (!rc && !atomic_load(&p->stop)) {
        pthread_mutex_lock(&r->lock);
        rc = next_segment(r, &leaf, &number, &more, err);
        pthread_mutex_unlock(&r->lock);
        if (rc || !more)
            break;
        rc = read_segment(r, fetch, &bytes, &leaf,
            vmscm_map_segment_length(r->what->map->size, number), err);
    }
    vmscm_fetch_free(fetch);
    vmscm_buf_release(&bytes);
    return rc;
}

int vmscm_fsckread_disk(struct vmscm_fsckread *what, struct vmscm_error *err)
{
    struct reading r = {.what = what};
    int rc;

    what->chunks = what->bytes = 0;
    pthread_mutex_init(&r.lock, NULL);
    rc = vmscm_parallel_run(what->jobs, work, &r, err);
    pthread_mutex_destroy(&r.lock);
    vmscm_idset_release(&r.seen);
    return rc;
}
