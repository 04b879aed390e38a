/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/fsckhistory.h"
#include "base/buf.h"
#include "base/str.h"
#include "base/vec.h"
#include "history/gitverify.h"
#include "history/reflist.h"
#include "history/reflogcheck.h"
#include "history/refs.h"
#include "history/revspec.h"
#include "machine/model.h"
#include "repo/fsckread.h"
#include "repo/leafread.h"
#include "repo/snapshot.h"
#include "sys/lockfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESCUES_MAX 3 /* whole revisions that are named beside a ref that is lost */

enum leaf_state { LEAF_UNKNOWN, LEAF_WHOLE, LEAF_DAMAGED };

static int lose(struct vmscm_fsckhistory *w, enum vmscm_pack_type type, const struct vmscm_id *id,
    uint64_t offset, uint32_t length, struct vmscm_error *err)
{
    return w->lost ? w->lost(w->data, type, id, offset, length, err) : 0;
}

/* False: what is missed is missing. Else it may be that gc has moved it, or a check-in has just brought it,
 * and the caller is to look again. gc waits for the lock before it moves any; where it cannot be had, on a
 * file system that is read-only, there is no gc. What was pruned meanwhile may be gone, too. */
static int look_again(struct vmscm_fsckhistory *w, bool *again, struct vmscm_error *err)
{
    struct vmscm_pruned *pruned = NULL;
    bool changed;
    int rc;

    *again = !w->settled;
    if (w->settled)
        return 0;
    if (vmscm_handle_commit_lock(&w->lock, w->repo, NULL))
        w->lock = -1;
    if ((rc = vmscm_store_reload(w->repo->store, &changed, err)))
        vmscm_lockfile_release(&w->lock);
    w->settled = !rc;
    if (w->settled && w->pruned && !vmscm_pruned_load(&pruned, w->repo->git, NULL)) {
        vmscm_pruned_free(w->pruned);
        w->pruned = pruned;
    }
    return rc;
}

/* What was missed is there: nobody need wait for us. */
static void unsettle(struct vmscm_fsckhistory *w)
{
    vmscm_lockfile_release(&w->lock);
    w->settled = false;
}

static bool is_there(struct vmscm_fsckhistory *w, struct vmscm_pack_entry *entry,
    const struct vmscm_id *id, struct vmscm_error *why)
{
    char hex[VMSCM_HASH_HEX];

    vmscm_error_clear(why);
    vmscm_str_hex(hex, id->bytes, VMSCM_HASH_SIZE);
    if (!vmscm_store_find(w->repo->store, entry, id))
        vmscm_error_set(why, VMSCM_EDAMAGED, "chunk %.16s: missing", hex);
    else if (entry->has_base && vmscm_fetch_find(w->fetch, id, why))
        vmscm_error_prefix(why, "chunk %.16s", hex);
    return !why->code;
}

/* Whether a leaf that is missing, or a chunk, is had elsewhere. */
static int is_elsewhere(struct vmscm_fsckhistory *w, bool *yes, const struct vmscm_id *id, bool leaf,
    struct vmscm_error *err)
{
    struct vmscm_pack_entry entry;
    int rc = 0;

    *yes = w->promises && !vmscm_store_locate(w->repo->store, &entry, id, 0);
    if (!*yes)
        return 0;
    if (!leaf && !w->has_relied) {
        rc = vmscm_promises_chunks(w->promises, &w->relied, w->fetch, err);
        w->has_relied = !rc;
    }
    *yes = !rc &&
        (leaf ? vmscm_promises_has(w->promises, id) : vmscm_idset_find(&w->relied, id) != NULL);
    w->findings->result->elsewhere += *yes;
    return rc;
}

/* *why: empty if a chunk can be had; else what is wrong. *lost: it could be mended by another copy. */
static int check_chunk(struct vmscm_fsckhistory *w, const struct vmscm_leaf_entry *e, bool *lost,
    struct vmscm_error *why, struct vmscm_error *err)
{
    struct vmscm_pack_entry entry;
    char hex[VMSCM_HASH_HEX];
    bool again, elsewhere;
    int rc = is_elsewhere(w, &elsewhere, &e->id, false, err);

    *lost = true;
    vmscm_error_clear(why);
    if (rc || elsewhere)
        return rc;
    if (!is_there(w, &entry, &e->id, why) && why->code != VMSCM_ENOMEM) {
        if ((rc = look_again(w, &again, err)))
            return rc;
        if (again && is_there(w, &entry, &e->id, why))
            unsettle(w);
    }
    if (why->code) {
        rc = why->code;
    } else if (entry.plain_len != e->length) {
        *lost = false;
        vmscm_str_hex(hex, e->id.bytes, VMSCM_HASH_SIZE);
        rc = vmscm_error_set(
            why, VMSCM_EDAMAGED, "chunk %.16s: of another length than its leaf says", hex);
    } else if (vmscm_idset_find(w->bad, &e->id)) /* in one pack; it may be whole in another */
        rc = vmscm_fetch_read_buf(
            w->fetch, VMSCM_PACK_CHUNK, &e->id, &w->chunk, VMSCM_PACK_PART_MAX, why);
    return rc == VMSCM_ENOMEM ? vmscm_error_copy(err, why) : 0;
}

static void tell(struct vmscm_fsckhistory *w, const char *revision, const char *text,
    const char *disk, uint64_t offset, uint64_t length)
{
    vmscm_findings_tell(w->findings,
        (struct vmscm_fsck_finding){.object = revision,
            .text = text,
            .revision = revision,
            .disk = disk,
            .offset = offset,
            .length = length});
}

/* A leaf that cannot be used: is it lost, or is it one that never could? */
static int lose_leaf(struct vmscm_fsckhistory *w, const struct vmscm_id *id, uint64_t offset,
    uint32_t length, struct vmscm_error *err)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;
    int rc = vmscm_fetch_read_buf(
        w->fetch, VMSCM_PACK_LEAF, id, &w->bytes, VMSCM_PACK_PART_MAX, &why);

    if (rc == VMSCM_ENOMEM)
        return vmscm_error_copy(err, &why);
    return rc ? lose(w, VMSCM_PACK_LEAF, id, offset, length, err) : 0;
}

/* *why: empty if it can be read; else what is wrong. */
static int read_leaf(struct vmscm_fsckhistory *w, struct vmscm_leaf_entry **entries, size_t *count,
    const struct vmscm_id *id, uint32_t length, struct vmscm_error *why, struct vmscm_error *err)
{
    bool again = false;
    int rc;

    for (;;) {
        vmscm_error_clear(why);
        /* Reading looks into the trash, too. */
        if (!w->in_packs || !(rc = vmscm_fetch_find(w->fetch, id, why)))
            rc = vmscm_leafread_entries(entries, count, w->fetch, &w->bytes, id, length, why);
        if (rc == VMSCM_ENOMEM)
            return vmscm_error_copy(err, why);
        if (!rc && again)
            unsettle(w);
        if (!rc)
            return 0;
        if ((rc = look_again(w, &again, err)) || !again)
            return rc;
    }
}

static int check_leaf(struct vmscm_fsckhistory *w, const char *revision, const char *disk,
    const struct vmscm_id *id, uint64_t offset, uint32_t length, struct vmscm_error *err)
{
    struct vmscm_leaf_entry *entries = NULL;
    struct vmscm_error why = VMSCM_ERROR_INIT;
    size_t count = 0;
    uint64_t *state;
    bool added, damaged = false, lost, elsewhere;
    int rc = vmscm_idset_get(&w->leaves, &state, &added, id, err);

    /* A whole leaf is right only where a segment has its length. */
    if (rc || *state == ((uint64_t)length << 8 | LEAF_WHOLE))
        return rc;
    if ((rc = is_elsewhere(w, &elsewhere, id, true, err)))
        return rc;
    if (elsewhere) {
        *state = (uint64_t)length << 8 | LEAF_WHOLE;
        return 0;
    }
    if ((rc = read_leaf(w, &entries, &count, id, length, &why, err)) ||
        (why.code && vmscm_pruned_has(w->pruned, revision)))
        return rc;
    if (why.code) {
        tell(w, revision, why.message, disk, offset, length);
        damaged = true;
        rc = lose_leaf(w, id, offset, length, err);
    }
    for (size_t i = 0; i < count && !rc; i++) {
        const struct vmscm_leaf_entry *e = &entries[i];
        if (e->zero || (rc = check_chunk(w, e, &lost, &why, err)) || !why.code)
            continue;
        damaged = true;
        if (vmscm_pruned_has(w->pruned, revision))
            continue;
        tell(w, revision, why.message, disk, offset + e->offset, e->length);
        if (lost)
            rc = lose(w, VMSCM_PACK_CHUNK, &e->id, offset + e->offset, e->length, err);
    }
    free(entries);
    *state = damaged ? LEAF_DAMAGED : (uint64_t)length << 8 | LEAF_WHOLE;
    return rc;
}

/* Whether a leaf was found whole: its chunks need not be read again. */
static bool is_whole(void *data, const struct vmscm_id *leaf)
{
    const struct vmscm_fsckhistory *w = data;
    const uint64_t *state = vmscm_idset_find(&w->leaves, leaf);

    return state && (*state & 0xff) == LEAF_WHOLE;
}

static int read_disk(struct vmscm_fsckhistory *w, const struct vmscm_map *map,
    const struct vmscm_machine_disk *disk, struct vmscm_error *err)
{
    struct vmscm_fsckread read = {.store = w->repo->store,
        .map = map,
        .item = disk->id,
        .jobs = w->read_jobs,
        .events = w->events,
        .skip = is_whole,
        .data = w,
        .bad = w->bad};
    int rc = vmscm_fsckread_disk(&read, err);

    w->findings->result->records += read.chunks;
    w->findings->result->bytes += read.bytes;
    return rc;
}

static int check_map(struct vmscm_fsckhistory *w, const char *id, const struct vmscm_map *map,
    const struct vmscm_machine_disk *disk, struct vmscm_error *err)
{
    int rc = w->read_jobs ? read_disk(w, map, disk, err) : 0;

    for (size_t i = 0; i < map->runs.len && !rc; i++) {
        const struct vmscm_map_run *run = &map->runs.items[i];
        if (run->zero)
            continue;
        for (uint64_t n = run->first; n < run->first + run->count && !rc; n++) {
            rc = check_leaf(w, id, disk->id, &run->leaf, n << VMSCM_LEAF_SEGMENT_LOG2,
                vmscm_map_segment_length(map->size, n), err);
            /* The same leaf again is as whole as it was; only the last may be shorter. */
            if (!rc && is_whole(w, &run->leaf) && n + 2 < run->first + run->count)
                n = run->first + run->count - 2;
        }
        if (!rc)
            rc = vmscm_handle_canceled(w->events, err);
    }
    return rc;
}

static int check_revision(struct vmscm_fsckhistory *w, const char *id, struct vmscm_error *err)
{
    struct vmscm_machine *machine = NULL;
    struct vmscm_error why = VMSCM_ERROR_INIT;
    int rc = vmscm_gitverify_revision(w->repo->git, id, &why);

    w->findings->result->revisions++;
    if (!rc)
        rc = vmscm_snapshot_machine(&machine, w->repo, id, &why);
    if (rc) {
        if (rc == VMSCM_ENOMEM)
            return vmscm_error_copy(err, &why);
        tell(w, id, why.message, NULL, 0, 0);
        return 0;
    }
    for (size_t i = 0; i < machine->disk_count && !rc; i++) {
        const struct vmscm_machine_disk *disk = &machine->disks[i];
        struct vmscm_map map = {0};
        rc = vmscm_snapshot_map(&map, w->repo, id, disk, &why);
        if (!rc && vmscm_pruned_has(w->pruned, id)) {
            /* Nobody needs its data. */
        } else if (!rc) {
            rc = check_map(w, id, &map, disk, err);
        } else if (rc == VMSCM_ENOMEM) {
            vmscm_error_copy(err, &why);
        } else {
            tell(w, id, why.message, disk->id, 0, disk->size);
            rc = 0;
        }
        vmscm_map_release(&map);
    }
    vmscm_model_free(machine);
    return rc;
}

struct pending {
    VMSCM_VEC(char *) ids;
};

/* A commit and all that led to it, each once. */
static int check_history(struct vmscm_fsckhistory *w, const char *tip, bool ancestors,
    struct vmscm_error *err)
{
    struct pending todo = {0};
    char **slot;
    int rc = vmscm_vec_add(&todo.ids, &slot, err);

    if (!rc)
        rc = vmscm_str_dup(slot, tip, err);
    while (todo.ids.len && !rc) {
        char *id = todo.ids.items[--todo.ids.len];
        struct vmscm_gitdb_info info = {0};
        struct vmscm_error why = VMSCM_ERROR_INIT;
        struct vmscm_id key = {0};
        uint64_t *value;
        bool added;
        vmscm_str_unhex(key.bytes, 20, id);
        if ((rc = vmscm_idset_get(&w->commits, &value, &added, &key, err)) || !added) {
            free(id);
            continue;
        }
        rc = vmscm_gitdb_read_commit(&info, w->repo->git, id, &why);
        if (rc == VMSCM_ENOMEM) {
            vmscm_error_copy(err, &why);
        } else if (rc) {
            tell(w, id, why.message, NULL, 0, 0);
            rc = 0;
        } else {
            rc = check_revision(w, id, err);
            for (size_t i = 0; ancestors && i < info.parent_count && !rc; i++)
                if (!(rc = vmscm_vec_add(&todo.ids, &slot, err)))
                    rc = vmscm_str_dup(slot, info.parents[i], err);
        }
        vmscm_gitdb_info_release(&info);
        free(id);
    }
    while (todo.ids.len)
        free(todo.ids.items[--todo.ids.len]);
    vmscm_vec_release(&todo.ids);
    return rc;
}

struct rescues {
    struct vmscm_gitdb *git;
    char ids[RESCUES_MAX][VMSCM_GITDB_ID];
    size_t count;
};

static int find_rescue(void *data, const char *id)
{
    struct rescues *r = data;

    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->ids[i], id) == 0)
            return 0;
    if (!vmscm_gitverify_revision(r->git, id, NULL))
        memcpy(r->ids[r->count++], id, VMSCM_GITDB_ID);
    return r->count == RESCUES_MAX;
}

/* A ref that leads nowhere, and what its reflog still leads to. */
static void tell_ref(struct vmscm_fsckhistory *w, const char *ref, const char *text)
{
    struct rescues r = {.git = w->repo->git};
    struct vmscm_buf hint = VMSCM_BUF_INIT;
    bool any = vmscm_refs_log_ids(w->repo->git, ref, find_rescue, &r, NULL) >= 0 && r.count &&
        !vmscm_buf_puts(&hint, "its reflog leads to", NULL);

    for (size_t i = 0; i < r.count && any; i++)
        any = !vmscm_buf_printf(&hint, NULL, "%s %.12s", i ? "," : "", r.ids[i]);
    any = any && !vmscm_buf_puts(&hint, ": vmscm clone ID NEW-MACHINE makes one a machine", NULL);
    vmscm_findings_tell(w->findings,
        (struct vmscm_fsck_finding){
            .object = ref, .text = text, .hint = any ? vmscm_buf_str(&hint) : NULL});
    vmscm_buf_release(&hint);
}

/* Machines and tags lead to revisions with all that is in them. */
static int check_machine(struct vmscm_fsckhistory *w, const char *ref, const char *id)
{
    char commit[VMSCM_GITDB_ID];
    struct vmscm_error why = VMSCM_ERROR_INIT;
    int rc = 0;

    w->findings->machine = vmscm_str_starts(ref, VMSCM_HANDLE_HEADS)
        ? ref + strlen(VMSCM_HANDLE_HEADS)
        : NULL;
    w->findings->result->machines += w->findings->machine != NULL;
    if (id)
        rc = vmscm_refs_read_commit(commit, w->repo->git, ref, &why);
    if (rc == VMSCM_ENOMEM)
        vmscm_error_copy(w->err, &why);
    else if (rc == VMSCM_ENOTFOUND)
        rc = 0; /* removed meanwhile */
    else if (rc || !id) {
        tell_ref(w, ref, rc ? why.message : "cannot be read");
        rc = 0;
    } else
        rc = check_history(w, commit, true, w->err);
    w->findings->machine = NULL;
    return rc;
}

static int check_ref(void *data, const char *ref, const char *id)
{
    struct vmscm_fsckhistory *w = data;
    struct vmscm_error why = VMSCM_ERROR_INIT;
    int rc;

    static const char *const revisions[] = {VMSCM_HANDLE_HEADS, VMSCM_HANDLE_TAGS,
        VMSCM_HANDLE_TRACKED, VMSCM_HANDLE_TRACKED_TAGS};
    for (size_t i = 0; i < sizeof revisions / sizeof revisions[0]; i++)
        if (vmscm_str_starts(ref, revisions[i]))
            return check_machine(w, ref, id);
    if (strcmp(ref, VMSCM_PRUNED_REF) == 0 && !w->pruned)
        return 0; /* told */
    if (!id)
        tell_ref(w, ref, "cannot be read");
    else if ((rc = vmscm_str_starts(ref, "refs/notes/")
                      ? vmscm_gitverify_notes(w->repo->git, id, &why)
                      : vmscm_gitverify_revision(w->repo->git, id, &why)) == VMSCM_ENOMEM)
        return vmscm_error_copy(w->err, &why);
    else if (rc)
        tell_ref(w, ref, why.message);
    return 0;
}

static void tell_log(void *data, const char *file, bool note, const char *text)
{
    struct vmscm_fsckhistory *w = data;

    vmscm_findings_tell(w->findings,
        (struct vmscm_fsck_finding){.object = file, .text = text, .note = note});
}

/* One machine with its history, or one revision. */
static int check_spec(struct vmscm_fsckhistory *w, const char *spec, struct vmscm_error *err)
{
    struct vmscm_revspec found = {0};
    int rc = vmscm_revspec_resolve(&found, w->repo->git, spec, err);

    if (rc)
        return rc;
    w->findings->machine = found.machine;
    w->findings->result->machines = found.machine != NULL;
    rc = check_history(w, found.id,
        w->ancestors || (found.machine && strcmp(found.machine, spec) == 0), err);
    w->findings->machine = NULL;
    vmscm_revspec_release(&found);
    return rc;
}

/* Where it cannot be told what was pruned, that is the damage, and all data is looked for. */
static int load_pruned(struct vmscm_fsckhistory *w, struct vmscm_error *err)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;
    int rc = vmscm_pruned_load(&w->pruned, w->repo->git, &why);

    if (rc != VMSCM_EDAMAGED)
        return rc ? vmscm_error_copy(err, &why) : 0;
    if (!w->data_only)
        tell_ref(w, VMSCM_PRUNED_REF, why.message);
    return 0;
}

int vmscm_fsckhistory_run(struct vmscm_fsckhistory *w, const char *spec, struct vmscm_error *err)
{
    struct vmscm_store *store;
    int rc;

    w->err = err;
    w->lock = -1;
    w->settled = false;
    if (!(rc = load_pruned(w, err)) && !(rc = vmscm_handle_store(&store, w->repo, err)) &&
        !(rc = vmscm_promises_open(&w->promises, w->repo, err)) &&
        !(rc = vmscm_fetch_new_own(&w->fetch, store, err)))
        rc = spec ? check_spec(w, spec, err)
                  : vmscm_reflist_walk(w->repo->git, "refs/", check_ref, w, err);
    if (!rc && !spec)
        rc = vmscm_reflogcheck_run(w->repo->git, tell_log, w, err);
    vmscm_lockfile_release(&w->lock);
    vmscm_fetch_free(w->fetch);
    w->fetch = NULL;
    vmscm_promises_free(w->promises);
    w->promises = NULL;
    w->has_relied = false;
    vmscm_idset_release(&w->relied);
    vmscm_pruned_free(w->pruned);
    w->pruned = NULL;
    vmscm_buf_release(&w->bytes);
    vmscm_buf_release(&w->chunk);
    vmscm_idset_release(&w->commits);
    vmscm_idset_release(&w->leaves);
    return rc;
}
