/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One segment: from the disk's bytes to its leaf. Chunks and the leaf go to the store.
 *
 * Where it is known which parts may differ from an earlier revision, its leaf's entries are taken
 * over and only what is around the changes is read and cut anew. The leaf is the one that reading
 * everything gives: where to cut depends on the bytes from the last cut on, and on whether the
 * block after them is zero, so an entry holds as long as it begins at a cut and neither it nor
 * that block changed.
 *
 * Threading: a worker is one thread's.
 */
#ifndef REPO_SEGMENT_H
#define REPO_SEGMENT_H

#include "base/buf.h"
#include "codec/hash.h"
#include "format/leaf.h"
#include "repo/scan.h"
#include "store/fetch.h"

struct vmscm_segment_worker {
    struct vmscm_hash *hash;
    struct vmscm_ingest_lane *lane;
    struct vmscm_fetch *fetch; /* NULL: no disk has a base */
    int (*canceled)(void *data, struct vmscm_error *err);
    void *data;
    struct vmscm_leaf leaf;

    uint8_t *window; /* of the segment's bytes, */
    uint32_t from;   /* where it begins, */
    uint32_t have;   /* how many there are */

    struct vmscm_buf base_bytes;
    struct vmscm_leaf_entry *base; /* entries of the segment in the disk's base */
    size_t base_count;
    struct vmscm_id base_leaf; /* that these are of, */
    bool promised;             /* which is had elsewhere, with all that it lists */
    size_t near; /* the first of them that a chunk to come may lie on */
};

/* A segment to do, and what became of it. */
struct vmscm_segment {
    uint64_t number; /* in its disk */
    uint64_t unit;   /* of the ingest */
    struct vmscm_id leaf;
    bool zero;
    uint64_t read, chunks; /* bytes and chunks that were hashed */
};

/* store NULL: no disk has a base. The callback is polled; what it returns ends the scan. */
int vmscm_segment_worker_init(struct vmscm_segment_worker *w, struct vmscm_ingest *ingest,
    struct vmscm_store *store, int (*canceled)(void *data, struct vmscm_error *err), void *data,
    struct vmscm_error *err);
void vmscm_segment_worker_release(struct vmscm_segment_worker *w);

/* Fills in all of *segment but number and unit. */
int vmscm_segment_scan(struct vmscm_segment_worker *w, const struct vmscm_scan_disk *disk,
    struct vmscm_segment *segment, struct vmscm_error *err);

#endif
