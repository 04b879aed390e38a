/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/lost.h"

int vmscm_lost_add(void *data, enum vmscm_pack_type type, const struct vmscm_id *id,
    uint64_t offset, uint32_t length, struct vmscm_error *err)
{
    struct vmscm_lost *lost = data;
    struct vmscm_lost_item *item;
    uint64_t *number;
    bool added;
    int rc;

    if (lost->items.len >= VMSCM_LOST_MAX && !vmscm_idset_find(&lost->index, id))
        return 0;
    if ((rc = vmscm_idset_get(&lost->index, &number, &added, id, err)))
        return rc;
    if (added) {
        if ((rc = vmscm_vec_add(&lost->items, &item, err)))
            return rc;
        *number = lost->items.len;
        *item = (struct vmscm_lost_item){.id = *id, .type = type, .length = length};
    }
    item = &lost->items.items[*number - 1];
    for (unsigned i = 0; i < item->place_count; i++)
        if (item->places[i] == offset)
            return 0;
    /* The bytes of a leaf may be those of a chunk, too: the place is that of the first kind. */
    if (item->place_count < VMSCM_LOST_PLACES && item->type == type && item->length == length)
        item->places[item->place_count++] = offset;
    return 0;
}

bool vmscm_lost_has(void *data, const struct vmscm_id *id)
{
    const struct vmscm_lost *lost = data;
    const uint64_t *number = vmscm_idset_find(&lost->index, id);

    return number && *number && !lost->items.items[*number - 1].there;
}

int vmscm_lost_update(struct vmscm_lost *lost, struct vmscm_store *store,
    const struct vmscm_idset *bad, uint64_t *found, struct vmscm_error *err)
{
    struct vmscm_buf bytes = VMSCM_BUF_INIT;
    struct vmscm_fetch *fetch = NULL;
    int rc = vmscm_fetch_new_own(&fetch, store, err);

    for (size_t i = 0; i < lost->items.len && !rc; i++) {
        struct vmscm_lost_item *item = &lost->items.items[i];
        struct vmscm_error why = VMSCM_ERROR_INIT;
        if (item->there)
            continue;
        rc = vmscm_idset_find(bad, &item->id)
            ? vmscm_fetch_read_buf(
                  fetch, item->type, &item->id, &bytes, VMSCM_PACK_PART_MAX, &why)
            : vmscm_fetch_find(fetch, &item->id, &why);
        item->there = !rc;
        *found += !rc;
        rc = rc == VMSCM_ENOMEM ? vmscm_error_copy(err, &why) : 0;
    }
    vmscm_fetch_free(fetch);
    vmscm_buf_release(&bytes);
    return rc;
}

void vmscm_lost_release(struct vmscm_lost *lost)
{
    vmscm_vec_release(&lost->items);
    vmscm_idset_release(&lost->index);
    *lost = (struct vmscm_lost){0};
}
