/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files that make up ingest.h share. */
#ifndef STORE_INGEST_PARTS_H
#define STORE_INGEST_PARTS_H

#include "store/claims.h"
#include "store/ingest.h"
#include "store/packqueue.h"

#include <pthread.h>
#include <stdatomic.h>

struct vmscm_ingest_unit;

struct vmscm_ingest {
    struct vmscm_store *store;
    int level;
    bool (*wanted)(void *data, const struct vmscm_id *id); /* NULL: all is */
    void *wanted_data;
    struct vmscm_packqueue *queue;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t turn;
    struct vmscm_claims claims;
    struct vmscm_ingest_unit *units; /* a ring by number */
    uint64_t head;      /* the unit whose turn it is */
    size_t held;
    bool stopped;
    struct vmscm_ingest_counts counts;
    uint64_t record_bytes; /* queued so far */
    atomic_uint packs;   /* finished; tells a thread that what it did not find may be there now */
};

/* Add a unit's record to the queue, or have it wait for the unit's turn. Takes the item. */
int vmscm_ingest_hand_over(struct vmscm_ingest *ingest, uint64_t unit,
    struct vmscm_packqueue_item *item, struct vmscm_error *err);

/* The unit has handed over all it has. */
int vmscm_ingest_end(struct vmscm_ingest *ingest, uint64_t unit, struct vmscm_error *err);

/* Stop all lanes; the lock is held. Returns rc. */
int vmscm_ingest_fail(struct vmscm_ingest *ingest, int rc);

#endif
