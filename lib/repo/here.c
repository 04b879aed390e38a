/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Counting what of a revision is here, in a lazy repository. */
#include "machine/model.h"
#include "repo/leafread.h"
#include "repo/snapshot.h"
#include "store/fetch.h"
#include "store/idset.h"

#include <stdlib.h>

struct counting {
    struct vmscm_repo *repo;
    struct vmscm_revision_here *out;
    struct vmscm_fetch *own;    /* the repository's packs */
    struct vmscm_store *cached; /* NULL: there is no cache */
    struct vmscm_fetch *reach;  /* both, to read leaves */
    struct vmscm_buf bytes;
    struct vmscm_idset leaves; /* one more than their place in sums */
    VMSCM_VEC(struct vmscm_revision_here) sums;
};

/* A record of the cache has no bases, one of a pack may lack its own. */
static bool is_here(struct counting *c, const struct vmscm_id *id)
{
    struct vmscm_pack_entry entry;

    return (c->cached && vmscm_store_locate(c->cached, &entry, id, 0)) ||
        !vmscm_fetch_find(c->own, id, NULL);
}

static int count_leaf(struct counting *c, struct vmscm_revision_here *sum, const struct vmscm_id *id,
    uint32_t length, struct vmscm_error *err)
{
    struct vmscm_leaf_entry *entries = NULL;
    size_t count = 0;
    int rc;

    if (!is_here(c, id)) {
        sum->away = length;
        sum->at_most = 1;
        return 0;
    }
    if ((rc = vmscm_leafread_entries(&entries, &count, c->reach, &c->bytes, id, length, err)))
        return rc;
    for (size_t i = 0; i < count; i++)
        if (!entries[i].zero)
            *(is_here(c, &entries[i].id) ? &sum->here : &sum->away) += entries[i].length;
    free(entries);
    return 0;
}

/* Once for each leaf, however many segments it is for. */
static int add_leaf(struct counting *c, const struct vmscm_id *id, uint32_t length, uint64_t times,
    struct vmscm_error *err)
{
    struct vmscm_revision_here sum = {0}, *slot;
    uint64_t *place;
    bool added;
    int rc = vmscm_idset_get(&c->leaves, &place, &added, id, err);

    if (!rc && added) {
        if ((rc = count_leaf(c, &sum, id, length, err)))
            return rc;
        if (vmscm_vec_add(&c->sums, &slot, err))
            return VMSCM_ENOMEM;
        *slot = sum;
        *place = c->sums.len;
    }
    if (rc)
        return rc;
    sum = c->sums.items[*place - 1];
    c->out->here += sum.here * times;
    c->out->away += sum.away * times;
    c->out->at_most |= sum.at_most;
    return 0;
}

static int count_disk(struct counting *c, const char *id, const struct vmscm_machine_disk *disk,
    struct vmscm_error *err)
{
    struct vmscm_map map = {0};
    int rc = vmscm_snapshot_map(&map, c->repo, id, disk, err);

    for (size_t i = 0; i < map.runs.len && !rc; i++) {
        const struct vmscm_map_run *run = &map.runs.items[i];
        /* All segments of a leaf have one length. */
        if (!run->zero)
            rc = add_leaf(c, &run->leaf, vmscm_map_segment_length(map.size, run->first), run->count, err);
    }
    vmscm_map_release(&map);
    return rc;
}

int vmscm_revision_here(struct vmscm_revision_here *out, struct vmscm_revision *rev,
    struct vmscm_error *err)
{
    struct counting c = {.repo = rev->repo, .out = out};
    const struct vmscm_machine *machine;
    struct vmscm_cache *cache;
    struct vmscm_store *store;
    int rc;

    *out = (struct vmscm_revision_here){.lazy = rev->repo->promisor != NULL};
    if (!out->lazy)
        return 0;
    if ((rc = vmscm_snapshot_kept(rev->repo, rev->info.id, err)) ||
        (rc = vmscm_revision_machine(&machine, rev, err)) ||
        (rc = vmscm_handle_store(&store, rev->repo, err)) ||
        (rc = vmscm_fetch_new_own(&c.own, store, err)) ||
        (rc = vmscm_fetch_new(&c.reach, store, err)))
        goto out;
    vmscm_fetch_set_reach(c.reach, VMSCM_FETCH_CACHED);
    cache = vmscm_elsewhere_cache(store);
    c.cached = cache ? vmscm_cache_store(cache) : NULL;
    for (size_t i = 0; i < machine->disk_count && !rc; i++)
        rc = count_disk(&c, rev->info.id, &machine->disks[i], err);
out:
    vmscm_fetch_free(c.reach);
    vmscm_fetch_free(c.own);
    vmscm_idset_release(&c.leaves);
    vmscm_vec_release(&c.sums);
    vmscm_buf_release(&c.bytes);
    return rc;
}
