/* SPDX-License-Identifier: GPL-3.0-or-later */
/* All data of revisions of a lazy repository, to stay: it is brought into the cache, some at a time, and from
 * there goes into packs as what a fetch brings does. */
#include "history/ancestry.h"
#include "history/pruned.h"
#include "history/reflist.h"
#include "remote/closure.h"
#include "repo/promises.h"
#include "repo/snapshot.h"
#include "store/batch.h"

#include <string.h>
#include <time.h>
#include <vmscm/remote.h>

#define TURNS 4 /* leaves, chunks, and what was evicted meanwhile */

struct revision {
    char id[VMSCM_GITDB_ID];
};

struct completing {
    struct vmscm_repo *repo;
    const struct vmscm_events *events;
    struct vmscm_store *store;
    struct vmscm_receive *receive;
    VMSCM_VEC(struct revision) revisions;
    struct vmscm_pruned *pruned;
    struct vmscm_promises *promises;
    struct vmscm_batch batch;
    VMSCM_VEC(struct vmscm_id) ids; /* of the batch */
    struct vmscm_idset taken;       /* records of it, by pack and place */
    struct vmscm_buf record;
    uint64_t total, done, coming; /* plain bytes: missing, brought, and of what is being brought */
    struct vmscm_error *err;
};

/* The record that has an id, from the cache. */
static int take(struct completing *c, const struct vmscm_id *id, struct vmscm_error *err)
{
    struct vmscm_store *cache = vmscm_cache_store(vmscm_elsewhere_cache(c->store));
    struct vmscm_pack_entry entry;
    struct vmscm_packfile *pack = vmscm_store_locate(cache, &entry, id, 0);
    struct vmscm_id place = {{0}};
    uint64_t *value;
    bool added;
    int rc;

    c->record.len = 0;
    /* What is not there any more is missed again; so is what is damaged there. */
    if (!pack || entry.length > VMSCM_PACK_RECORD_MAX || vmscm_receive_has(c->receive, id, NULL))
        return 0;
    /* A record has many parts. */
    memcpy(place.bytes, pack->name, sizeof pack->name);
    memcpy(place.bytes + sizeof pack->name, &entry.offset, sizeof entry.offset);
    if ((rc = vmscm_idset_get(&c->taken, &value, &added, &place, err)) || !added ||
        (rc = vmscm_buf_reserve(&c->record, entry.length, err)))
        return rc;
    if (vmscm_store_pread(cache, pack, c->record.data, entry.length, entry.offset, NULL))
        return 0;
    /* One at a time: that it is damaged is about this one. */
    if (!(rc = vmscm_receive_record(c->receive, c->record.data, entry.length, err)))
        rc = vmscm_receive_records_end(c->receive, err);
    if (rc == VMSCM_EINPUT) {
        vmscm_error_clear(err);
        vmscm_cache_drop(vmscm_elsewhere_cache(c->store), pack);
        rc = 0;
    }
    c->done += entry.plain_len;
    return rc;
}

static void tell(const struct completing *c)
{
    uint64_t done = c->done + c->coming;
    const struct vmscm_progress progress = {
        .phase = "receiving", .done = done, .read = done, .total = c->total};

    if (c->events && c->events->progress)
        c->events->progress(c->events->data, &progress);
}

static void on_came(void *data, uint64_t bytes)
{
    struct completing *c = data;

    c->coming += bytes;
    tell(c);
}

static int take_all(struct completing *c, struct vmscm_error *err)
{
    int rc = vmscm_batch_bring(&c->batch, err);

    c->coming = 0;
    for (size_t i = 0; i < c->ids.len && !rc; i++)
        rc = take(c, &c->ids.items[i], err);
    c->ids.len = 0;
    vmscm_idset_release(&c->taken);
    vmscm_batch_let_go(&c->batch);
    if (!rc)
        tell(c);
    return rc ? rc : vmscm_handle_canceled(c->events, err);
}

static int remember(struct completing *c, const struct vmscm_id *id, struct vmscm_error *err)
{
    struct vmscm_id *slot;

    if (vmscm_vec_add(&c->ids, &slot, err))
        return VMSCM_ENOMEM;
    *slot = *id;
    return 0;
}

static int miss_leaf(void *data, const struct vmscm_id *leaf, struct vmscm_error *err)
{
    struct completing *c = data;
    int rc = vmscm_batch_add_leaf(&c->batch, leaf, err);

    return rc ? rc : remember(c, leaf, err);
}

static int miss_chunks(void *data, const struct vmscm_id *leaf,
    const struct vmscm_leaf_entry *entries, const uint8_t *bits, size_t count,
    struct vmscm_error *err)
{
    static const struct vmscm_id none;
    struct completing *c = data;
    /* A leaf of ours is not known there: it is found what else lists what it relies on. */
    const struct vmscm_id *lister = vmscm_promises_has(c->promises, leaf) ? leaf : &none;
    int rc = 0;

    for (size_t i = 0; i < count && !rc; i++)
        if (bits[i / 8] >> i % 8 & 1 &&
            !(rc = vmscm_batch_add_chunk(
                  &c->batch, &entries[i].id, entries[i].length, lister, err)))
            rc = remember(c, &entries[i].id, err);
    return rc || c->batch.bytes < VMSCM_ELSEWHERE_BATCH ? rc : take_all(c, err);
}

static int count_chunks(void *data, const struct vmscm_id *leaf,
    const struct vmscm_leaf_entry *entries, const uint8_t *bits, size_t count,
    struct vmscm_error *err)
{
    struct completing *c = data;

    (void)leaf;
    (void)err;
    for (size_t i = 0; i < count; i++)
        if (bits[i / 8] >> i % 8 & 1)
            c->total += entries[i].length;
    return 0;
}

/* How much is missing, as their leaves say, which are brought for that. */
static int measure(struct completing *c, struct vmscm_error *err)
{
    int rc = 0;

    for (int turn = 0; turn < 2 && !rc; turn++) {
        struct vmscm_closure closure = {.repo = c->repo,
            .receive = c->receive,
            .leaf = miss_leaf,
            .chunks = count_chunks,
            .data = c};
        c->total = c->done;
        for (size_t i = 0; i < c->revisions.len && !rc; i++)
            rc = vmscm_closure_commit(&closure, c->revisions.items[i].id, false, err);
        vmscm_closure_release(&closure);
        if (rc || !c->ids.len)
            return rc;
        if (!(rc = take_all(c, err)))
            rc = vmscm_receive_flush(c->receive, err);
    }
    return rc;
}

static int complete(struct completing *c, const char *commit, struct vmscm_error *err)
{
    int rc;

    for (int turn = 0;; turn++) {
        struct vmscm_closure closure = {.repo = c->repo,
            .receive = c->receive,
            .leaf = miss_leaf,
            .chunks = miss_chunks,
            .data = c};
        rc = vmscm_closure_commit(&closure, commit, false, err);
        uint64_t missing = closure.missing;
        vmscm_closure_release(&closure);
        if (rc || !missing)
            return rc;
        if (turn == TURNS)
            return vmscm_error_set(err, VMSCM_EBUSY,
                "revision %.12s: what is brought is evicted at once", commit);
        if ((rc = take_all(c, err)) || (rc = vmscm_receive_flush(c->receive, err)))
            return rc;
    }
}

static int add_revision(void *data, const char *commit)
{
    struct completing *c = data;
    struct revision *slot;

    if (vmscm_pruned_has(c->pruned, commit))
        return 0;
    if (vmscm_vec_add(&c->revisions, &slot, c->err))
        return VMSCM_ENOMEM;
    memcpy(slot->id, commit, sizeof slot->id);
    return 0;
}

struct walk {
    struct completing *c;
    struct vmscm_ancestry *ancestry;
};

static int add_history(void *data, const char *ref, const char *id)
{
    struct walk *walk = data;

    (void)ref;
    return id ? vmscm_ancestry_walk(
                    walk->ancestry, walk->c->repo->git, id, add_revision, walk->c, walk->c->err)
              : 0;
}

static int list_all(struct completing *c, struct vmscm_error *err)
{
    static const char *const rooms[] = {VMSCM_HANDLE_HEADS, VMSCM_HANDLE_TAGS,
        VMSCM_HANDLE_TRACKED, VMSCM_HANDLE_TRACKED_TAGS};
    struct walk walk = {.c = c};
    int rc = vmscm_ancestry_new(&walk.ancestry, err);

    for (size_t i = 0; i < sizeof rooms / sizeof rooms[0] && !rc; i++)
        rc = vmscm_reflist_walk(c->repo->git, rooms[i], add_history, &walk, err);
    vmscm_ancestry_free(walk.ancestry);
    return rc;
}

static int run(struct completing *c, struct vmscm_remote_result *result, struct vmscm_error *err)
{
    struct vmscm_lease *lease = NULL;
    size_t packs = 0;
    int rc;

    if ((rc = vmscm_handle_store(&c->store, c->repo, err)) ||
        (rc = vmscm_promises_open(&c->promises, c->repo, err)) ||
        (rc = vmscm_receive_open(&c->receive, c->repo, err)) ||
        (rc = vmscm_receive_adopt(c->receive, &packs, err)))
        return rc;
    result->resumed = packs;
    vmscm_batch_init(&c->batch, c->store);
    vmscm_elsewhere_watch(c->store, on_came, c);
    rc = measure(c, err);
    for (size_t i = 0; i < c->revisions.len && !rc; i++)
        rc = complete(c, c->revisions.items[i].id, err);
    if (rc)
        return rc;
    /* What they are parts of, refs lead to; until those are looked at, the lease keeps them. */
    if ((rc = vmscm_lease_open(&lease, c->repo->path, err)))
        return rc;
    rc = vmscm_receive_install_packs(c->receive, lease, err);
    result->stored = vmscm_receive_stored(c->receive);
    vmscm_lease_close(lease);
    return rc;
}

int vmscm_remote_complete(struct vmscm_repo *repo, const char *const *ids, size_t count,
    const struct vmscm_events *events, struct vmscm_remote_result *result,
    struct vmscm_error *err)
{
    struct vmscm_remote_result own = {0};
    struct completing c = {.repo = repo, .events = events, .err = err};
    struct timespec begin, end;
    int rc;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    if (!repo->promisor)
        return vmscm_error_set(
            err, VMSCM_EUSAGE, "the repository is not lazy: it has all its data");
    if ((rc = vmscm_pruned_load(&c.pruned, repo->git, err)))
        return rc;
    for (size_t i = 0; i < count && !rc; i++)
        if (!(rc = vmscm_snapshot_kept(repo, ids[i], err)))
            rc = add_revision(&c, ids[i]);
    if (!rc && !count)
        rc = list_all(&c, err);
    if (!rc)
        rc = run(&c, &own, err);
    if (c.store)
        vmscm_elsewhere_watch(c.store, NULL, NULL);
    clock_gettime(CLOCK_MONOTONIC, &end);
    own.seconds =
        (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
    own.received = own.stored;
    vmscm_receive_close(c.receive, rc != 0);
    vmscm_pruned_free(c.pruned);
    vmscm_promises_free(c.promises);
    vmscm_batch_release(&c.batch);
    vmscm_idset_release(&c.taken);
    vmscm_vec_release(&c.ids);
    vmscm_vec_release(&c.revisions);
    vmscm_buf_release(&c.record);
    if (result)
        *result = own;
    return rc;
}
