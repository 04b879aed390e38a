/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "remote/select.h"
#include "base/str.h"
#include "base/vec.h"
#include "format/leaf.h"
#include "machine/model.h"
#include "repo/snapshot.h"
#include "store/batch.h"
#include "store/fetch.h"

#include <stdlib.h>
#include <string.h>

/* A disk of a revision that the other side has. */
struct known_disk {
    char *id;
    struct vmscm_map map;
};

struct selection {
    struct vmscm_outgoing *out;
    struct vmscm_repo *repo;
    struct vmscm_fetch *fetch;
    struct vmscm_buf bytes;
    VMSCM_VEC(struct known_disk) known;
    struct vmscm_idset known_leaves;
    struct vmscm_idset known_chunks;
    struct vmscm_idset seen; /* leaves that were looked at, of either side */
};

/* each(data, disk, map, err) for every disk of a commit; map is released afterwards if it still is one. */
static int each_map(struct vmscm_repo *repo, const char *commit,
    int (*each)(void *data, const char *disk, struct vmscm_map *map, struct vmscm_error *err),
    void *data, struct vmscm_error *err)
{
    struct vmscm_machine *machine = NULL;
    struct vmscm_map map = {0};
    int rc = vmscm_snapshot_machine(&machine, repo, commit, err);

    for (size_t i = 0; !rc && i < machine->disk_count; i++) {
        if (!(rc = vmscm_snapshot_map(&map, repo, commit, &machine->disks[i], err)))
            rc = each(data, machine->disks[i].id, &map, err);
        vmscm_map_release(&map);
        memset(&map, 0, sizeof map);
    }
    vmscm_model_free(machine);
    return rc;
}

static int add_known(void *data, const char *disk, struct vmscm_map *map, struct vmscm_error *err)
{
    struct selection *s = data;
    struct known_disk *slot;
    uint64_t *value;
    bool added;
    int rc;

    for (size_t i = 0; i < map->runs.len; i++)
        if (!map->runs.items[i].zero &&
            (rc = vmscm_idset_get(&s->known_leaves, &value, &added, &map->runs.items[i].leaf, err)))
            return rc;
    if (vmscm_vec_add(&s->known, &slot, err) || vmscm_str_dup(&slot->id, disk, err))
        return VMSCM_ENOMEM;
    slot->map = *map;
    memset(map, 0, sizeof *map);
    return 0;
}

static int read_leaf(struct selection *s, struct vmscm_leaf_entry **entries, size_t *count,
    const struct vmscm_id *id, struct vmscm_error *err)
{
    uint32_t length;
    int rc = vmscm_fetch_read_buf(
        s->fetch, VMSCM_PACK_LEAF, id, &s->bytes, VMSCM_PACK_PART_MAX, err);

    return rc ? rc : vmscm_leaf_decode(entries, count, &length, s->bytes.data, s->bytes.len, err);
}

/* The chunks of a leaf that the other side has. One that cannot be read here proves nothing. */
static int add_known_chunks(struct selection *s, const struct vmscm_id *leaf,
    struct vmscm_error *err)
{
    struct vmscm_leaf_entry *entries = NULL;
    size_t count = 0;
    uint64_t *value;
    bool added;
    int rc = vmscm_idset_get(&s->seen, &value, &added, leaf, err);

    if (rc || !added || read_leaf(s, &entries, &count, leaf, NULL))
        return rc;
    for (size_t i = 0; i < count && !rc; i++)
        if (!entries[i].zero &&
            !(rc = vmscm_idset_get(&s->known_chunks, &value, &added, &entries[i].id, err)))
            rc = vmscm_outgoing_know(s->out, &entries[i].id, err);
    free(entries);
    return rc;
}

static int know_place(struct selection *s, const char *disk, uint64_t segment,
    struct vmscm_error *err)
{
    int rc = 0;

    for (size_t i = 0; i < s->known.len && !rc; i++) {
        const struct known_disk *known = &s->known.items[i];
        if (strcmp(known->id, disk) != 0 || segment >= vmscm_map_segments(known->map.size))
            continue;
        const struct vmscm_map_run *run = vmscm_map_run(&known->map, segment);
        if (!run->zero)
            rc = add_known_chunks(s, &run->leaf, err);
    }
    return rc;
}

static int select_leaf(struct selection *s, const struct vmscm_id *leaf, struct vmscm_error *err)
{
    struct vmscm_leaf_entry *entries = NULL;
    size_t count = 0;
    int rc;

    if ((rc = vmscm_outgoing_from(s->out, NULL, err)) ||
        (rc = vmscm_outgoing_want(s->out, leaf, err)) ||
        (rc = vmscm_outgoing_from(s->out, leaf, err)) || (rc = read_leaf(s, &entries, &count, leaf, err)))
        goto out;
    for (size_t i = 0; i < count && !rc; i++) {
        if (entries[i].zero)
            continue;
        rc = vmscm_idset_find(&s->known_chunks, &entries[i].id)
            ? vmscm_outgoing_allow(s->out, &entries[i].id, err)
            : vmscm_outgoing_want(s->out, &entries[i].id, err);
    }
out:
    free(entries);
    return rc;
}

/* The leaves that will be read, all at once, where they are elsewhere. Which cannot be had, reading tells. */
static int bring_leaves(struct selection *s, const char *disk, const struct vmscm_map *map,
    struct vmscm_batch *batch, struct vmscm_error *err)
{
    int rc = 0;

    for (size_t i = 0; i < map->runs.len && !rc; i++) {
        const struct vmscm_map_run *run = &map->runs.items[i];
        if (run->zero || vmscm_idset_find(&s->known_leaves, &run->leaf))
            continue;
        rc = vmscm_batch_add_leaf(batch, &run->leaf, err);
        for (size_t k = 0; k < s->known.len && !rc; k++) {
            const struct known_disk *known = &s->known.items[k];
            if (strcmp(known->id, disk) != 0 || run->first >= vmscm_map_segments(known->map.size))
                continue;
            const struct vmscm_map_run *theirs = vmscm_map_run(&known->map, run->first);
            if (!theirs->zero)
                rc = vmscm_batch_add_leaf(batch, &theirs->leaf, err);
        }
    }
    if (!rc)
        vmscm_batch_bring(batch, NULL);
    return rc;
}

static int select_map(void *data, const char *disk, struct vmscm_map *map, struct vmscm_error *err)
{
    struct selection *s = data;
    struct vmscm_batch batch;
    uint64_t *value;
    bool added;
    int rc = 0;

    if (vmscm_batch_init(&batch, s->repo->store))
        rc = bring_leaves(s, disk, map, &batch, err);
    for (size_t i = 0; i < map->runs.len && !rc; i++) {
        const struct vmscm_map_run *run = &map->runs.items[i];
        if (run->zero || vmscm_idset_find(&s->known_leaves, &run->leaf))
            continue;
        if (!(rc = know_place(s, disk, run->first, err)) &&
            !(rc = vmscm_idset_get(&s->seen, &value, &added, &run->leaf, err)) && added)
            rc = select_leaf(s, &run->leaf, err);
    }
    vmscm_batch_release(&batch);
    return rc;
}

int vmscm_select_new(struct vmscm_outgoing *out, struct vmscm_repo *repo,
    const struct vmscm_novel *novel, const struct vmscm_pruned *pruned, struct vmscm_error *err)
{
    struct selection s = {.out = out, .repo = repo};
    struct vmscm_store *store;
    int rc;

    if ((rc = vmscm_handle_store(&store, repo, err)) ||
        (rc = vmscm_fetch_new(&s.fetch, store, err)))
        goto out;
    for (size_t i = 0; i < vmscm_novel_edge_count(novel) && !rc; i++)
        rc = each_map(repo, vmscm_novel_edge(novel, i), add_known, &s, err);
    for (size_t i = 0; i < vmscm_novel_commit_count(novel) && !rc; i++) {
        const char *commit = vmscm_novel_commit(novel, i);
        if (!vmscm_pruned_has(pruned, commit))
            rc = each_map(repo, commit, select_map, &s, err);
    }
out:
    vmscm_fetch_free(s.fetch);
    vmscm_buf_release(&s.bytes);
    for (size_t i = 0; i < s.known.len; i++) {
        free(s.known.items[i].id);
        vmscm_map_release(&s.known.items[i].map);
    }
    vmscm_vec_release(&s.known);
    vmscm_idset_release(&s.known_leaves);
    vmscm_idset_release(&s.known_chunks);
    vmscm_idset_release(&s.seen);
    return rc;
}

static int allow_map(void *data, const char *disk, struct vmscm_map *map, struct vmscm_error *err)
{
    struct selection *s = data;
    struct vmscm_batch batch;
    int rc = 0;

    if (vmscm_batch_init(&batch, s->repo->store))
        rc = bring_leaves(s, disk, map, &batch, err);
    for (size_t i = 0; i < map->runs.len && !rc; i++) {
        const struct vmscm_map_run *run = &map->runs.items[i];
        struct vmscm_leaf_entry *entries = NULL;
        size_t count = 0;
        if (run->zero || vmscm_outgoing_may(s->out, &run->leaf))
            continue;
        if (!(rc = vmscm_outgoing_from(s->out, &run->leaf, err)) &&
            !(rc = vmscm_outgoing_allow(s->out, &run->leaf, err)))
            rc = read_leaf(s, &entries, &count, &run->leaf, err);
        for (size_t k = 0; k < count && !rc; k++)
            if (!entries[k].zero)
                rc = vmscm_outgoing_allow(s->out, &entries[k].id, err);
        free(entries);
    }
    vmscm_batch_release(&batch);
    return rc;
}

int vmscm_select_allow(struct vmscm_outgoing *out, struct vmscm_repo *repo, const char *commit,
    struct vmscm_error *err)
{
    struct selection s = {.out = out, .repo = repo};
    struct vmscm_store *store;
    int rc;

    if (!(rc = vmscm_handle_store(&store, repo, err)) &&
        !(rc = vmscm_fetch_new(&s.fetch, store, err)))
        rc = each_map(repo, commit, allow_map, &s, err);
    vmscm_fetch_free(s.fetch);
    vmscm_buf_release(&s.bytes);
    return rc;
}

static int add_leaves(void *data, const char *disk, struct vmscm_map *map, struct vmscm_error *err)
{
    uint64_t *value;
    bool added;
    int rc = 0;

    (void)disk;
    for (size_t i = 0; i < map->runs.len && !rc; i++)
        if (!map->runs.items[i].zero)
            rc = vmscm_idset_get(data, &value, &added, &map->runs.items[i].leaf, err);
    return rc;
}

int vmscm_select_leaves(struct vmscm_idset *leaves, struct vmscm_repo *repo,
    const struct vmscm_novel *novel, struct vmscm_error *err)
{
    int rc = 0;

    for (size_t i = 0; i < vmscm_novel_commit_count(novel) && !rc; i++)
        rc = each_map(repo, vmscm_novel_commit(novel, i), add_leaves, leaves, err);
    return rc;
}

int vmscm_select_leaves_of(struct vmscm_idset *leaves, struct vmscm_repo *repo, const char *commit,
    struct vmscm_error *err)
{
    return each_map(repo, commit, add_leaves, leaves, err);
}
