/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/packcache.h"

#define BYTES_MAX (32u << 20) /* of mapped indexes that need not be */
#define PACKS_MAX 1024u       /* likewise */

static void forget(struct vmscm_packcache *cache, struct vmscm_packfile *pack)
{
    for (size_t i = 0; i < VMSCM_PACKCACHE_RECENT; i++)
        if (atomic_load(&cache->recent[i]) == pack)
            atomic_store(&cache->recent[i], NULL);
}

static void drop_at(struct vmscm_packcache *cache, size_t i)
{
    forget(cache, cache->mapped.items[i]);
    vmscm_packfile_unmap(cache->mapped.items[i]);
    cache->mapped.items[i] = cache->mapped.items[--cache->mapped.len];
}

static bool may_go(const struct vmscm_packfile *pack)
{
    return pack->covered && !pack->pins;
}

/* Unmap what was not searched since the hand came by last. */
static void make_room(struct vmscm_packcache *cache)
{
    size_t bytes = 0, count = 0;

    for (size_t i = 0; i < cache->mapped.len; i++)
        if (may_go(cache->mapped.items[i])) {
            bytes += cache->mapped.items[i]->map_len;
            count++;
        }
    /* Twice around: each that may go is asked twice, and no more. */
    for (size_t left = 2 * cache->mapped.len;
         left && (bytes > BYTES_MAX || count > PACKS_MAX) && cache->mapped.len; left--) {
        size_t i = cache->hand % cache->mapped.len;
        struct vmscm_packfile *pack = cache->mapped.items[i];
        if (!may_go(pack) || atomic_exchange(&pack->searched, false)) {
            cache->hand = i + 1;
            continue;
        }
        bytes -= pack->map_len;
        count--;
        drop_at(cache, i);
    }
}

int vmscm_packcache_map(struct vmscm_packcache *cache, struct vmscm_packfile *pack,
    const char *dir, struct vmscm_error *err)
{
    struct vmscm_packfile **slot;
    int rc;

    if (pack->index)
        return 0;
    if (pack->covered)
        make_room(cache);
    if ((rc = vmscm_packfile_map(pack, dir, err)))
        return rc;
    if (vmscm_vec_add(&cache->mapped, &slot, err)) {
        vmscm_packfile_unmap(pack);
        return VMSCM_ENOMEM;
    }
    *slot = pack;
    return 0;
}

void vmscm_packcache_drop(struct vmscm_packcache *cache, struct vmscm_packfile *pack)
{
    for (size_t i = 0; i < cache->mapped.len; i++)
        if (cache->mapped.items[i] == pack) {
            drop_at(cache, i);
            return;
        }
}

struct vmscm_packfile *vmscm_packcache_find(struct vmscm_packcache *cache,
    struct vmscm_pack_entry *entry, const struct vmscm_id *id)
{
    unsigned last = atomic_load_explicit(&cache->last, memory_order_relaxed);

    for (unsigned n = 0; n < VMSCM_PACKCACHE_RECENT; n++) {
        unsigned i = (last + n) % VMSCM_PACKCACHE_RECENT;
        struct vmscm_packfile *pack =
            atomic_load_explicit(&cache->recent[i], memory_order_relaxed);
        if (pack && vmscm_packfile_find(pack, entry, id)) {
            if (n)
                atomic_store_explicit(&cache->last, i, memory_order_relaxed);
            if (!atomic_load_explicit(&pack->searched, memory_order_relaxed))
                atomic_store_explicit(&pack->searched, true, memory_order_relaxed);
            return pack;
        }
    }
    return NULL;
}

void vmscm_packcache_note(struct vmscm_packcache *cache, struct vmscm_packfile *pack)
{
    atomic_store_explicit(&pack->searched, true, memory_order_relaxed);
    for (size_t i = 0; i < VMSCM_PACKCACHE_RECENT; i++)
        if (atomic_load_explicit(&cache->recent[i], memory_order_relaxed) == pack)
            return;
    atomic_store(&cache->recent[atomic_fetch_add(&cache->next, 1) % VMSCM_PACKCACHE_RECENT], pack);
}

void vmscm_packcache_release(struct vmscm_packcache *cache)
{
    vmscm_vec_release(&cache->mapped);
}
