/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Checking a repository: packs and indexes; every ref; every commit reachable; every disk map; every
 * leaf; that every chunk is there. A leaf is looked at once, however many revisions share it; one
 * that is damaged is told for each.
 */
#include <vmscm/fsck.h>

#include "base/str.h"
#include "base/vec.h"
#include "history/notes.h"
#include "history/reflist.h"
#include "history/refs.h"
#include "history/revspec.h"
#include "machine/model.h"
#include "repo/leafread.h"
#include "repo/snapshot.h"
#include "store/check.h"
#include "store/fetch.h"
#include "store/idset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum leaf_state { LEAF_UNKNOWN, LEAF_WHOLE, LEAF_DAMAGED };

struct fsck {
    struct vmscm_repo *repo;
    const struct vmscm_fsck_options *options;
    const struct vmscm_events *events;
    void (*found)(void *, const struct vmscm_fsck_finding *);
    void *data;
    struct vmscm_fsck_result *result;
    struct vmscm_store *store;
    struct vmscm_fetch *fetch;
    struct vmscm_buf bytes, chunk;
    struct vmscm_idset commits; /* seen; ids padded with zeros */
    struct vmscm_idset leaves;  /* enum leaf_state, and above its 8 bits the length checked */
    struct vmscm_idset bad;     /* records found damaged somewhere */
    struct vmscm_error *err;
    int rc; /* of what stopped a walk, where a callback cannot return it */
    /* Whose history is being walked. */
    const char *machine;
    uint64_t total;
};

static void tell(struct fsck *f, const char *object, const char *text, const char *revision,
    const char *disk, uint64_t offset, uint64_t length)
{
    struct vmscm_fsck_finding finding = {.object = object,
        .text = text,
        .machine = f->machine,
        .revision = revision,
        .disk = disk,
        .offset = offset,
        .length = length};

    f->result->findings++;
    if (f->found)
        f->found(f->data, &finding);
}

static void damaged_file(void *data, const char *file, const struct vmscm_error *why)
{
    struct fsck *f = data;
    char object[300];

    snprintf(object, sizeof object, "packs/%s", file);
    tell(f, object, why->message, NULL, NULL, 0, 0);
}

static void damaged_record(void *data, const struct vmscm_packfile *pack,
    const struct vmscm_id *id, const struct vmscm_error *why)
{
    struct fsck *f = data;
    char object[64] = "packs/", text[256], hex[VMSCM_HASH_HEX];
    uint64_t *value;
    bool added;

    vmscm_packfile_format_name(object + strlen(object), pack->name);
    if (!id) {
        tell(f, object, why->message, NULL, NULL, 0, 0);
        return;
    }
    vmscm_str_hex(hex, id->bytes, VMSCM_HASH_SIZE);
    snprintf(text, sizeof text, "record %.16s: %.200s", hex, why->message);
    tell(f, object, text, NULL, NULL, 0, 0);
    if (!f->rc)
        f->rc = vmscm_idset_get(&f->bad, &value, &added, id, f->err);
}

static int on_bytes(void *data, uint64_t bytes)
{
    struct fsck *f = data;
    struct vmscm_progress p = {.phase = "checking packs", .done = bytes, .total = f->total};

    if (f->events && f->events->progress)
        f->events->progress(f->events->data, &p);
    return vmscm_handle_canceled(f->events, NULL);
}

static int check_store(struct fsck *f, struct vmscm_error *err)
{
    struct vmscm_check check = {
        .store = f->store, .found = damaged_record, .progress = on_bytes, .data = f};
    bool changed;
    int rc;

    if ((rc = vmscm_store_reload(f->store, &changed, err)) ||
        (rc = vmscm_store_examine(f->store, err)))
        return rc;
    vmscm_store_damage(f->store, damaged_file, f);
    for (size_t i = 0; i < vmscm_store_midx_count(f->store); i++) {
        struct vmscm_midxfile *midx = vmscm_store_midx(f->store, i);
        struct vmscm_error why = VMSCM_ERROR_INIT;
        if (vmscm_midxfile_check(midx, &why))
            damaged_file(f, vmscm_midxfile_name(midx), &why);
    }
    f->result->packs = vmscm_store_pack_count(f->store);
    for (size_t i = 0; i < f->result->packs; i++)
        f->total += vmscm_store_pack(f->store, i)->trailer.index_offset;
    if (!f->options->full)
        return 0;
    if ((rc = vmscm_handle_jobs(&check.jobs, f->repo, f->options->jobs, err)) ||
        (rc = vmscm_check_packs(&check, err)))
        return rc;
    f->result->records = check.records;
    f->result->bytes = check.bytes;
    return f->rc;
}

/* Whether a chunk cannot be had; text says why. */
static bool chunk_damage(struct fsck *f, const struct vmscm_leaf_entry *e, char *text, size_t size)
{
    struct vmscm_pack_entry entry;
    struct vmscm_error why = VMSCM_ERROR_INIT;
    char hex[VMSCM_HASH_HEX];

    vmscm_str_hex(hex, e->id.bytes, VMSCM_HASH_SIZE);
    if (!vmscm_store_find(f->store, &entry, &e->id)) {
        snprintf(text, size, "chunk %.16s: missing", hex);
        return true;
    }
    if (entry.plain_len != e->length) {
        snprintf(text, size, "chunk %.16s: of another length than its leaf says", hex);
        return true;
    }
    if (entry.has_base && vmscm_fetch_find(f->fetch, &e->id, &why)) {
        snprintf(text, size, "chunk %.16s: %.900s", hex, why.message);
        return true;
    }
    /* Damaged in one pack, it may be whole in another. */
    if (vmscm_idset_find(&f->bad, &e->id) &&
        vmscm_fetch_read_buf(
            f->fetch, VMSCM_PACK_CHUNK, &e->id, &f->chunk, VMSCM_PACK_PART_MAX, &why)) {
        snprintf(text, size, "%s", why.message);
        return true;
    }
    return false;
}

static int check_leaf(struct fsck *f, const char *revision, const char *disk,
    const struct vmscm_id *id, uint64_t offset, uint32_t length, struct vmscm_error *err)
{
    struct vmscm_leaf_entry *entries = NULL;
    struct vmscm_error why = VMSCM_ERROR_INIT;
    char text[VMSCM_ERROR_MESSAGE_MAX];
    size_t count;
    uint64_t *state;
    bool added, damaged = false;
    int rc = vmscm_idset_get(&f->leaves, &state, &added, id, err);

    /* A whole leaf is right only where a segment has its length. */
    if (rc || *state == ((uint64_t)length << 8 | LEAF_WHOLE))
        return rc;
    rc = vmscm_leafread_entries(&entries, &count, f->fetch, &f->bytes, id, length, &why);
    if (rc == VMSCM_ENOMEM)
        return vmscm_error_copy(err, &why);
    if (rc) {
        tell(f, revision, why.message, revision, disk, offset, length);
        damaged = true;
    }
    for (size_t i = 0; i < count; i++)
        if (!entries[i].zero && chunk_damage(f, &entries[i], text, sizeof text)) {
            tell(f, revision, text, revision, disk, offset + entries[i].offset, entries[i].length);
            damaged = true;
        }
    free(entries);
    *state = damaged ? LEAF_DAMAGED : (uint64_t)length << 8 | LEAF_WHOLE;
    return 0;
}

static int check_disk(struct fsck *f, const char *id, const struct vmscm_machine_disk *disk,
    struct vmscm_error *err)
{
    struct vmscm_map map = {0};
    struct vmscm_error why = VMSCM_ERROR_INIT;
    int rc = vmscm_snapshot_map(&map, f->repo, id, disk, &why);

    if (rc) {
        if (rc == VMSCM_ENOMEM)
            return vmscm_error_copy(err, &why);
        tell(f, id, why.message, id, disk->id, 0, disk->size);
        return 0;
    }
    for (size_t i = 0; i < map.runs.len && !rc; i++) {
        const struct vmscm_map_run *run = &map.runs.items[i];
        uint64_t *state;
        bool added;
        if (run->zero)
            continue;
        for (uint64_t n = run->first; n < run->first + run->count && !rc; n++) {
            rc = check_leaf(f, id, disk->id, &run->leaf, n << VMSCM_LEAF_SEGMENT_LOG2,
                vmscm_map_segment_length(map.size, n), err);
            /* The same leaf again is as whole as it was; only the last may be shorter. */
            if (!rc && !(rc = vmscm_idset_get(&f->leaves, &state, &added, &run->leaf, err)) &&
                (*state & 0xff) == LEAF_WHOLE && n + 2 < run->first + run->count)
                n = run->first + run->count - 2;
        }
        if (!rc)
            rc = vmscm_handle_canceled(f->events, err);
    }
    vmscm_map_release(&map);
    return rc;
}

static int check_revision(struct fsck *f, const char *id, struct vmscm_error *err)
{
    struct vmscm_machine *machine = NULL;
    struct vmscm_error why = VMSCM_ERROR_INIT;
    int rc = vmscm_gitdb_verify(f->repo->git, id, &why);

    f->result->revisions++;
    if (!rc)
        rc = vmscm_snapshot_machine(&machine, f->repo, id, &why);
    if (rc) {
        if (rc == VMSCM_ENOMEM)
            return vmscm_error_copy(err, &why);
        tell(f, id, why.message, id, NULL, 0, 0);
        return 0;
    }
    for (size_t i = 0; i < machine->disk_count && !rc; i++)
        rc = check_disk(f, id, &machine->disks[i], err);
    vmscm_model_free(machine);
    return rc;
}

struct pending {
    VMSCM_VEC(char *) ids;
};

/* A commit and all that led to it, each once. */
static int check_history(struct fsck *f, const char *tip, bool ancestors, struct vmscm_error *err)
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
        if ((rc = vmscm_idset_get(&f->commits, &value, &added, &key, err)) || !added) {
            free(id);
            continue;
        }
        rc = vmscm_gitdb_read_commit(&info, f->repo->git, id, &why);
        if (rc == VMSCM_ENOMEM) {
            vmscm_error_copy(err, &why);
        } else if (rc) {
            tell(f, id, why.message, id, NULL, 0, 0);
            rc = 0;
        } else {
            rc = check_revision(f, id, err);
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

static int check_head(void *data, const char *ref, const char *id)
{
    struct fsck *f = data;
    char commit[VMSCM_GITDB_ID];
    struct vmscm_error why = VMSCM_ERROR_INIT;

    f->machine = vmscm_str_starts(ref, VMSCM_HANDLE_HEADS) ? ref + strlen(VMSCM_HANDLE_HEADS)
                                                           : NULL;
    f->result->machines += f->machine != NULL;
    if (!id || vmscm_refs_read_commit(commit, f->repo->git, ref, &why)) {
        tell(f, ref, why.code ? why.message : "cannot be read", NULL, NULL, 0, 0);
        return 0;
    }
    int rc = check_history(f, commit, true, f->err);
    f->machine = NULL;
    return rc;
}

static int check_note(void *data, const char *ref, const char *id)
{
    struct fsck *f = data;
    struct vmscm_error why = VMSCM_ERROR_INIT;

    if (!id)
        tell(f, ref, "cannot be read", NULL, NULL, 0, 0);
    else if (vmscm_gitdb_verify(f->repo->git, id, &why))
        tell(f, ref, why.message, NULL, NULL, 0, 0);
    return 0;
}

static int check_refs(struct fsck *f, struct vmscm_error *err)
{
    int rc;

    if ((rc = vmscm_reflist_walk(f->repo->git, VMSCM_HANDLE_HEADS, check_head, f, err)) ||
        (rc = vmscm_reflist_walk(f->repo->git, VMSCM_HANDLE_TAGS, check_head, f, err)))
        return rc;
    return vmscm_reflist_walk(f->repo->git, "refs/notes/", check_note, f, err);
}

/* One machine with its history, or one revision. */
static int check_spec(struct fsck *f, struct vmscm_error *err)
{
    struct vmscm_revspec spec = {0};
    int rc = vmscm_revspec_resolve(&spec, f->repo->git, f->options->spec, err);

    if (rc)
        return rc;
    f->machine = spec.machine;
    f->result->machines = spec.machine != NULL;
    rc = check_history(
        f, spec.id, spec.machine && strcmp(spec.machine, f->options->spec) == 0, err);
    vmscm_revspec_release(&spec);
    return rc;
}

int vmscm_fsck(struct vmscm_repo *repo, const struct vmscm_fsck_options *options,
    const struct vmscm_events *events, void (*found)(void *, const struct vmscm_fsck_finding *),
    void *data, struct vmscm_fsck_result *result, struct vmscm_error *err)
{
    static const struct vmscm_fsck_options defaults;
    struct vmscm_fsck_result own = {0};
    struct fsck f = {.repo = repo,
        .options = options ? options : &defaults,
        .events = events,
        .found = found,
        .data = data,
        .result = result ? result : &own,
        .err = err};
    int rc;

    *f.result = own;
    if ((rc = vmscm_handle_store(&f.store, repo, err)) ||
        (rc = vmscm_fetch_new(&f.fetch, f.store, err)) || (rc = check_store(&f, err)))
        goto out;
    rc = f.options->spec ? check_spec(&f, err) : check_refs(&f, err);
    if (!rc && f.result->findings)
        rc = vmscm_error_set(err, VMSCM_EDAMAGED, "%s: %llu finding%s", repo->path,
            (unsigned long long)f.result->findings, f.result->findings == 1 ? "" : "s");
out:
    vmscm_fetch_free(f.fetch);
    vmscm_buf_release(&f.bytes);
    vmscm_buf_release(&f.chunk);
    vmscm_idset_release(&f.commits);
    vmscm_idset_release(&f.leaves);
    vmscm_idset_release(&f.bad);
    return rc;
}
