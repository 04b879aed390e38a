/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Walking history to see that all it leads to is there: every ref; every commit reachable; every
 * disk map; every leaf; that every chunk is there. A leaf is looked at once, however many revisions
 * share it; one that is damaged is told for each.
 */
#ifndef REPO_FSCKHISTORY_H
#define REPO_FSCKHISTORY_H

#include "history/pruned.h"
#include "repo/findings.h"
#include "repo/handle.h"
#include "repo/promises.h"
#include "store/fetch.h"
#include "store/idset.h"

struct vmscm_fsckhistory {
    struct vmscm_repo *repo;
    const struct vmscm_events *events;
    struct vmscm_findings *findings;
    struct vmscm_idset *bad; /* chunks and leaves that are damaged somewhere; maybe not everywhere */
    unsigned read_jobs;      /* 0; or read and hash every chunk, with as many threads */
    bool ancestors;          /* with a revision alone: also all that led to it */
    bool data_only;          /* that notes cannot be read is no finding */
    bool in_packs;           /* leaves that are only in the trash are missing, as chunks are */
    /* Told of each chunk and leaf that cannot be had, with its place on a disk, as often as it is
     * found missing. NULL: nobody asks. Non-zero ends the walk and is returned. */
    int (*lost)(void *data, enum vmscm_pack_type type, const struct vmscm_id *id, uint64_t offset,
        uint32_t length, struct vmscm_error *err);
    void *data;

    /* Its own. */
    struct vmscm_fetch *fetch;
    struct vmscm_promises *promises; /* what need not be here; NULL: all must */
    struct vmscm_idset relied;       /* chunks of those that leaves here may list */
    bool has_relied;
    struct vmscm_pruned *pruned; /* NULL: that cannot be told */
    struct vmscm_buf bytes, chunk;
    struct vmscm_idset commits; /* seen; ids padded with zeros */
    struct vmscm_idset leaves;  /* its state, and above its 8 bits the length checked */
    bool settled; /* something was missed: locks/commit is held, and all packs there are are known */
    int lock;
    struct vmscm_error *err;
};

/* All refs; or, spec, one machine with its history or one revision. All but its own is set. Fails only
 * where it could not look. */
int vmscm_fsckhistory_run(struct vmscm_fsckhistory *walk, const char *spec,
    struct vmscm_error *err);

#endif
