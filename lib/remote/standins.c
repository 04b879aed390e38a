/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "remote/standins.h"

int vmscm_standins_add(struct vmscm_standins *s, struct vmscm_store *store, struct vmscm_fetch *fetch,
    const struct vmscm_id *id, struct vmscm_error *err)
{
    struct vmscm_id bases[VMSCM_PACK_BASES_MAX];
    struct vmscm_pack_entry entry;
    struct vmscm_packfile *pack = vmscm_store_locate(store, &entry, id, 0);
    struct vmscm_standin *slot;
    uint64_t *number;
    size_t count;
    bool added;
    int rc = 0;

    if (!pack || !entry.has_base ||
        vmscm_fetch_find_bases_at(fetch, pack, &entry, bases, &count, NULL))
        return 0;
    for (size_t i = 0; i < count && !rc; i++) {
        if ((rc = vmscm_idset_get(&s->bases, &number, &added, &bases[i], err)))
            break;
        if (vmscm_vec_add(&s->list, &slot, err))
            return VMSCM_ENOMEM;
        *slot = (struct vmscm_standin){*id, *number};
        *number = s->list.len;
    }
    return rc;
}

uint64_t vmscm_standins_first(const struct vmscm_standins *s, const struct vmscm_id *base)
{
    const uint64_t *number = vmscm_idset_find(&s->bases, base);

    return number ? *number : 0;
}

uint64_t vmscm_standins_next(const struct vmscm_standins *s, uint64_t number)
{
    return s->list.items[number - 1].next;
}

const struct vmscm_id *vmscm_standins_id(const struct vmscm_standins *s, uint64_t number)
{
    return &s->list.items[number - 1].id;
}

void vmscm_standins_release(struct vmscm_standins *s)
{
    vmscm_idset_release(&s->bases);
    vmscm_vec_release(&s->list);
}
