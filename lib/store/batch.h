/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What will be read next, said beforehand, so that what is not here comes in one request: elsewhere.h. With a
 * store that has all there is, nothing happens.
 *
 * Threading: one thread at a time.
 */
#ifndef STORE_BATCH_H
#define STORE_BATCH_H

#include "store/elsewhere.h"

struct vmscm_batch {
    struct vmscm_store *store; /* NULL: it has all there is */
    VMSCM_VEC(struct vmscm_elsewhere_want) wants;
    uint64_t bytes; /* of the chunks among them */
    struct vmscm_cache_holds holds;
};

/* On the caller's storage; whether there is anything to do. */
bool vmscm_batch_init(struct vmscm_batch *batch, struct vmscm_store *store);

int vmscm_batch_add_leaf(struct vmscm_batch *batch, const struct vmscm_id *leaf,
    struct vmscm_error *err);
/* A chunk of len plain bytes that a leaf lists. */
int vmscm_batch_add_chunk(struct vmscm_batch *batch, const struct vmscm_id *chunk, uint32_t len,
    const struct vmscm_id *leaf, struct vmscm_error *err);

/* Whether some of it is not here now. */
bool vmscm_batch_lacks(const struct vmscm_batch *batch);

/* Bring all that was added since the last time. It stays until the batch is released. Errors as
 * vmscm_elsewhere_bring. */
int vmscm_batch_bring(struct vmscm_batch *batch, struct vmscm_error *err);

/* Let go of what was brought; it can be used again. */
void vmscm_batch_let_go(struct vmscm_batch *batch);

void vmscm_batch_release(struct vmscm_batch *batch);

#endif
