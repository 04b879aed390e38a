/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/batch.h"

bool vmscm_batch_init(struct vmscm_batch *batch, struct vmscm_store *store)
{
    *batch = (struct vmscm_batch){.store = vmscm_elsewhere_of(store) ? store : NULL};
    return batch->store != NULL;
}

static int add(struct vmscm_batch *batch, const struct vmscm_elsewhere_want *want,
    struct vmscm_error *err)
{
    struct vmscm_elsewhere_want *slot;

    if (!batch->store)
        return 0;
    if (vmscm_vec_add(&batch->wants, &slot, err))
        return VMSCM_ENOMEM;
    *slot = *want;
    return 0;
}

int vmscm_batch_add_leaf(struct vmscm_batch *batch, const struct vmscm_id *leaf,
    struct vmscm_error *err)
{
    const struct vmscm_elsewhere_want want = {.id = *leaf, .type = VMSCM_PACK_LEAF};

    return add(batch, &want, err);
}

int vmscm_batch_add_chunk(struct vmscm_batch *batch, const struct vmscm_id *chunk, uint32_t len,
    const struct vmscm_id *leaf, struct vmscm_error *err)
{
    const struct vmscm_elsewhere_want want = {
        .id = *chunk, .leaf = *leaf, .type = VMSCM_PACK_CHUNK};

    batch->bytes += len;
    return add(batch, &want, err);
}

bool vmscm_batch_lacks(const struct vmscm_batch *batch)
{
    for (size_t i = 0; i < batch->wants.len; i++)
        if (!vmscm_elsewhere_is_here(batch->store, &batch->wants.items[i].id))
            return true;
    return false;
}

int vmscm_batch_bring(struct vmscm_batch *batch, struct vmscm_error *err)
{
    int rc = batch->wants.len ? vmscm_elsewhere_bring(batch->store, batch->wants.items,
                                    batch->wants.len, &batch->holds, err)
                              : 0;

    batch->wants.len = 0;
    batch->bytes = 0;
    return rc;
}

void vmscm_batch_let_go(struct vmscm_batch *batch)
{
    vmscm_cache_release(&batch->holds);
}

void vmscm_batch_release(struct vmscm_batch *batch)
{
    vmscm_batch_let_go(batch);
    vmscm_vec_release(&batch->wants);
    batch->bytes = 0;
}
