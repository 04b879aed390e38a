/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/marking.h"
#include "base/str.h"
#include "history/ancestry.h"
#include "history/pruned.h"
#include "machine/model.h"
#include "repo/leafread.h"
#include "repo/promises.h"
#include "repo/snapshot.h"
#include "store/lease.h"
#include "store/pin.h"
#include "store/trash.h"

#include <stdlib.h>

struct revision {
    char id[VMSCM_GITDB_ID];
};

struct vmscm_marking {
    struct vmscm_repo *repo;
    struct vmscm_store *store;
    const struct vmscm_events *events;
    struct vmscm_live *live;
    struct vmscm_fetch *fetch;
    struct vmscm_buf bytes;
    struct vmscm_ancestry *ancestry;
    struct vmscm_roots roots;
    struct vmscm_pruned *pruned;
    struct vmscm_promises *promises; /* NULL: all must be here */
    VMSCM_VEC(struct revision) skipped; /* their data was not marked: they were pruned */
    VMSCM_VEC(struct revision) leased;
    uint64_t done;                     /* guest bytes of the segments that were looked at */
    bool look;
    struct vmscm_error *err;
};

static int keep_pack(void *data, const uint8_t *name)
{
    struct vmscm_live_pack *pack = vmscm_live_named(data, name);

    if (pack)
        pack->kept = true;
    return 0;
}

int vmscm_marking_keep(struct vmscm_live *live, struct vmscm_repo *repo,
    struct vmscm_error *err)
{
    return vmscm_lease_walk(repo->path, keep_pack, NULL, live, err);
}

int vmscm_marking_new(struct vmscm_marking **out, struct vmscm_repo *repo,
    struct vmscm_store *store, const struct vmscm_events *events, struct vmscm_error *err)
{
    struct vmscm_marking *m = calloc(1, sizeof *m);
    int rc;

    if (!m)
        return vmscm_error_nomem(err);
    m->repo = repo;
    m->store = store;
    m->events = events;
    /* Leases after packs, refs after leases: whoever made a pack that is seen here holds a lease
     * still, or has set his ref. */
    if ((rc = vmscm_live_new(&m->live, store, err)) ||
        (rc = vmscm_marking_keep(m->live, repo, err)) ||
        (rc = vmscm_fetch_new_own(&m->fetch, store, err)) ||
        (rc = vmscm_ancestry_new(&m->ancestry, err)))
        vmscm_marking_free(m);
    else
        *out = m;
    return rc;
}

void vmscm_marking_free(struct vmscm_marking *m)
{
    if (!m)
        return;
    vmscm_live_free(m->live);
    vmscm_fetch_free(m->fetch);
    vmscm_buf_release(&m->bytes);
    vmscm_ancestry_free(m->ancestry);
    vmscm_roots_release(&m->roots);
    vmscm_pruned_free(m->pruned);
    vmscm_promises_free(m->promises);
    vmscm_vec_release(&m->skipped);
    vmscm_vec_release(&m->leased);
    free(m);
}

/* All packs of the trash back to where they are found: which of them is needed, another marking
 * tells. *any: there were some. */
static int restore(struct vmscm_marking *m, bool *any, struct vmscm_error *err)
{
    struct vmscm_trash trash = {0};
    bool changed;
    int rc = vmscm_trash_list(&trash, m->repo->path, err);

    *any = !rc && trash.count > 0 && !m->look;
    for (size_t i = 0; *any && i < trash.count && !rc; i++)
        rc = vmscm_trash_restore(m->repo->path, trash.entries[i].name, err);
    if (*any && !rc) {
        vmscm_handle_warn(m->events, "%s: %zu pack%s brought back: something there is needed",
            "trash", trash.count, trash.count == 1 ? "" : "s");
        rc = vmscm_store_reload(m->store, &changed, err);
    }
    vmscm_trash_release(&trash);
    return rc;
}

/* Whether what is missing is had elsewhere. What a leaf of ours relies on is not looked up: that it is not
 * here, nor in the trash, is all there is to know. */
static bool is_elsewhere(struct vmscm_marking *m, const struct vmscm_id *id, bool leaf)
{
    struct vmscm_pack_entry entry;

    return m->promises && (!leaf || vmscm_promises_has(m->promises, id)) &&
        !vmscm_store_locate(m->store, &entry, id, 0) &&
        !vmscm_store_locate_trash(m->store, &entry, id, 0);
}

/* Mark a chunk, or, if first is not NULL, a leaf. */
static int mark(struct vmscm_marking *m, const struct vmscm_id *id, bool *first,
    struct vmscm_error *err)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;
    bool again = false;
    int rc;

    do {
        rc = first ? vmscm_live_enter(m->live, id, first, &why)
                   : vmscm_live_mark(m->live, id, &why);
        if (rc == VMSCM_EDAMAGED && is_elsewhere(m, id, first != NULL))
            return 0;
        if (rc != VMSCM_EDAMAGED || again)
            break;
        rc = restore(m, &again, err);
        if (rc)
            return rc;
        if (!again)
            rc = VMSCM_EDAMAGED;
    } while (again && !rc);
    return rc ? vmscm_error_copy(err, &why) : 0;
}

static int mark_leaf(struct vmscm_marking *m, const struct vmscm_id *id, uint32_t length,
    struct vmscm_error *err)
{
    struct vmscm_leaf_entry *entries = NULL;
    size_t count = 0;
    bool first = false;
    int rc = mark(m, id, &first, err);

    if (rc || !first)
        return rc;
    rc = vmscm_leafread_entries(&entries, &count, m->fetch, &m->bytes, id, length, err);
    for (size_t i = 0; i < count && !rc; i++)
        if (!entries[i].zero)
            rc = mark(m, &entries[i].id, NULL, err);
    /* Where a failure ends nothing, another revision may need all of it. */
    if (rc)
        vmscm_live_leave(m->live, id);
    free(entries);
    m->done += length;
    return rc;
}

static int mark_disk(struct vmscm_marking *m, const char *commit,
    const struct vmscm_machine_disk *disk, struct vmscm_error *err)
{
    struct vmscm_progress progress = {.phase = "marking", .item = disk->id};
    struct vmscm_map map = {0};
    int rc = vmscm_snapshot_map(&map, m->repo, commit, disk, err);

    for (size_t i = 0; i < map.runs.len && !rc; i++) {
        const struct vmscm_map_run *run = &map.runs.items[i];
        if (run->zero)
            continue;
        /* The same leaf for all of the run; its length tells which segments it can be for. */
        uint64_t last = run->first + run->count - 1;
        rc = mark_leaf(
            m, &run->leaf, vmscm_map_segment_length(map.size, run->count > 1 ? run->first : last),
            err);
        if (rc || (rc = vmscm_handle_canceled(m->events, err)))
            break;
        progress.done = m->done;
        if (m->events && m->events->progress)
            m->events->progress(m->events->data, &progress);
    }
    vmscm_map_release(&map);
    return rc;
}

static int mark_data(struct vmscm_marking *m, const char *commit, struct vmscm_error *err)
{
    struct vmscm_machine *machine = NULL;
    int rc = vmscm_snapshot_machine(&machine, m->repo, commit, err);

    for (size_t i = 0; !rc && i < machine->disk_count; i++)
        rc = mark_disk(m, commit, &machine->disks[i], err);
    vmscm_model_free(machine);
    return rc ? vmscm_error_prefix(err, "revision %.12s", commit) : 0;
}

static int mark_commit(void *data, const char *commit)
{
    struct vmscm_marking *m = data;
    struct revision *slot;

    if (!vmscm_pruned_has(m->pruned, commit))
        return mark_data(m, commit, m->err);
    if (vmscm_vec_add(&m->skipped, &slot, m->err))
        return VMSCM_ENOMEM;
    memcpy(slot->id, commit, sizeof slot->id);
    return 0;
}

/* Pruned when it was met, and no longer. */
static int mark_returned(struct vmscm_marking *m, struct vmscm_error *err)
{
    size_t kept = 0;
    int rc = 0;

    for (size_t i = 0; i < m->skipped.len; i++) {
        if (rc || vmscm_pruned_has(m->pruned, m->skipped.items[i].id))
            m->skipped.items[kept++] = m->skipped.items[i];
        else
            rc = mark_data(m, m->skipped.items[i].id, err);
    }
    m->skipped.len = kept;
    return rc;
}

/* What is read by a process that lives. One that is gone already was given up by all. */
static int add_commit(void *data, const char *id)
{
    struct vmscm_marking *m = data;
    struct vmscm_gitdb_info info = {0};
    struct revision *slot;
    int rc = vmscm_gitdb_read_commit(&info, m->repo->git, id, m->err);

    if (rc == VMSCM_ENOTFOUND) {
        vmscm_error_clear(m->err);
        rc = 0;
    } else if (!rc && !(rc = vmscm_roots_add(&m->roots, "a lease", id, m->err)) &&
        !(rc = vmscm_vec_add(&m->leased, &slot, m->err)))
        memcpy(slot->id, info.id, sizeof slot->id);
    vmscm_gitdb_info_release(&info);
    return rc;
}

static int add_pinned(void *data, const struct vmscm_pin *pin)
{
    return add_commit(data, pin->commit);
}

/* Who began to read a revision before it was pruned reads on. Whose data is gone is being told so. */
static int mark_leased(struct vmscm_marking *m, struct vmscm_error *err)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;
    int rc = 0;

    for (size_t i = 0; i < m->leased.len && !rc; i++)
        if (vmscm_pruned_has(m->pruned, m->leased.items[i].id) &&
            (rc = mark_data(m, m->leased.items[i].id, &why)) == VMSCM_EDAMAGED)
            rc = 0;
    return rc ? vmscm_error_copy(err, &why) : 0;
}

int vmscm_marking_update(struct vmscm_marking *m, bool look, struct vmscm_error *err)
{
    bool changed;
    int rc;

    m->look = look;
    m->err = err;
    vmscm_roots_release(&m->roots);
    vmscm_pruned_free(m->pruned);
    m->pruned = NULL;
    vmscm_promises_free(m->promises);
    m->promises = NULL;
    m->leased.len = 0;
    if ((rc = vmscm_store_reload(m->store, &changed, err)) ||
        (rc = vmscm_roots_read(&m->roots, m->repo->git, err)) ||
        /* Whoever makes a pin holds a lease until it is there. */
        (rc = vmscm_lease_walk(m->repo->path, NULL, add_commit, m, err)) ||
        (rc = vmscm_pin_walk(m->repo->path, add_pinned, m, err)) ||
        (rc = vmscm_pruned_load(&m->pruned, m->repo->git, err)) ||
        (rc = vmscm_promises_open(&m->promises, m->repo, err)) ||
        (m->promises && (rc = vmscm_promises_recall(m->promises, err))) ||
        (rc = mark_returned(m, err)) || (rc = mark_leased(m, err)))
        return rc;
    for (size_t i = 0; i < m->roots.count && !rc; i++) {
        const struct vmscm_roots_entry *root = &m->roots.entries[i];
        if (!root->notes && (rc = vmscm_ancestry_walk(m->ancestry, m->repo->git, root->id,
                                 mark_commit, m, err)))
            vmscm_error_prefix(err, "%s", root->name);
    }
    return rc;
}

struct vmscm_live *vmscm_marking_live(struct vmscm_marking *m)
{
    return m->live;
}

const struct vmscm_roots *vmscm_marking_roots(const struct vmscm_marking *m)
{
    return &m->roots;
}
