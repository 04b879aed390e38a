/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Adding records to a store: deduplicated, compressed by many threads, written in one order.
 *
 * Work comes in numbered units (segments), each done by one thread. Units may be worked on in any
 * order and at once, but their records go to the pack in the order of their numbers: a disk's chunks
 * lie in the order of its addresses. Of units that bring the same chunk at the same time, the first
 * to come writes it.
 *
 * The new chunks of a unit are compressed together, up to VMSCM_INGEST_GROUP bytes a record: what
 * lies side by side is alike.
 *
 * Memory is bounded: what units ahead of their turn have ready is held up to a budget; beyond it,
 * they wait. The unit whose turn it is never waits.
 *
 * Threading: several threads, each with a lane of its own; open and finish are for one thread.
 */
#ifndef STORE_INGEST_H
#define STORE_INGEST_H

#include "codec/compress.h"
#include "store/lease.h"
#include "store/packwriter.h"
#include "store/store.h"

#define VMSCM_INGEST_GROUP (1536u << 10) /* plain bytes of a record's chunks, at most */

struct vmscm_ingest;

struct vmscm_ingest_counts {
    uint64_t fresh;        /* plain bytes of chunks that were new */
    uint64_t fresh_chunks;
    uint64_t stored;       /* bytes of finished pack files */
};

/* level: zstd. lease: gets the packs' names before they are seen, so that they are not taken for
 * garbage until it is closed; NULL if nobody collects any. Also removes what dead writers left in
 * tmp/. */
int vmscm_ingest_open(struct vmscm_ingest **out, struct vmscm_store *store, const char *repo_dir,
    int level, struct vmscm_lease *lease, struct vmscm_error *err);

/* Take only the ids of which wanted(data, id), called from any thread, says so. Before the first lane is
 * used. */
void vmscm_ingest_only(struct vmscm_ingest *ingest,
    bool (*wanted)(void *data, const struct vmscm_id *id), void *data);

/* A lane: one thread's compressor and buffers. */
struct vmscm_ingest_lane;
int vmscm_ingest_lane_new(struct vmscm_ingest_lane **out, struct vmscm_ingest *ingest,
    struct vmscm_error *err);
void vmscm_ingest_lane_free(struct vmscm_ingest_lane *lane); /* NULL is fine */

/* Add a chunk or leaf of a unit, its id computed by the caller; nothing happens if it is there. */
int vmscm_ingest_lane_add(struct vmscm_ingest_lane *lane, uint64_t unit, enum vmscm_pack_type type,
    const struct vmscm_id *id, const void *data, size_t len, struct vmscm_error *err);

/* A chunk, and the chunks that an earlier revision has where it comes from: it may be stored against
 * these. */
int vmscm_ingest_lane_add_near(struct vmscm_ingest_lane *lane, uint64_t unit,
    const struct vmscm_id *id, const void *data, size_t len, const struct vmscm_id *near,
    size_t near_count, struct vmscm_error *err);

/* For copying what the store has: from now on the lane adds what it is given though it is there, if this
 * ingest does not have it. */
void vmscm_ingest_lane_copy(struct vmscm_ingest_lane *lane);

/* Add a record as it is; VMSCM_EEXIST if this ingest has one of its parts. For such lanes. */
int vmscm_ingest_lane_add_record(struct vmscm_ingest_lane *lane, uint64_t unit,
    const struct vmscm_packwriter_record *record, struct vmscm_error *err);

/* A unit adds nothing more. Every unit from 0 on must be ended, once. */
int vmscm_ingest_lane_end_unit(struct vmscm_ingest_lane *lane, uint64_t unit,
    struct vmscm_error *err);

/* Wakes all that wait, which then fail with VMSCM_ECANCELED: for when a thread gives up. */
void vmscm_ingest_stop(struct vmscm_ingest *ingest);

/* So far; from any thread. `stored` is then the length of all records. */
void vmscm_ingest_count(struct vmscm_ingest *ingest, struct vmscm_ingest_counts *counts);

/* Finish the last pack: durable and visible. All units are ended. Closes. */
int vmscm_ingest_finish(struct vmscm_ingest *ingest, struct vmscm_ingest_counts *counts,
    struct vmscm_error *err);

/* Throw the unfinished pack away; finished ones stay for the next try. NULL is fine. */
void vmscm_ingest_abort(struct vmscm_ingest *ingest);

#endif
