/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Garbage collection. Marking, choosing and copying run beside everyone else; only the last look at the
 * refs and the moving of packs to trash/ is done with locks/commit held alone. Nothing is moved before
 * what is needed of it is durable elsewhere, and nothing removed before a second look found
 * everything without it.
 */
#include <vmscm/gc.h>

#include "base/path.h"
#include "base/str.h"
#include "base/vec.h"
#include "history/expire.h"
#include "history/gitgc.h"
#include "history/packloose.h"
#include "history/stalelock.h"
#include "repo/gcsettings.h"
#include "repo/layout.h"
#include "repo/marking.h"
#include "store/packqueue.h"
#include "store/plan.h"
#include "store/quarantine.h"
#include "store/repack.h"
#include "store/trash.h"
#include "sys/lockfile.h"
#include "sys/space.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BATCH (UINT64_C(1) << 30) /* bytes of packs that are copied before the first of them goes */

struct gc {
    struct vmscm_repo *repo;
    const struct vmscm_events *events;
    struct vmscm_gcsettings set;
    struct vmscm_gc_result *result;
    struct vmscm_store *store;
    struct vmscm_marking *marking; /* NULL: nothing is known of what is needed */
    struct vmscm_live *live;
    uint64_t total, done; /* bytes to copy */
};

static int on_copied(void *data, uint64_t bytes)
{
    struct gc *gc = data;
    struct vmscm_progress progress = {.phase = "copying", .total = gc->total};

    gc->done += bytes;
    progress.done = gc->done;
    if (gc->events && gc->events->progress)
        gc->events->progress(gc->events->data, &progress);
    return vmscm_handle_canceled(gc->events, NULL);
}

/* Less is left than a pack may take. */
static bool is_short_of_space(const struct gc *gc)
{
    return vmscm_space_free(gc->repo->path) < VMSCM_PACKQUEUE_PACK;
}

struct other {
    struct vmscm_packfile *pack;
    struct vmscm_pack_entry entry;
};

struct others {
    VMSCM_VEC(struct other) list;
};

static int by_place(const void *a, const void *b)
{
    const struct other *x = a, *y = b;

    if (x->pack != y->pack)
        return memcmp(x->pack->name, y->pack->name, sizeof x->pack->name);
    if (x->entry.offset != y->entry.offset)
        return x->entry.offset < y->entry.offset ? -1 : 1;
    return (int)x->entry.part - (int)y->entry.part;
}

/* Where what is not needed in a pack is needed somewhere else. */
static int find_others(struct gc *gc, struct others *others, size_t number,
    struct vmscm_error *err)
{
    struct vmscm_packfile *pack = vmscm_live_pack(gc->live, number)->pack;
    struct vmscm_pack_entry own;
    struct other other, *slot;
    int rc = vmscm_store_pin(gc->store, pack, err);

    if (rc)
        return rc;
    for (uint32_t i = 0; i < pack->trailer.entry_count && !rc; i++) {
        vmscm_packfile_entry(pack, &own, i);
        if (!vmscm_live_has(vmscm_live_pack(gc->live, number), i) &&
            (other.pack = vmscm_live_other(gc->live, &other.entry, pack, &own.id)) &&
            !(rc = vmscm_vec_add(&others->list, &slot, err)))
            *slot = other;
        if (!rc && i % 1024 == 0)
            rc = vmscm_handle_canceled(gc->events, err);
    }
    vmscm_packfile_forget(pack);
    vmscm_store_unpin(gc->store, pack);
    return rc;
}

/* It can be had there. Records are read one after the other: each is decompressed once. */
static int check_others(struct gc *gc, const struct vmscm_plan_pack *item,
    struct vmscm_error *err)
{
    struct others others = {{0}};
    struct vmscm_fetch *fetch = NULL;
    struct vmscm_buf bytes = VMSCM_BUF_INIT;
    int rc = find_others(gc, &others, item->number, err);

    if (!rc && others.list.len) {
        qsort(others.list.items, others.list.len, sizeof *others.list.items, by_place);
        rc = vmscm_fetch_new_own(&fetch, gc->store, err);
    }
    for (size_t i = 0; i < others.list.len && !rc; i++) {
        const struct other *other = &others.list.items[i];
        if (!(rc = vmscm_fetch_part(fetch, other->pack, &other->entry, &bytes, err)) &&
            i % 64 == 0)
            rc = vmscm_handle_canceled(gc->events, err);
    }
    vmscm_fetch_free(fetch);
    vmscm_buf_release(&bytes);
    vmscm_vec_release(&others.list);
    return rc;
}

/* The packs of the plan, but those of which more is needed by now than was. */
static int settle(struct gc *gc, const struct vmscm_plan_pack *items, size_t count,
    struct vmscm_error *err)
{
    struct vmscm_packfile **packs = calloc(count + 1, sizeof *packs);
    uint64_t bytes = 0, dropped = 0;
    size_t moved = 0;
    bool changed;
    int lock = -1, rc;

    if (!packs)
        return vmscm_error_nomem(err);
    /* Once before, so that little is left to be done while everyone waits. */
    if ((gc->marking && (rc = vmscm_marking_update(gc->marking, false, err))) ||
        (rc = vmscm_handle_commit_lock_alone(&lock, gc->repo, err)) ||
        (gc->marking && (rc = vmscm_marking_update(gc->marking, false, err))))
        goto out;
    for (size_t i = 0; i < count; i++) {
        struct vmscm_live_pack *pack = vmscm_live_pack(gc->live, items[i].number);
        if (pack->entries != items[i].marks || pack->pack->gone)
            continue;
        packs[moved++] = pack->pack;
        bytes += items[i].bytes;
        dropped += items[i].what == VMSCM_PLAN_DROP;
    }
    if (!moved || (rc = vmscm_trash_move(gc->repo->path, packs, moved, err)))
        goto out;
    gc->result->moved_bytes += bytes;
    gc->result->dropped_packs += dropped;
    gc->result->repacked_packs += moved - dropped;
    rc = vmscm_store_reload(gc->store, &changed, err);
out:
    vmscm_lockfile_release(&lock);
    free(packs);
    return rc;
}

/* Copy what is needed of some packs, then let these go. */
static int repack(struct gc *gc, const struct vmscm_plan_pack *items, size_t count,
    struct vmscm_error *err)
{
    struct vmscm_repack repack = {.store = gc->store,
        .live = gc->live,
        .jobs = gc->set.jobs,
        .recompress = gc->set.aggressive,
        .progress = on_copied,
        .data = gc};
    struct vmscm_ingest_counts counts = {0};
    int rc = vmscm_ingest_open(
        &repack.ingest, gc->store, gc->repo->path, gc->set.level, NULL, err);

    if (rc)
        return rc;
    for (size_t i = 0; i < count && !rc; i++) {
        vmscm_live_pack(gc->live, items[i].number)->chosen = true;
        rc = check_others(gc, &items[i], err);
    }
    if (!rc && gc->set.aggressive)
        rc = vmscm_layout_copy(gc->repo, &repack, vmscm_marking_roots(gc->marking), err);
    for (size_t i = 0; i < count && !rc; i++)
        rc = vmscm_repack_pack(&repack, vmscm_live_pack(gc->live, items[i].number), err);
    if (rc) {
        vmscm_ingest_abort(repack.ingest);
        return rc;
    }
    if ((rc = vmscm_ingest_finish(repack.ingest, &counts, err)))
        return rc;
    gc->result->written_bytes += counts.stored;
    return settle(gc, items, count, err);
}

static bool is_young(const struct gc *gc, const struct vmscm_trash_entry *entry)
{
    int64_t age = (int64_t)time(NULL) - entry->since;

    /* From the future: a clock was set back, which must not keep it for ever. */
    return age < gc->set.grace && age > -gc->set.grace;
}

/* Packs that are in the trash since long enough, or all of them. That what is needed is there without
 * them was just seen, or, where nothing was marked, is seen now. */
static int empty_trash(struct gc *gc, bool all, struct vmscm_error *err)
{
    struct vmscm_trash trash = {0};
    int rc = vmscm_trash_list(&trash, gc->repo->path, err);

    gc->result->trash_bytes = 0;
    for (size_t i = 0; i < trash.count && !rc; i++) {
        const struct vmscm_trash_entry *entry = &trash.entries[i];
        bool go = all || !is_young(gc, entry);
        if (go && !gc->marking &&
            (rc = vmscm_trash_is_covered(&go, gc->repo->path, gc->store, entry->name, err)))
            break;
        if (go && !gc->set.dry_run)
            rc = vmscm_trash_remove(gc->repo->path, entry->name, err);
        if (go && !rc)
            gc->result->freed_bytes += entry->bytes;
        else
            gc->result->trash_bytes += entry->bytes;
    }
    vmscm_trash_release(&trash);
    vmscm_store_close_gone(gc->store);
    return rc;
}

static int new_marking(struct gc *gc, struct vmscm_error *err)
{
    int rc;

    vmscm_marking_free(gc->marking);
    gc->marking = NULL;
    gc->live = NULL;
    if ((rc = vmscm_marking_new(&gc->marking, gc->repo, gc->store, gc->events, err)))
        return rc;
    gc->live = vmscm_marking_live(gc->marking);
    return vmscm_marking_update(gc->marking, gc->set.dry_run, err);
}

/* A second look, from the beginning; then what was moved away goes for good, if it is time. */
static int finish_trash(struct gc *gc, struct vmscm_error *err)
{
    bool now = gc->set.grace == 0 || is_short_of_space(gc);
    int rc;

    /* What was there before was looked at by the first. */
    if (!gc->result->moved_bytes || !now)
        return empty_trash(gc, now, err);
    if (gc->marking && (rc = new_marking(gc, err)))
        return rc;
    return empty_trash(gc, true, err);
}

static void count_packs(struct gc *gc, const struct vmscm_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct vmscm_plan_pack *item = &plan->packs[i];
        gc->result->packs++;
        gc->result->pack_bytes += item->bytes;
        if (gc->marking)
            gc->result->needed_bytes += item->needed;
        if (item->what == VMSCM_PLAN_REPACK)
            gc->total += item->bytes;
    }
}

struct packs {
    VMSCM_VEC(struct vmscm_plan_pack) list;
};

/* What a run would do. */
static void foretell(struct gc *gc, const struct vmscm_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct vmscm_plan_pack *item = &plan->packs[i];
        if (item->what == VMSCM_PLAN_KEEP)
            continue;
        gc->result->moved_bytes += item->bytes;
        if (item->what == VMSCM_PLAN_DROP) {
            gc->result->dropped_packs++;
        } else {
            gc->result->repacked_packs++;
            gc->result->written_bytes += item->needed;
        }
    }
}

/* Remove what was moved away, if it must or may go at once. All is marked anew for that, and packs have
 * other numbers then, so there is a new plan. */
static int make_room(struct gc *gc, struct vmscm_plan *plan, struct vmscm_error *err)
{
    int rc = finish_trash(gc, err);

    if (rc || !gc->marking)
        return rc;
    vmscm_plan_release(plan);
    return vmscm_plan_make(plan, gc->store, gc->live, gc->set.threshold, gc->set.aggressive, err);
}

static int drop(struct gc *gc, struct vmscm_plan *plan, struct vmscm_error *err)
{
    struct packs batch = {0};
    struct vmscm_plan_pack *slot;
    int rc = 0;

    for (size_t i = 0; i < plan->count && !rc; i++)
        if (plan->packs[i].what == VMSCM_PLAN_DROP && !(rc = check_others(gc, &plan->packs[i], err)) &&
            !(rc = vmscm_vec_add(&batch.list, &slot, err)))
            *slot = plan->packs[i];
    if (!rc && batch.list.len && !(rc = settle(gc, batch.list.items, batch.list.len, err)) &&
        is_short_of_space(gc))
        rc = make_room(gc, plan, err);
    vmscm_vec_release(&batch.list);
    return rc;
}

/* The next packs to write anew, from *at on: as many as there is room for to have both, and one if there
 * is none. In the order of disks, all at once. */
static int take_batch(struct gc *gc, struct packs *batch, const struct vmscm_plan *plan, size_t *at,
    struct vmscm_error *err)
{
    uint64_t most = gc->set.aggressive ? UINT64_MAX : vmscm_space_free(gc->repo->path) / 2, bytes = 0;
    struct vmscm_plan_pack *slot;
    int rc = 0;

    if (!gc->set.aggressive && most > BATCH)
        most = BATCH;
    batch->list.len = 0;
    for (; *at < plan->count && !rc; ++*at) {
        const struct vmscm_plan_pack *item = &plan->packs[*at];
        if (item->what != VMSCM_PLAN_REPACK)
            continue;
        if (batch->list.len && item->needed > most - bytes)
            break;
        if ((rc = vmscm_vec_add(&batch->list, &slot, err)))
            break;
        *slot = *item;
        bytes += item->needed < most - bytes ? item->needed : most - bytes;
    }
    return rc;
}

/* Batch by batch. Where space is short, or nothing is to stay in the trash anyhow, what one has freed is
 * there for the next. */
static int carry_out(struct gc *gc, struct vmscm_plan *plan, struct vmscm_error *err)
{
    struct packs batch = {0};
    int rc = drop(gc, plan, err);
    /* New packs may be in a new plan, to be merged: it comes to an end all the same. */
    size_t at = 0, turns = plan->count;

    while (!rc && !(rc = take_batch(gc, &batch, plan, &at, err)) && batch.list.len) {
        uint64_t before = gc->result->moved_bytes;
        if ((rc = repack(gc, batch.list.items, batch.list.len, err)) || at == plan->count)
            break;
        if (gc->result->moved_bytes > before && turns && turns-- &&
            vmscm_space_free(gc->repo->path) < (gc->set.grace == 0 ? 2 * BATCH : VMSCM_PACKQUEUE_PACK) &&
            !(rc = make_room(gc, plan, err)) && gc->marking)
            at = 0;
    }
    vmscm_vec_release(&batch.list);
    return rc;
}

static void damaged_file(void *data, const char *file, const struct vmscm_error *why)
{
    struct vmscm_error *err = data;

    (void)file;
    if (!err->code) {
        *err = *why;
        err->code = VMSCM_EDAMAGED;
        vmscm_error_hint(err, "nothing was removed; vmscm fsck --repair mends what can be mended");
    }
}

static int check_damage(struct gc *gc, struct vmscm_error *err)
{
    struct vmscm_error damage = VMSCM_ERROR_INIT;
    int rc = vmscm_store_examine(gc->store, err);

    if (rc)
        return rc;
    vmscm_store_damage(gc->store, damaged_file, &damage);
    return damage.code ? vmscm_error_copy(err, &damage) : 0;
}

static int on_history(void *data, uint64_t done, uint64_t total)
{
    struct gc *gc = data;

    (void)done;
    (void)total;
    return vmscm_handle_canceled(gc->events, NULL);
}

/* The git directory's own garbage. */
static int collect_history(struct gc *gc, struct vmscm_error *err)
{
    struct vmscm_gitgc_options options = VMSCM_GITGC_OPTIONS_INIT;
    struct vmscm_gitgc_counts counts = {0};
    struct vmscm_gitgc *history = NULL;
    int lock = -1, rc;

    options.dry_run = gc->set.dry_run;
    options.aggressive = gc->set.aggressive || gc->set.threshold == 0;
    options.jobs = gc->set.jobs;
    options.progress = on_history;
    options.data = gc;
    if ((rc = vmscm_gitgc_prepare(&history, gc->repo->git, vmscm_marking_roots(gc->marking),
             &options, err)) ||
        (!gc->set.dry_run && (rc = vmscm_handle_commit_lock_alone(&lock, gc->repo, err))) ||
        (rc = vmscm_marking_update(gc->marking, gc->set.dry_run, err)) ||
        (rc = vmscm_gitgc_sweep(history, vmscm_marking_roots(gc->marking), &counts, err)))
        goto out;
    vmscm_lockfile_release(&lock);
    rc = vmscm_gitgc_finish(history, &counts, err);
    if (counts.packing.code)
        vmscm_handle_warn(gc->events, "history: not packed: %s", counts.packing.message);
    gc->result->history_objects = counts.removed;
    gc->result->history_bytes = counts.freed > counts.written ? counts.freed - counts.written : 0;
out:
    vmscm_lockfile_release(&lock);
    vmscm_gitgc_free(history);
    return rc;
}

static int expire_reflogs(struct gc *gc, struct vmscm_error *err)
{
    return vmscm_expire_all(&gc->result->reflog_entries, gc->repo->git, gc->set.expire,
        gc->set.dry_run, err);
}

/* Locks and half-written files of processes that died. */
static int sweep(struct gc *gc, struct vmscm_error *err)
{
    int rc = vmscm_stalelock_sweep(gc->repo->git, err);

    if (!rc)
        rc = vmscm_quarantine_sweep(gc->repo->path, err);
    return rc ? rc : vmscm_gitconfig_sweep(gc->repo->config, err);
}

/* With everything marked. */
static int collect(struct gc *gc, struct vmscm_error *err)
{
    struct vmscm_plan plan = {0};
    int rc;

    if ((rc = check_damage(gc, err)) || (rc = expire_reflogs(gc, err)) || (rc = new_marking(gc, err)) ||
        (rc = empty_trash(gc, is_short_of_space(gc), err)) ||
        (rc = vmscm_plan_make(
             &plan, gc->store, gc->live, gc->set.threshold, gc->set.aggressive, err)))
        goto out;
    count_packs(gc, &plan);
    if (gc->set.dry_run)
        foretell(gc, &plan);
    if (!gc->set.dry_run && ((rc = carry_out(gc, &plan, err)) || (rc = finish_trash(gc, err))))
        goto out;
    if (!(rc = collect_history(gc, err)) && !gc->set.dry_run)
        rc = sweep(gc, err);
out:
    vmscm_plan_release(&plan);
    return rc;
}

/* History's files into a pack, whatever is in them. */
static int pack_loose(struct gc *gc, struct vmscm_error *err)
{
    bool many;
    int rc = vmscm_gcsettings_is_loose(&many, gc->repo, err);

    if (rc || !many || gc->set.dry_run)
        return rc;
    return vmscm_packloose_run(gc->repo->git, gc->set.jobs, on_history, gc, err);
}

/* Small packs into larger ones, whatever is in them. */
static int merge(struct gc *gc, struct vmscm_error *err)
{
    struct vmscm_plan plan = {0};
    int rc;

    if ((rc = vmscm_live_new(&gc->live, gc->store, err)))
        return rc;
    if (!(rc = vmscm_marking_keep(gc->live, gc->repo, err)) &&
        !(rc = vmscm_plan_merge(&plan, gc->store, gc->live, err))) {
        count_packs(gc, &plan);
        if (gc->set.dry_run)
            foretell(gc, &plan);
        else if (!(rc = carry_out(gc, &plan, err)))
            rc = finish_trash(gc, err);
    }
    vmscm_plan_release(&plan);
    vmscm_live_free(gc->live);
    gc->live = NULL;
    return rc ? rc : pack_loose(gc, err);
}

static int run(struct gc *gc, struct vmscm_error *err)
{
    int rc = vmscm_store_open(&gc->store, gc->repo->path, err);

    if (rc)
        goto out;
    if (!gc->set.dry_run) {
        vmscm_gcsettings_begin(gc->repo);
        if ((rc = vmscm_packwriter_sweep(gc->repo->path, err)) ||
            (rc = vmscm_store_sweep(gc->store, err)))
            goto out;
    }
    rc = gc->set.merge_only ? merge(gc, err) : collect(gc, err);
    if (!rc && !gc->set.dry_run)
        rc = vmscm_store_reindex(gc->store, err);
out:
    vmscm_marking_free(gc->marking);
    vmscm_store_close(gc->store);
    return rc;
}

int vmscm_gc(struct vmscm_repo *repo, const struct vmscm_gc_options *options,
    const struct vmscm_events *events, struct vmscm_gc_result *result, struct vmscm_error *err)
{
    struct vmscm_gc_result own = {0};
    struct gc gc = {.repo = repo, .events = events, .result = &own};
    char *path = NULL;
    int lock = -1, rc;

    if ((rc = vmscm_handle_check_near(repo, err)) ||
        (rc = vmscm_gcsettings_read(&gc.set, repo, options, err)) ||
        (rc = vmscm_path_join(&path, repo->path, "locks/gc", err)))
        goto out;
    /* To look is everyone's right. */
    if (!gc.set.dry_run &&
        (rc = vmscm_lockfile_try(&lock, path, VMSCM_LOCK_EXCLUSIVE, err)) == VMSCM_EBUSY) {
        vmscm_error_set(err, rc, "%s: another gc or a repair is running", repo->path);
        vmscm_error_hint(err, "it ends by itself; nothing needs to be removed");
    }
    if (!rc)
        rc = run(&gc, err);
    if (rc == VMSCM_EDAMAGED && err && !err->hint[0])
        vmscm_error_hint(err, "nothing was removed; vmscm fsck lists what is missing, and its --repair "
                              "--from brings it back from elsewhere; else vmscm rm what leads to it");
    if (rc == VMSCM_EIO && is_short_of_space(&gc))
        vmscm_error_hint(err, "nothing is lost, and what was done is kept; free some space, then "
                              "vmscm gc goes on");
    if (result)
        *result = own;
out:
    vmscm_lockfile_release(&lock);
    free(path);
    return rc;
}

int vmscm_gc_is_due(int *due, struct vmscm_repo *repo, struct vmscm_error *err)
{
    return vmscm_gcsettings_is_due(due, repo, err);
}
