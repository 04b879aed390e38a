/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What revisions that came still lack, and whether they are what a revision must be: their trees, their
 * machines, the maps of their disks, every leaf and every chunk.
 *
 * Leaves of our own revisions that they follow, whose data is kept, are whole, and not looked at again.
 *
 * Threading: one thread at a time.
 */
#ifndef REMOTE_CLOSURE_H
#define REMOTE_CLOSURE_H

#include "format/leaf.h"
#include "remote/receive.h"
#include "store/fetch.h"
#include "store/idset.h"

/* Zero-initialise; the members above the line are the user's to set. */
struct vmscm_closure {
    struct vmscm_repo *repo;       /* ours */
    struct vmscm_receive *receive; /* what came; NULL: it is among ours by now */
    /* A leaf is missing; or, of one that is there, the chunks whose bits are set. Non-zero ends it and is
     * returned. Either may be NULL. */
    int (*leaf)(void *data, const struct vmscm_id *leaf, struct vmscm_error *err);
    int (*chunks)(void *data, const struct vmscm_id *leaf, const struct vmscm_leaf_entry *entries,
        const uint8_t *bits, size_t count, struct vmscm_error *err);
    void *data;

    uint64_t missing; /* so far: leaves and chunks */
    struct vmscm_fetch *fetch;
    struct vmscm_buf bytes;
    struct vmscm_idset edge; /* leaves that are whole */
    struct vmscm_idset seen; /* leaves that were looked at; the length that was checked */
    struct vmscm_idset lost; /* chunks that were told */
};

/* A revision of ours that new ones follow, and whose data is kept. What cannot be read does not
 * count. */
int vmscm_closure_edge(struct vmscm_closure *c, const char *commit, struct vmscm_error *err);

/* A revision. bare: only its history is looked at, not its data. VMSCM_EINPUT: it is none. */
int vmscm_closure_commit(struct vmscm_closure *c, const char *commit, bool bare,
    struct vmscm_error *err);

/* Look at everything anew. */
void vmscm_closure_release(struct vmscm_closure *c);

#endif
