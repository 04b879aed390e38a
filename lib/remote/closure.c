/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "remote/closure.h"
#include "machine/model.h"
#include "repo/snapshot.h"

#include <stdlib.h>

/* Our repository, with the history that came. */
static struct vmscm_repo view_of(const struct vmscm_closure *c)
{
    struct vmscm_repo view = *c->repo;

    if (c->receive)
        view.git = vmscm_receive_db(c->receive);
    return view;
}

static int open_fetch(struct vmscm_closure *c, struct vmscm_error *err)
{
    struct vmscm_store *store;
    int rc;

    if (c->fetch)
        return 0;
    rc = vmscm_handle_store(&store, c->repo, err);
    return rc ? rc : vmscm_fetch_new_own(&c->fetch, store, err);
}

static bool has(struct vmscm_closure *c, const struct vmscm_id *id, uint32_t *length)
{
    struct vmscm_pack_entry entry;

    if (c->receive)
        return vmscm_receive_has(c->receive, id, length);
    if (vmscm_fetch_find(c->fetch, id, NULL) ||
        !vmscm_store_locate(c->repo->store, &entry, id, 0))
        return false;
    *length = entry.plain_len;
    return true;
}

/* The chunks of a leaf that are not there. */
static int check_chunks(struct vmscm_closure *c, const struct vmscm_id *leaf,
    const struct vmscm_leaf_entry *entries, size_t count, struct vmscm_error *err)
{
    uint8_t bits[VMSCM_LEAF_BLOCKS / 8 + 1] = {0};
    uint64_t *value, missing = 0;
    uint32_t length = 0;
    bool added;
    int rc = 0;

    for (size_t i = 0; i < count && !rc; i++) {
        if (entries[i].zero)
            continue;
        if (has(c, &entries[i].id, &length)) {
            if (length != entries[i].length)
                rc = vmscm_error_set(err, VMSCM_EINPUT, "a leaf has a chunk of another length");
        } else if (!(rc = vmscm_idset_get(&c->lost, &value, &added, &entries[i].id, err)) && added) {
            bits[i / 8] |= (uint8_t)(1u << i % 8);
            missing++;
        }
    }
    c->missing += missing;
    if (!rc && missing && c->chunks)
        rc = c->chunks(c->data, leaf, entries, bits, count, err);
    return rc;
}

static int check_leaf(struct vmscm_closure *c, const struct vmscm_id *id, uint32_t length,
    struct vmscm_error *err)
{
    struct vmscm_leaf_entry *entries = NULL;
    uint64_t *checked;
    uint32_t is = 0;
    size_t count = 0;
    bool added;
    int rc = vmscm_idset_get(&c->seen, &checked, &added, id, err);

    if (rc || *checked == length)
        return rc;
    if (!added)
        return vmscm_error_set(err, VMSCM_EINPUT, "a leaf is for segments of two lengths");
    *checked = length;
    if (!has(c, id, &is)) {
        c->missing++;
        return c->leaf ? c->leaf(c->data, id, err) : 0;
    }
    rc = c->receive ? vmscm_receive_leaf(c->receive, id, &c->bytes, err)
                    : vmscm_fetch_read_buf(
                          c->fetch, VMSCM_PACK_LEAF, id, &c->bytes, VMSCM_PACK_PART_MAX, err);
    if (!rc && !(rc = vmscm_leaf_decode(&entries, &count, &is, c->bytes.data, c->bytes.len, err)) &&
        is != length)
        rc = vmscm_error_set(err, VMSCM_EINPUT, "a leaf is for a segment of another length");
    if (!rc)
        rc = check_chunks(c, id, entries, count, err);
    free(entries);
    return rc;
}

static int check_map(struct vmscm_closure *c, const struct vmscm_map *map, struct vmscm_error *err)
{
    int rc = 0;

    for (size_t i = 0; i < map->runs.len && !rc; i++) {
        const struct vmscm_map_run *run = &map->runs.items[i];
        if (run->zero || vmscm_idset_find(&c->edge, &run->leaf))
            continue;
        /* Of a run all segments but the disk's last have one length. */
        if (!(rc = check_leaf(
                  c, &run->leaf, vmscm_map_segment_length(map->size, run->first), err)))
            rc = check_leaf(c, &run->leaf,
                vmscm_map_segment_length(map->size, run->first + run->count - 1), err);
    }
    return rc;
}

int vmscm_closure_edge(struct vmscm_closure *c, const char *commit, struct vmscm_error *err)
{
    struct vmscm_machine *machine = NULL;
    struct vmscm_map map = {0};
    uint64_t *value;
    bool added;
    int rc = 0;

    if (vmscm_snapshot_kept(c->repo, commit, NULL) ||
        vmscm_snapshot_machine(&machine, c->repo, commit, NULL))
        return 0;
    for (size_t i = 0; i < machine->disk_count && !rc; i++) {
        if (vmscm_snapshot_map(&map, c->repo, commit, &machine->disks[i], NULL))
            continue;
        for (size_t k = 0; k < map.runs.len && !rc; k++)
            if (!map.runs.items[k].zero)
                rc = vmscm_idset_get(&c->edge, &value, &added, &map.runs.items[k].leaf, err);
        vmscm_map_release(&map);
    }
    vmscm_model_free(machine);
    return rc;
}

static int pass_file(void *data, const char *path, const char *blob, uint64_t size)
{
    (void)data;
    (void)path;
    (void)blob;
    (void)size;
    return 0;
}

int vmscm_closure_commit(struct vmscm_closure *c, const char *commit, bool bare,
    struct vmscm_error *err)
{
    struct vmscm_repo view = view_of(c);
    struct vmscm_machine *machine = NULL;
    struct vmscm_map map = {0};
    int rc;

    if ((rc = open_fetch(c, err)) ||
        (rc = vmscm_gitdb_walk_files(view.git, commit, "", pass_file, NULL, err)) ||
        (rc = vmscm_snapshot_machine(&machine, &view, commit, err)))
        goto out;
    for (size_t i = 0; i < machine->disk_count && !rc; i++) {
        rc = vmscm_snapshot_map(&map, &view, commit, &machine->disks[i], err);
        if (!rc && !bare)
            rc = check_map(c, &map, err);
        vmscm_map_release(&map);
    }
out:
    vmscm_model_free(machine);
    /* Of what came, nothing was damaged here. */
    if (rc == VMSCM_EDAMAGED || rc == VMSCM_EINPUT || rc == VMSCM_ENOTFOUND) {
        rc = c->receive ? VMSCM_EINPUT : rc;
        if (err)
            err->code = rc;
        vmscm_error_prefix(err, "revision %.12s", commit);
    }
    return rc;
}

void vmscm_closure_release(struct vmscm_closure *c)
{
    vmscm_fetch_free(c->fetch);
    c->fetch = NULL;
    c->missing = 0;
    vmscm_buf_release(&c->bytes);
    vmscm_idset_release(&c->edge);
    vmscm_idset_release(&c->seen);
    vmscm_idset_release(&c->lost);
}
