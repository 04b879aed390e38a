/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/idset.h"
#include "base/endian.h"

#include <stdlib.h>

/* Ids are hashes already: their first bytes are as good a hash as any. */
static struct vmscm_idset_slot *slot_of(struct vmscm_idset_slot *slots, size_t room,
    const struct vmscm_id *id)
{
    size_t i = (size_t)vmscm_get_le64(id->bytes) & (room - 1);

    while (slots[i].used && vmscm_hash_cmp(&slots[i].id, id) != 0)
        i = (i + 1) & (room - 1);
    return &slots[i];
}

static int grow(struct vmscm_idset *set, struct vmscm_error *err)
{
    size_t room = set->room ? set->room * 2 : 64;
    struct vmscm_idset_slot *slots = calloc(room, sizeof *slots);

    if (!slots)
        return vmscm_error_nomem(err);
    for (size_t i = 0; i < set->room; i++)
        if (set->slots[i].used)
            *slot_of(slots, room, &set->slots[i].id) = set->slots[i];
    free(set->slots);
    set->slots = slots;
    set->room = room;
    return 0;
}

int vmscm_idset_get(struct vmscm_idset *set, uint64_t **value, bool *added,
    const struct vmscm_id *id, struct vmscm_error *err)
{
    struct vmscm_idset_slot *slot;
    int rc;

    if (set->count * 4 >= set->room * 3 && (rc = grow(set, err)))
        return rc;
    slot = slot_of(set->slots, set->room, id);
    *added = !slot->used;
    if (*added) {
        *slot = (struct vmscm_idset_slot){.id = *id, .used = true};
        set->count++;
    }
    *value = &slot->value;
    return 0;
}

const uint64_t *vmscm_idset_find(const struct vmscm_idset *set, const struct vmscm_id *id)
{
    const struct vmscm_idset_slot *slot = set->room ? slot_of(set->slots, set->room, id) : NULL;

    return slot && slot->used ? &slot->value : NULL;
}

void vmscm_idset_release(struct vmscm_idset *set)
{
    free(set->slots);
    *set = (struct vmscm_idset){0};
}
