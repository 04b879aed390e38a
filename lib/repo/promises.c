/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/promises.h"
#include "base/str.h"
#include "base/vec.h"
#include "format/leaf.h"
#include "history/ancestry.h"
#include "history/pruned.h"
#include "history/reflist.h"
#include "history/refs.h"
#include "machine/model.h"
#include "repo/snapshot.h"

#include <stdlib.h>
#include <string.h>

struct revision {
    char id[VMSCM_GITDB_ID];
};

struct vmscm_promises {
    struct vmscm_repo *repo;
    char *remote;
    struct vmscm_pruned *pruned;
    struct vmscm_ancestry *ancestry; /* those that were looked at */
    struct vmscm_idset leaves;       /* one more than the number of the revision */
    VMSCM_VEC(struct revision) revisions;
    VMSCM_VEC(struct revision) tips;
    bool has_tips, has_all;
    struct vmscm_error *err;
};

int vmscm_promises_new(struct vmscm_promises **out, struct vmscm_repo *repo, const char *remote,
    struct vmscm_error *err)
{
    struct vmscm_promises *p = calloc(1, sizeof *p);
    int rc;

    if (!p)
        return vmscm_error_nomem(err);
    p->repo = repo;
    if ((rc = vmscm_str_dup(&p->remote, remote, err)) ||
        (rc = vmscm_pruned_load(&p->pruned, repo->git, err)) ||
        (rc = vmscm_ancestry_new(&p->ancestry, err)))
        vmscm_promises_free(p);
    else
        *out = p;
    return rc;
}

void vmscm_promises_free(struct vmscm_promises *p)
{
    if (!p)
        return;
    vmscm_pruned_free(p->pruned);
    vmscm_ancestry_free(p->ancestry);
    vmscm_idset_release(&p->leaves);
    vmscm_vec_release(&p->revisions);
    vmscm_vec_release(&p->tips);
    free(p->remote);
    free(p);
}

static int add_map(struct vmscm_promises *p, const struct vmscm_map *map, struct vmscm_error *err)
{
    uint64_t *value;
    bool added;
    int rc = 0;

    for (size_t i = 0; i < map->runs.len && !rc; i++) {
        if (map->runs.items[i].zero)
            continue;
        rc = vmscm_idset_get(&p->leaves, &value, &added, &map->runs.items[i].leaf, err);
        if (!rc && added)
            *value = p->revisions.len;
    }
    return rc;
}

static int add_revision(struct vmscm_promises *p, const char *commit, struct vmscm_error *err)
{
    struct vmscm_machine *machine = NULL;
    struct vmscm_map map = {0};
    struct revision *slot;
    int rc;

    if (vmscm_pruned_has(p->pruned, commit))
        return 0;
    if ((rc = vmscm_vec_add(&p->revisions, &slot, err)))
        return rc;
    memcpy(slot->id, commit, sizeof slot->id);
    if ((rc = vmscm_snapshot_machine(&machine, p->repo, commit, err)))
        return rc;
    for (size_t i = 0; i < machine->disk_count && !rc; i++) {
        if (!(rc = vmscm_snapshot_map(&map, p->repo, commit, &machine->disks[i], err)))
            rc = add_map(p, &map, err);
        vmscm_map_release(&map);
    }
    vmscm_model_free(machine);
    return rc;
}

static int add_id(void *data, const char *id)
{
    struct vmscm_promises *p = data;
    struct revision *slot;
    char commit[VMSCM_GITDB_ID];

    /* What cannot be read promises nothing; fsck tells of it. */
    if (vmscm_refs_peel(commit, p->repo->git, id, NULL))
        return 0;
    if (vmscm_vec_add(&p->tips, &slot, p->err))
        return VMSCM_ENOMEM;
    memcpy(slot->id, commit, sizeof slot->id);
    return 0;
}

static int add_tip(void *data, const char *ref, const char *id)
{
    (void)ref;
    return id ? add_id(data, id) : 0;
}

static int add_log(void *data, const char *ref, const char *id)
{
    struct vmscm_promises *p = data;
    int rc = vmscm_refs_log_ids(p->repo->git, ref, add_id, p, NULL);

    (void)id;
    return rc == VMSCM_ENOMEM ? vmscm_error_nomem(p->err) : 0;
}

/* Of each ref that remembers something of the remote. */
static int walk_refs(struct vmscm_promises *p, int (*each)(void *, const char *, const char *),
    struct vmscm_error *err)
{
    static const char *const rooms[] = {VMSCM_HANDLE_TRACKED, VMSCM_HANDLE_TRACKED_TAGS};
    char *prefix = NULL;
    int rc = 0;

    p->err = err;
    for (size_t i = 0; i < 2 && !rc; i++) {
        if (!(rc = vmscm_str_printf(&prefix, err, "%s%s/", rooms[i], p->remote)))
            rc = vmscm_reflist_walk(p->repo->git, prefix, each, p, err);
        free(prefix);
        prefix = NULL;
    }
    return rc;
}

/* What refs lead to, without what was before. */
static int load_tips(struct vmscm_promises *p, struct vmscm_error *err)
{
    int rc = walk_refs(p, add_tip, err);

    for (size_t i = 0; i < p->tips.len && !rc; i++)
        rc = add_revision(p, p->tips.items[i].id, err);
    p->has_tips = !rc;
    return rc;
}

static int visit(void *data, const char *commit)
{
    struct vmscm_promises *p = data;

    return add_revision(p, commit, p->err);
}

int vmscm_promises_load(struct vmscm_promises *p, struct vmscm_error *err)
{
    int rc = 0;

    if (p->has_all || (!p->has_tips && (rc = load_tips(p, err))))
        return rc;
    p->err = err;
    for (size_t i = 0; i < p->tips.len && !rc; i++)
        rc = vmscm_ancestry_walk(p->ancestry, p->repo->git, p->tips.items[i].id, visit, p, err);
    p->has_all = !rc;
    return rc;
}

int vmscm_promises_recall(struct vmscm_promises *p, struct vmscm_error *err)
{
    int rc = vmscm_promises_load(p, err);

    if (rc || (rc = walk_refs(p, add_log, err)))
        return rc;
    p->has_all = false;
    return vmscm_promises_load(p, err);
}

/* As much more as there is. *more is false if all is known. */
static int load_more(struct vmscm_promises *p, bool *more, struct vmscm_error *err)
{
    *more = !p->has_all;
    return p->has_tips ? vmscm_promises_load(p, err) : load_tips(p, err);
}

int vmscm_promises_find(struct vmscm_promises *p, const char **commit, const struct vmscm_id *leaf,
    struct vmscm_error *err)
{
    const uint64_t *number;
    bool more = true;
    int rc;

    *commit = NULL;
    while (!(number = vmscm_idset_find(&p->leaves, leaf)))
        if ((rc = load_more(p, &more, err)) || !more)
            return rc;
    *commit = p->revisions.items[*number - 1].id;
    return 0;
}

int vmscm_promises_search(struct vmscm_promises *p, struct vmscm_id *leaf, bool *found,
    bool (*is)(void *data, const struct vmscm_id *leaf), void *data, struct vmscm_error *err)
{
    bool more = true;
    int rc = 0;

    for (*found = false; more && !*found && !rc; rc = *found ? 0 : load_more(p, &more, err))
        for (size_t i = 0; i < p->leaves.room && !*found; i++) {
            const struct vmscm_idset_slot *slot = &p->leaves.slots[i];
            if (slot->used && (*found = is(data, &slot->id)))
                *leaf = slot->id;
        }
    return rc;
}

int vmscm_promises_open(struct vmscm_promises **out, struct vmscm_repo *repo,
    struct vmscm_error *err)
{
    int rc;

    *out = NULL;
    if (!repo->promisor)
        return 0;
    if ((rc = vmscm_promises_new(out, repo, repo->promisor, err)) ||
        (rc = vmscm_promises_load(*out, err))) {
        vmscm_promises_free(*out);
        *out = NULL;
    }
    return rc;
}

static int add_chunks(struct vmscm_idset *chunks, const struct vmscm_buf *leaf,
    struct vmscm_error *err)
{
    struct vmscm_leaf_entry *entries = NULL;
    size_t count = 0;
    uint64_t *value;
    uint32_t length;
    bool added;
    int rc = vmscm_leaf_decode(&entries, &count, &length, leaf->data, leaf->len, err);

    for (size_t i = 0; i < count && !rc; i++)
        if (!entries[i].zero)
            rc = vmscm_idset_get(chunks, &value, &added, &entries[i].id, err);
    free(entries);
    return rc;
}

int vmscm_promises_chunks(const struct vmscm_promises *p, struct vmscm_idset *chunks,
    struct vmscm_fetch *fetch, struct vmscm_error *err)
{
    struct vmscm_store *store = vmscm_fetch_store(fetch);
    struct vmscm_buf bytes = VMSCM_BUF_INIT;
    struct vmscm_pack_entry entry;
    int rc = 0;

    for (size_t i = 0; i < p->leaves.room && rc != VMSCM_ENOMEM; i++) {
        const struct vmscm_idset_slot *slot = &p->leaves.slots[i];
        /* One that is damaged tells nothing. */
        if (slot->used && vmscm_store_locate(store, &entry, &slot->id, 0) &&
            !(rc = vmscm_fetch_read_buf(
                  fetch, VMSCM_PACK_LEAF, &slot->id, &bytes, VMSCM_PACK_PART_MAX, err)))
            rc = add_chunks(chunks, &bytes, err);
    }
    vmscm_buf_release(&bytes);
    if (rc && rc != VMSCM_ENOMEM)
        vmscm_error_clear(err);
    return rc == VMSCM_ENOMEM ? rc : 0;
}

bool vmscm_promises_has(const struct vmscm_promises *p, const struct vmscm_id *leaf)
{
    return vmscm_idset_find(&p->leaves, leaf) != NULL;
}
