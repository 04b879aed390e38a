/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bucket/sweep.h"
#include "base/path.h"
#include "base/str.h"
#include "bucket/histobj.h"
#include "bucket/mirror.h"
#include "bucket/publish.h"
#include "repo/gcsettings.h"
#include "repo/marking.h"
#include "store/plan.h"
#include "store/repack.h"
#include "sys/file.h"
#include "sys/lockfile.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HISTORIES 8u            /* objects of history that are made one */
#define PROBE_AGE ((int64_t)86400) /* seconds, after which who made a probe is gone */

/* An object that the state does not have. */
struct stray {
    uint8_t kind;
    uint8_t name[VMSCM_GENERATION_NAME];
    uint64_t size;
};

struct sweep {
    struct vmscm_mirror *m;
    const struct vmscm_events *events;
    struct vmscm_gcsettings set;
    struct vmscm_gc_result *result;
    struct vmscm_store *store; /* its own: what is found in it is not relied on */
    struct vmscm_marking *marking;
    struct vmscm_live *live;
    struct vmscm_plan plan;
    struct vmscm_publish *publish;
    VMSCM_VEC(struct stray) strays;
    VMSCM_VEC(struct stray) removed; /* by a generation: the objects are to go */
    uint64_t total, done;
};

static bool is_old(const struct sweep *s, int64_t when)
{
    int64_t now = (int64_t)time(NULL);

    /* From the future: a clock was set back, which must not keep it for ever. `when` may be anything. */
    return when <= now - s->set.grace || when >= now + s->set.grace;
}

static int add_stray(void *data, const char *key, uint64_t size, int64_t modified,
    struct vmscm_error *err)
{
    struct sweep *s = data;
    bool pack = vmscm_str_starts(key, "packs/");
    uint8_t name[VMSCM_GENERATION_NAME];
    struct stray *slot;

    if (!vmscm_str_unhex(name, sizeof name, strchr(key, '/') + 1) || !is_old(s, modified))
        return 0;
    if (vmscm_vec_add(&s->strays, &slot, err))
        return VMSCM_ENOMEM;
    slot->kind = pack ? VMSCM_GENERATION_PACK : VMSCM_GENERATION_HISTORY;
    memcpy(slot->name, name, sizeof name);
    slot->size = size;
    return 0;
}

static int remove_probe(void *data, const char *key, uint64_t size, int64_t modified,
    struct vmscm_error *err)
{
    struct sweep *s = data;

    (void)size;
    return (int64_t)time(NULL) - modified > PROBE_AGE ? vmscm_s3_delete(s->m->s3, key, err) : 0;
}

/* Before the state is read: what is in neither then was left by who died, or is about to be added. */
static int list_objects(struct sweep *s, struct vmscm_error *err)
{
    int rc = vmscm_s3_list(s->m->s3, "packs/", 0, add_stray, s, err);

    if (!rc)
        rc = vmscm_s3_list(s->m->s3, "history/", 0, add_stray, s, err);
    return rc || s->set.dry_run ? rc
                                : vmscm_s3_list(s->m->s3, "probe/", 0, remove_probe, s, err);
}

/* Only what refs lead to is needed; what a ref was here is nobody's. */
static int mark(struct sweep *s, struct vmscm_error *err)
{
    char *logs = NULL;
    int rc = vmscm_mirror_path(&logs, s->m, "git/logs", err);

    if (!rc && !(rc = vmscm_file_remove_tree(logs, err)) && !s->marking &&
        !(rc = vmscm_marking_new(&s->marking, s->m->repo, s->store, s->events, err)))
        s->live = vmscm_marking_live(s->marking);
    free(logs);
    return rc ? rc : vmscm_marking_update(s->marking, true, err);
}

static int on_copied(void *data, uint64_t bytes)
{
    struct sweep *s = data;
    struct vmscm_progress progress = {.phase = "copying", .total = s->total};

    progress.done = s->done += bytes;
    if (s->events && s->events->progress)
        s->events->progress(s->events->data, &progress);
    return vmscm_handle_canceled(s->events, NULL);
}

/* What is needed of packs that are garbage for the most part, into new ones, and these to the bucket. */
static int repack(struct sweep *s, struct vmscm_error *err)
{
    struct vmscm_repack repack = {.store = s->store,
        .live = s->live,
        .jobs = s->set.jobs,
        .recompress = s->set.aggressive,
        .progress = on_copied,
        .data = s};
    struct vmscm_ingest_counts counts = {0};
    char *packs = NULL;
    int rc;

    if (!s->total)
        return 0;
    if ((rc = vmscm_ingest_open(&repack.ingest, s->store, s->m->dir, s->set.level, NULL, err)))
        return rc;
    for (size_t i = 0; i < s->plan.count; i++)
        if (s->plan.packs[i].what == VMSCM_PLAN_REPACK)
            vmscm_live_pack(s->live, s->plan.packs[i].number)->chosen = true;
    for (size_t i = 0; i < s->plan.count && !rc; i++)
        if (s->plan.packs[i].what == VMSCM_PLAN_REPACK)
            rc = vmscm_repack_pack(&repack, vmscm_live_pack(s->live, s->plan.packs[i].number), err);
    if (rc) {
        vmscm_ingest_abort(repack.ingest);
        return rc;
    }
    if ((rc = vmscm_ingest_finish(repack.ingest, &counts, err)))
        return rc;
    s->result->written_bytes = counts.stored;
    if (!(rc = vmscm_mirror_path(&packs, s->m, "packs", err)))
        rc = vmscm_publish_packs(s->publish, packs, err);
    free(packs);
    return rc;
}

static int make_plan(struct sweep *s, struct vmscm_error *err)
{
    int rc = vmscm_plan_make(&s->plan, s->store, s->live, s->set.threshold, s->set.aggressive, err);

    for (size_t i = 0; i < s->plan.count && !rc; i++) {
        const struct vmscm_plan_pack *item = &s->plan.packs[i];
        s->result->packs++;
        s->result->pack_bytes += item->bytes;
        s->result->needed_bytes += item->needed;
        if (item->what == VMSCM_PLAN_REPACK)
            s->total += item->bytes;
    }
    return rc;
}

/* Packs of the plan, but those of which more is needed by now than was. */
static int condemn_packs(struct sweep *s, struct vmscm_error *err)
{
    int rc = 0;

    s->result->moved_bytes = s->result->dropped_packs = s->result->repacked_packs = 0;
    for (size_t i = 0; i < s->plan.count && !rc; i++) {
        const struct vmscm_plan_pack *item = &s->plan.packs[i];
        const struct vmscm_live_pack *pack = vmscm_live_pack(s->live, item->number);
        if (item->what == VMSCM_PLAN_KEEP || pack->entries != item->marks || pack->pack->gone)
            continue;
        s->result->moved_bytes += item->bytes;
        if (item->what == VMSCM_PLAN_DROP)
            s->result->dropped_packs++;
        else
            s->result->repacked_packs++;
        rc = vmscm_publish_condemn(
            s->publish, VMSCM_GENERATION_PACK, pack->pack->name, item->bytes, err);
    }
    return rc;
}

static int condemn_strays(struct sweep *s, struct vmscm_error *err)
{
    int rc = 0;

    for (size_t i = 0; i < s->strays.len && !rc; i++) {
        const struct stray *stray = &s->strays.items[i];
        if (!vmscm_generation_find(&s->m->state, stray->kind, stray->name) &&
            !vmscm_publish_has(s->publish, stray->name))
            rc = vmscm_publish_condemn(s->publish, stray->kind, stray->name, stray->size, err);
    }
    return rc;
}

static size_t count_histories(const struct vmscm_mirror *m)
{
    size_t count = 0;

    for (size_t i = 0; i < m->state.objects.len; i++)
        count += m->state.objects.items[i].kind == VMSCM_GENERATION_HISTORY &&
            m->state.objects.items[i].listed && !m->state.objects.items[i].condemned;
    return count;
}

/* One generation that condemns. */
static int condemn(struct sweep *s, struct vmscm_error *err)
{
    bool lost = true;
    int rc = 0;

    while (!rc && lost) {
        vmscm_publish_forget(s->publish);
        if ((rc = vmscm_publish_begin(s->publish, err)) || (rc = mark(s, err)))
            break;
        if (!s->plan.packs && ((rc = make_plan(s, err)) || (!s->set.dry_run && (rc = repack(s, err)))))
            break;
        if ((rc = condemn_packs(s, err)) || s->set.dry_run || (rc = condemn_strays(s, err)))
            break;
        if (count_histories(s->m) >= (s->set.aggressive ? 2 : HISTORIES))
            vmscm_publish_rewrite_history(s->publish);
        rc = vmscm_publish_run(s->publish, &lost, err);
    }
    return rc;
}

static int note_removed(struct sweep *s, const struct vmscm_generation_object *o,
    struct vmscm_error *err)
{
    struct stray *slot;

    if (vmscm_vec_add(&s->removed, &slot, err))
        return VMSCM_ENOMEM;
    slot->kind = o->kind;
    memcpy(slot->name, o->name, sizeof slot->name);
    slot->size = o->size;
    return vmscm_publish_remove(s->publish, o->kind, o->name, err);
}

/* One generation that removes what was condemned long enough ago, by another. */
static int take_out(struct sweep *s, struct vmscm_error *err)
{
    bool lost = true;
    int rc = 0;

    while (!rc && lost) {
        vmscm_publish_forget(s->publish);
        s->removed.len = 0;
        s->result->trash_bytes = 0;
        if ((rc = vmscm_publish_begin(s->publish, err)))
            break;
        for (size_t i = 0; i < s->m->state.objects.len && !rc; i++) {
            const struct vmscm_generation_object *o = &s->m->state.objects.items[i];
            if (o->condemned && is_old(s, o->when))
                rc = note_removed(s, o, err);
            else if (o->condemned)
                s->result->trash_bytes += o->size;
        }
        if (!rc)
            rc = vmscm_publish_run(s->publish, &lost, err);
    }
    return rc;
}

/* Nobody can come to rely on these any more. */
static int delete_objects(struct sweep *s, struct vmscm_error *err)
{
    char pack[VMSCM_BLOCKS_KEY], history[VMSCM_HISTOBJ_KEY];
    int rc = 0;

    for (size_t i = 0; i < s->removed.len && !rc; i++) {
        const struct stray *object = &s->removed.items[i];
        vmscm_blocks_key(pack, object->name);
        vmscm_histobj_key(history, object->name);
        rc = vmscm_s3_delete(
            s->m->s3, object->kind == VMSCM_GENERATION_PACK ? pack : history, err);
        if (!rc)
            s->result->freed_bytes += object->size;
    }
    return rc;
}

static int run(struct sweep *s, const char *url, const struct vmscm_gc_options *options,
    struct vmscm_error *err)
{
    struct vmscm_store *store;
    char *path = NULL;
    int lock = -1, rc;

    if ((rc = vmscm_mirror_open_apart(&s->m, url, s->events, err)))
        return rc;
    if ((rc = vmscm_mirror_path(&path, s->m, "locks/gc", err)) ||
        (rc = vmscm_lockfile_try(&lock, path, VMSCM_LOCK_EXCLUSIVE, err))) {
        if (rc == VMSCM_EBUSY)
            vmscm_error_set(err, rc, "%s: another gc of this user is running", s->m->url);
        goto out;
    }
    s->m->far.writable = true;
    if ((rc = vmscm_gcsettings_read(&s->set, s->m->repo, options, err)) ||
        (rc = vmscm_packwriter_sweep(s->m->dir, err)) || (rc = list_objects(s, err)) ||
        (rc = vmscm_publish_new(&s->publish, s->m, err)) ||
        (rc = vmscm_handle_store(&store, s->m->repo, err)) ||
        (rc = vmscm_store_open(&s->store, s->m->dir, err)))
        goto out;
    vmscm_store_read_from(s->store, &s->m->source);
    if ((rc = condemn(s, err)) || s->set.dry_run || (rc = take_out(s, err)))
        goto out;
    rc = delete_objects(s, err);
out:
    vmscm_plan_release(&s->plan);
    vmscm_marking_free(s->marking);
    vmscm_store_close(s->store);
    vmscm_publish_free(s->publish);
    vmscm_lockfile_release(&lock);
    free(path);
    vmscm_repo_close(s->m->repo);
    return rc;
}

int vmscm_sweep_run(const char *url, const struct vmscm_gc_options *options,
    const struct vmscm_events *events, struct vmscm_gc_result *result, struct vmscm_error *err)
{
    struct vmscm_gc_result own = {0};
    struct sweep sweep = {.events = events, .result = &own};
    int rc = run(&sweep, url, options, err);

    if (result)
        *result = own;
    vmscm_vec_release(&sweep.strays);
    vmscm_vec_release(&sweep.removed);
    return rc;
}
