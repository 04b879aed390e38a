/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Units and their turns: what lanes bring goes into the queue in one order. */
#include "store/ingest_parts.h"

#include <stdlib.h>

#define HELD_MAX (8u << 20) /* bytes that units ahead of their turn may have ready, in all */
#define UNITS_MAX 1024u     /* units ahead of their turn, at most */

/* A unit ahead of its turn has its records wait here. */
struct vmscm_ingest_unit {
    struct vmscm_packqueue_item *first, *last;
    bool ended;
};

/* A pack is durable: let the store find what is in it. */
static int add_pack(void *data, const char *file, uint64_t bytes, unsigned pack,
    struct vmscm_error *err)
{
    struct vmscm_ingest *in = data;
    int rc = vmscm_store_add(in->store, file, err);

    if (rc)
        return rc;
    pthread_mutex_lock(&in->lock);
    in->counts.stored += bytes;
    atomic_fetch_add(&in->packs, 1);
    rc = vmscm_claims_forget(&in->claims, pack + 1, err);
    pthread_mutex_unlock(&in->lock);
    return rc;
}

int vmscm_ingest_open(struct vmscm_ingest **out, struct vmscm_store *store, const char *repo_dir,
    int level, struct vmscm_lease *lease, struct vmscm_error *err)
{
    struct vmscm_ingest *in = calloc(1, sizeof *in);
    int rc;

    if (!in)
        return vmscm_error_nomem(err);
    in->store = store;
    in->level = level;
    pthread_mutex_init(&in->lock, NULL);
    pthread_cond_init(&in->turn, NULL);
    in->units = calloc(UNITS_MAX, sizeof *in->units);
    if (!(rc = in->units ? vmscm_claims_init(&in->claims, err) : vmscm_error_nomem(err)) &&
        !(rc = vmscm_packwriter_sweep(repo_dir, err)))
        rc = vmscm_packqueue_open(&in->queue, repo_dir, lease, add_pack, in, err);
    if (rc) {
        vmscm_ingest_abort(in);
        return rc;
    }
    *out = in;
    return 0;
}

void vmscm_ingest_only(struct vmscm_ingest *in,
    bool (*wanted)(void *data, const struct vmscm_id *id), void *data)
{
    in->wanted = wanted;
    in->wanted_data = data;
}

/* In its unit's turn. Takes the item. */
static int queue_item(struct vmscm_ingest *in, struct vmscm_packqueue_item *item,
    struct vmscm_error *err)
{
    unsigned pack = vmscm_packqueue_pack(in->queue);

    for (size_t i = 0; i < item->part_count; i++) {
        vmscm_claims_queue(&in->claims, &item->parts[i].id, pack);
        if (item->type == VMSCM_PACK_CHUNK) {
            in->counts.fresh += item->parts[i].plain_len;
            in->counts.fresh_chunks++;
        }
    }
    in->record_bytes += item->bytes.len - item->at;
    return vmscm_packqueue_put(in->queue, item, err);
}

/* Queue what the unit at the head has ready; move the head past units that ended. */
static int advance(struct vmscm_ingest *in, struct vmscm_error *err)
{
    for (;;) {
        struct vmscm_ingest_unit *u = &in->units[in->head % UNITS_MAX];
        for (struct vmscm_packqueue_item *item; (item = u->first);) {
            u->first = item->next;
            in->held -= vmscm_packqueue_item_size(item);
            int rc = queue_item(in, item, err);
            if (rc)
                return rc;
        }
        if (!u->ended)
            return 0;
        u->ended = false;
        in->head++;
        pthread_cond_broadcast(&in->turn);
    }
}

int vmscm_ingest_fail(struct vmscm_ingest *in, int rc)
{
    in->stopped = true;
    pthread_cond_broadcast(&in->turn);
    return rc;
}

/* Until the unit is within the ring and there is room for len more bytes, or it is its turn. */
static int wait_for_room(struct vmscm_ingest *in, uint64_t unit, size_t len,
    struct vmscm_error *err)
{
    while (!in->stopped && unit != in->head &&
        (unit - in->head >= UNITS_MAX || in->held + len > HELD_MAX))
        pthread_cond_wait(&in->turn, &in->lock);
    return in->stopped ? vmscm_error_set(err, VMSCM_ECANCELED, "stopped") : 0;
}

int vmscm_ingest_hand_over(struct vmscm_ingest *in, uint64_t unit,
    struct vmscm_packqueue_item *item, struct vmscm_error *err)
{
    size_t size = vmscm_packqueue_item_size(item);
    bool queued = false;

    pthread_mutex_lock(&in->lock);
    int rc = wait_for_room(in, unit, size, err);
    if (rc) {
        vmscm_packqueue_item_free(item);
    } else if (unit == in->head) {
        rc = queue_item(in, item, err);
        queued = !rc;
    } else {
        struct vmscm_ingest_unit *u = &in->units[unit % UNITS_MAX];
        *(u->first ? &u->last->next : &u->first) = item;
        u->last = item;
        in->held += size;
    }
    if (rc)
        vmscm_ingest_fail(in, rc);
    pthread_mutex_unlock(&in->lock);
    return queued ? vmscm_packqueue_wait(in->queue, err) : rc;
}

int vmscm_ingest_end(struct vmscm_ingest *in, uint64_t unit, struct vmscm_error *err)
{
    int rc;

    pthread_mutex_lock(&in->lock);
    if (!(rc = wait_for_room(in, unit, 0, err))) {
        in->units[unit % UNITS_MAX].ended = true;
        if (unit == in->head)
            rc = advance(in, err);
    }
    if (rc)
        vmscm_ingest_fail(in, rc);
    pthread_mutex_unlock(&in->lock);
    return rc ? rc : vmscm_packqueue_wait(in->queue, err);
}

void vmscm_ingest_stop(struct vmscm_ingest *in)
{
    pthread_mutex_lock(&in->lock);
    vmscm_ingest_fail(in, 0);
    pthread_mutex_unlock(&in->lock);
}

void vmscm_ingest_count(struct vmscm_ingest *in, struct vmscm_ingest_counts *counts)
{
    pthread_mutex_lock(&in->lock);
    *counts = in->counts;
    counts->stored = in->record_bytes;
    pthread_mutex_unlock(&in->lock);
}

int vmscm_ingest_finish(struct vmscm_ingest *in, struct vmscm_ingest_counts *counts,
    struct vmscm_error *err)
{
    struct vmscm_packqueue *queue = in->queue;
    int rc = 0;

    if (in->stopped) {
        rc = vmscm_error_set(err, VMSCM_ECANCELED, "stopped");
    } else {
        in->queue = NULL;
        rc = vmscm_packqueue_close(queue, err);
    }
    *counts = in->counts;
    vmscm_ingest_abort(in);
    return rc;
}

void vmscm_ingest_abort(struct vmscm_ingest *in)
{
    if (!in)
        return;
    vmscm_packqueue_abort(in->queue);
    for (size_t i = 0; in->units && i < UNITS_MAX; i++)
        for (struct vmscm_packqueue_item *item; (item = in->units[i].first);) {
            in->units[i].first = item->next;
            vmscm_packqueue_item_free(item);
        }
    free(in->units);
    vmscm_claims_release(&in->claims);
    pthread_mutex_destroy(&in->lock);
    pthread_cond_destroy(&in->turn);
    free(in);
}
