/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From disks to disk maps: every segment that has data is read, cut, hashed, and what is new goes
 * to the store, by several threads. Holes are skipped without being read, and so is what is known
 * to be as it was in an earlier revision.
 */
#ifndef REPO_SCAN_H
#define REPO_SCAN_H

#include "format/map.h"
#include "image/blockdev.h"
#include "image/changes.h"
#include "repo/promises.h"
#include "store/ingest.h"
#include <vmscm/events.h>

struct vmscm_scan_disk {
    struct vmscm_blockdev *dev;
    const char *name;     /* for progress */
    /* The disk in an earlier revision: new chunks may be stored against those that are at their
     * place in it. NULL: there is none. */
    const struct vmscm_map *base;
    /* What may differ from the base, which has the same size; all else is taken over from it. NULL:
     * nothing is known. */
    const struct vmscm_changes *changes;
    /* What need not be stored of the base, if it comes again: elsewhere it is. NULL: all is. */
    const struct vmscm_promises *promises;
    struct vmscm_map map; /* out; the caller's */
};

struct vmscm_scan_counts {
    uint64_t read;   /* bytes hashed */
    uint64_t chunks;
};

/* Fills each disk's map. store: what the bases' leaves are read from. The ingest is left open; on
 * failure it must be aborted. */
int vmscm_scan_run(struct vmscm_scan_disk *disks, size_t count, struct vmscm_ingest *ingest,
    struct vmscm_store *store, unsigned jobs, const struct vmscm_events *events,
    struct vmscm_scan_counts *counts, struct vmscm_error *err);

#endif
