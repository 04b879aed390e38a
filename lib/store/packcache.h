/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The packs whose indexes are mapped: those that no multi-pack index lists, and of the others the few
 * that were last of use. What is stored together is looked for together, so that most of what is
 * found is found in one of these.
 *
 * Threading: mapping and dropping are for a thread that is alone; finding and noting for any number
 * meanwhile.
 */
#ifndef STORE_PACKCACHE_H
#define STORE_PACKCACHE_H

#include "base/vec.h"
#include "store/packfile.h"

#define VMSCM_PACKCACHE_RECENT 8

/* Zero-initialised is empty. The packs are the owner's. */
struct vmscm_packcache {
    VMSCM_VEC(struct vmscm_packfile *) mapped;
    size_t hand; /* where the next look for one to unmap starts */
    _Atomic(struct vmscm_packfile *) recent[VMSCM_PACKCACHE_RECENT];
    atomic_uint next; /* of recent, to be replaced */
    atomic_uint last; /* of recent, where something was found last: more is likely there */
};

/* Map a pack. If it is covered, others that are and were not searched lately may be unmapped; not
 * those that are pinned. */
int vmscm_packcache_map(struct vmscm_packcache *cache, struct vmscm_packfile *pack,
    const char *dir, struct vmscm_error *err);

/* Unmap a pack, if it is mapped. */
void vmscm_packcache_drop(struct vmscm_packcache *cache, struct vmscm_packfile *pack);

/* The pack, among those that were noted last, that has the id; or NULL. */
struct vmscm_packfile *vmscm_packcache_find(struct vmscm_packcache *cache,
    struct vmscm_pack_entry *entry, const struct vmscm_id *id);

/* Something was found in a mapped pack. */
void vmscm_packcache_note(struct vmscm_packcache *cache, struct vmscm_packfile *pack);

void vmscm_packcache_release(struct vmscm_packcache *cache);

#endif
