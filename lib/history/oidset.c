/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/oidset.h"
#include "base/endian.h"

#include <stdlib.h>

/* Ids are hashes already: their first bytes are as good a hash as any. */
static git_oid *slot_of(git_oid *slots, size_t room, const git_oid *oid)
{
    size_t i = (size_t)vmscm_get_le64(oid->id) & (room - 1);

    while (!git_oid_is_zero(&slots[i]) && !git_oid_equal(&slots[i], oid))
        i = (i + 1) & (room - 1);
    return &slots[i];
}

static int grow(struct vmscm_oidset *set, struct vmscm_error *err)
{
    size_t room = set->room ? set->room * 2 : 64;
    git_oid *slots = calloc(room, sizeof *slots);

    if (!slots)
        return vmscm_error_nomem(err);
    for (size_t i = 0; i < set->room; i++)
        if (!git_oid_is_zero(&set->slots[i]))
            *slot_of(slots, room, &set->slots[i]) = set->slots[i];
    free(set->slots);
    set->slots = slots;
    set->room = room;
    return 0;
}

int vmscm_oidset_add(struct vmscm_oidset *set, bool *added, const git_oid *oid,
    struct vmscm_error *err)
{
    char id[VMSCM_GITDB_ID];
    git_oid *slot;
    int rc;

    if (git_oid_is_zero(oid))
        return vmscm_error_set(
            err, VMSCM_EDAMAGED, "%s: no object's id", git_oid_tostr(id, sizeof id, oid));
    if (set->count * 4 >= set->room * 3 && (rc = grow(set, err)))
        return rc;
    slot = slot_of(set->slots, set->room, oid);
    *added = git_oid_is_zero(slot);
    if (*added) {
        *slot = *oid;
        set->count++;
    }
    return 0;
}

bool vmscm_oidset_has(const struct vmscm_oidset *set, const git_oid *oid)
{
    return set->room && !git_oid_is_zero(oid) &&
        !git_oid_is_zero(slot_of(set->slots, set->room, oid));
}

void vmscm_oidset_release(struct vmscm_oidset *set)
{
    free(set->slots);
    *set = (struct vmscm_oidset){0};
}
