/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/known.h"
#include "base/path.h"
#include "base/str.h"
#include "image/bitmap.h"
#include "image/qemumap.h"
#include "machine/model.h"
#include "repo/leafread.h"
#include "repo/snapshot.h"
#include "repo/thin.h"
#include "store/fetch.h"

#include <stdlib.h>
#include <string.h>

/* What is looked for. */
struct search {
    struct vmscm_repo *repo;
    const struct vmscm_probe *probe;
    const char *id;
    const struct vmscm_events *events;
    /* A layer of the chain that is a checkout's disk. */
    const struct vmscm_probe *layer;
    unsigned depth;
    char *dir;
    struct vmscm_workfile work;
    const struct vmscm_workfile_disk *disk;
    const char *base; /* the revision that it is compared with */
};

/* Failures that must be told; all others only mean that the disk is read. */
static bool is_fatal(int rc)
{
    return rc == VMSCM_ENOMEM || rc == VMSCM_ECANCELED;
}

static void note_whole(const struct vmscm_events *events, const char *id, const char *why)
{
    vmscm_handle_note(events, "disk %s: read whole: %s", id, why);
}

static const struct vmscm_workfile_disk *disk_at(const struct vmscm_workfile *work,
    const char *path)
{
    const char *name = vmscm_path_basename(path);

    for (size_t i = 0; i < work->disks.len; i++)
        if (strcmp(work->disks.items[i].files.items[0].name, name) == 0)
            return &work->disks.items[i];
    return NULL;
}

/* Whether the layer's file is a disk of a checkout it lies in. */
static int find_disk(struct search *s, struct vmscm_error *err)
{
    const struct vmscm_workfile_disk *disk;
    int rc;

    if ((rc = vmscm_path_dirname(&s->dir, s->layer->path, err)))
        return rc;
    if ((rc = vmscm_workfile_read(&s->work, s->dir, err))) {
        if (!is_fatal(rc) && rc != VMSCM_ENOTFOUND)
            vmscm_handle_note(s->events, "%s", err ? err->message : "a damaged checkout");
        return is_fatal(rc) ? rc : 0;
    }
    disk = disk_at(&s->work, s->layer->path);
    if (disk && strcmp(disk->format, vmscm_probe_format_name(s->layer->format)) == 0)
        s->disk = disk;
    return 0;
}

static void search_release(struct search *s)
{
    vmscm_workfile_release(&s->work);
    free(s->dir);
    s->dir = NULL;
    s->disk = NULL;
}

/* The uppermost layer that is a checkout's disk; none is left if s->disk is NULL. */
static int find_layer(struct search *s, struct vmscm_error *err)
{
    int rc = 0;

    for (s->layer = s->probe; s->layer; s->layer = s->layer->backing, s->depth++) {
        rc = find_disk(s, err);
        if (rc || s->disk)
            break;
        search_release(s);
    }
    return rc;
}

/* The disk's map in the revision. *why: NULL, or why it cannot be had. */
static int load_base(struct vmscm_known *known, const struct search *s, const char **why,
    struct vmscm_error *err)
{
    struct vmscm_machine *machine = NULL;
    const struct vmscm_machine_disk *disk;
    int rc = vmscm_snapshot_machine(&machine, s->repo, s->base, err);

    *why = NULL;
    memcpy(known->revision, s->base, sizeof known->revision);
    if (rc) {
        *why = "its checkout's revision is not in this repository";
    } else if ((rc = vmscm_snapshot_kept(s->repo, s->base, err))) {
        *why = "its checkout's revision was pruned";
    } else if (!(disk = vmscm_model_disk(machine, s->disk->id))) {
        *why = "its checkout's revision has no such disk";
    } else if (disk->size != s->probe->size) {
        *why = "its size has changed";
    } else if ((rc = vmscm_snapshot_map(&known->base, s->repo, s->base, disk, err))) {
        *why = "its checkout's revision is damaged";
    }
    vmscm_model_free(machine);
    return is_fatal(rc) ? rc : 0;
}

/* Leaves that are not read must at least be there: a revision is not built on what is lost. */
static bool has_leaves(struct vmscm_store *store, const struct vmscm_map *map,
    const struct vmscm_promises *promises)
{
    struct vmscm_pack_entry entry;
    bool changed;

    for (size_t i = 0; i < map->runs.len; i++)
        if (!map->runs.items[i].zero &&
            !(promises && vmscm_promises_has(promises, &map->runs.items[i].leaf)) &&
            !vmscm_store_find(store, &entry, &map->runs.items[i].leaf)) {
            /* Another process may have added it. */
            if (vmscm_store_reload(store, &changed, NULL) || !changed ||
                !vmscm_store_find(store, &entry, &map->runs.items[i].leaf))
                return false;
        }
    return true;
}

/* Whether the checkout knows all that the layer is made of: what it does not know could change
 * without being noticed. */
static bool is_complete(const struct search *s)
{
    if (s->layer->backing)
        return false;
    for (size_t i = 0; i < s->layer->files.len; i++) {
        bool found = false;
        for (size_t f = 0; f < s->disk->files.len && !found; f++)
            found = s->disk->files.items[f].inode == s->layer->files.items[i].st.st_ino;
        if (!found)
            return false;
    }
    return true;
}

/* A thin checkout's disk: all that it holds may differ from the revision that it is over. */
static int find_held(struct vmscm_known *known, struct search *s, const char **why,
    const char **way, struct vmscm_error *err)
{
    int rc;

    vmscm_changes_release(&known->changes);
    known->by_bitmap = false;
    *why = NULL;
    *way = "its overlay holds";
    s->base = s->work.thin.base;
    if ((rc = vmscm_qemumap_changes(&known->changes, s->probe, 1, s->events, err)))
        *why = err ? err->message : "what its overlay holds is not known";
    return rc;
}

/* What may differ, and which way that was found. *why as above. */
static int find_changes(struct vmscm_known *known, struct search *s, const char **why,
    const char **way, struct vmscm_error *err)
{
    int rc = 0;

    *why = NULL;
    s->base = s->work.base;
    if (!is_complete(s)) {
        *why = "it has files that its checkout does not know";
    } else if (vmscm_workfile_proves(&s->work, s->disk, s->dir)) {
        *way = s->depth ? "its overlay holds"
                        : "by size, times and inode of its files, changed are";
        if (s->depth && (rc = vmscm_qemumap_changes(
                             &known->changes, s->probe, s->depth, s->events, err)))
            *why = err ? err->message : "what its overlay holds is not known";
    } else if (s->depth) {
        *why = "the backing file is not as it was checked out";
    } else if (s->layer->format != VMSCM_PROBE_QCOW2) {
        *why = "its file was written to, and this format does not tell where";
    } else if (!s->disk->bitmap) {
        *why = "it has no dirty bitmap";
    } else {
        *way = "dirty in its bitmap are";
        known->by_bitmap = true;
        if ((rc = vmscm_bitmap_read(&known->changes, s->probe, s->disk->bitmap, err)))
            *why = err ? err->message : "its dirty bitmap cannot be read";
    }
    if (*why && !is_fatal(rc) && s->layer->over && is_complete(s))
        rc = find_held(known, s, why, way, err);
    return is_fatal(rc) ? rc : 0;
}

int vmscm_known_find(struct vmscm_known *known, struct vmscm_repo *repo,
    const struct vmscm_probe *probe, const char *id, const struct vmscm_promises *promises,
    const struct vmscm_events *events, struct vmscm_error *err)
{
    struct search s = {.repo = repo, .probe = probe, .id = id, .events = events};
    struct vmscm_error failure = VMSCM_ERROR_INIT;
    struct vmscm_store *store;
    const char *why = NULL, *way = "";
    int rc;

    *known = (struct vmscm_known){0};
    if ((rc = find_layer(&s, &failure)) || !s.disk ||
        (rc = find_changes(known, &s, &why, &way, &failure)))
        goto out;
    if (!why && (rc = load_base(known, &s, &why, &failure)))
        goto out;
    if (!why && (rc = vmscm_handle_store(&store, repo, &failure)))
        goto out;
    if (!why && !has_leaves(store, &known->base, promises))
        why = "its checkout's revision is damaged";
    known->usable = !why;
    if (why)
        note_whole(events, id, why);
    else
        vmscm_handle_note(events, "disk %s: %s %llu of %llu bytes since %.12s", id, way,
            (unsigned long long)vmscm_changes_total(&known->changes),
            (unsigned long long)probe->size, known->revision);
out:
    search_release(&s);
    if (!known->usable)
        vmscm_known_release(known);
    return rc ? vmscm_error_copy(err, &failure) : 0;
}

/* The last chunk of a segment that no change touches. */
static bool find_clean(struct vmscm_leaf_entry *out, const struct vmscm_leaf_entry *entries,
    size_t count, uint64_t start, const struct vmscm_changes *changes)
{
    while (count--) {
        const struct vmscm_leaf_entry *e = &entries[count];
        uint64_t at = start + e->offset;
        if (!e->zero && vmscm_changes_next(changes, at) >= at + e->length) {
            *out = *e;
            return true;
        }
    }
    return false;
}

/* The last such chunk of the disk, and where it is; *found: there is one. */
static int find_last(struct vmscm_leaf_entry *out, uint64_t *offset, bool *found,
    const struct vmscm_known *known, struct vmscm_fetch *fetch, struct vmscm_error *err)
{
    struct vmscm_buf bytes = VMSCM_BUF_INIT;
    int rc = 0;

    *found = false;
    for (size_t r = known->base.runs.len; r-- && !*found && !rc;) {
        const struct vmscm_map_run *run = &known->base.runs.items[r];
        struct vmscm_leaf_entry *entries = NULL;
        size_t count;
        if (run->zero)
            continue;
        rc = vmscm_leafread_entries(&entries, &count, fetch, &bytes, &run->leaf,
            vmscm_map_segment_length(known->base.size, run->first + run->count - 1), err);
        for (uint64_t n = run->first + run->count; n-- > run->first && !*found && !rc;) {
            uint64_t start = n << VMSCM_LEAF_SEGMENT_LOG2;
            *found = find_clean(out, entries, count, start, &known->changes);
            *offset = start + out->offset;
        }
        free(entries);
    }
    vmscm_buf_release(&bytes);
    return rc;
}

/* Whether the disk holds that chunk there. */
static int compare_chunk(bool *same, struct vmscm_blockdev *dev, uint64_t offset,
    const struct vmscm_leaf_entry *e, struct vmscm_error *err)
{
    struct vmscm_hash *hash = NULL;
    struct vmscm_id id;
    void *data = malloc(e->length);
    int rc = data ? vmscm_hash_new(&hash, err) : vmscm_error_nomem(err);

    if (!rc && !(rc = vmscm_blockdev_pread(dev, data, e->length, offset, err)) &&
        !(rc = vmscm_hash_compute(hash, &id, data, e->length, err)))
        *same = vmscm_hash_cmp(&id, &e->id) == 0;
    vmscm_hash_free(hash);
    free(data);
    return rc;
}

int vmscm_known_check(struct vmscm_known *known, struct vmscm_repo *repo,
    struct vmscm_blockdev *dev, const char *id, const struct vmscm_events *events,
    struct vmscm_error *err)
{
    struct vmscm_fetch *fetch = NULL;
    struct vmscm_leaf_entry last = {0};
    struct vmscm_store *store;
    const char *why = NULL;
    uint64_t offset = 0;
    bool found = false, same = true;
    int rc = 0;

    if (!known->usable || !known->by_bitmap)
        return 0;
    if ((rc = vmscm_handle_store(&store, repo, err)) ||
        (rc = vmscm_fetch_new(&fetch, store, err)))
        return rc;
    if (find_last(&last, &offset, &found, known, fetch, NULL))
        why = "its checkout's revision is damaged";
    else if (found && !(rc = compare_chunk(&same, dev, offset, &last, err)) && !same)
        why = "it was made smaller and larger again, which its bitmap does not show";
    vmscm_fetch_free(fetch);
    if (why) {
        note_whole(events, id, why);
        vmscm_known_release(known);
    }
    return rc;
}

void vmscm_known_release(struct vmscm_known *known)
{
    vmscm_map_release(&known->base);
    vmscm_changes_release(&known->changes);
    known->usable = false;
}

bool vmscm_known_is_unchanged(const char *path)
{
    const struct vmscm_workfile_disk *disk;
    struct vmscm_workfile work = {0};
    char *dir = NULL;
    bool unchanged = false;

    if (!vmscm_path_dirname(&dir, path, NULL) && !vmscm_workfile_read(&work, dir, NULL)) {
        disk = disk_at(&work, path);
        unchanged = disk && vmscm_workfile_proves(&work, disk, dir);
    }
    vmscm_workfile_release(&work);
    free(dir);
    return unchanged;
}

bool vmscm_known_is_kept(const struct vmscm_known *known, struct vmscm_repo *repo,
    const char *tip)
{
    struct vmscm_revision *rev = NULL;
    bool kept;

    if (vmscm_snapshot_kept(repo, known->revision, NULL))
        return false;
    if (strcmp(known->revision, tip) == 0)
        return true;
    if (vmscm_snapshot_open(&rev, repo, known->revision, NULL, NULL))
        return false;
    kept = vmscm_revision_machine_name(rev) != NULL;
    vmscm_revision_free(rev);
    return kept;
}

static void lay(struct vmscm_workfile_disk *disk, struct vmscm_repo *repo, const char *path,
    const char *keep, unsigned allow, const struct vmscm_events *events)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_thin thin = {0};
    struct vmscm_probe *probe = NULL;
    int64_t wanted = 0;
    int rc = vmscm_gitconfig_get_int(&wanted, repo->config, "core.bitmaps", 1, &err);

    if (rc)
        vmscm_handle_warn(events, "%s", err.message);
    if (!wanted)
        return;
    if (!(rc = vmscm_thin_find(&thin, path, &err)))
        rc = thin.backing
            ? vmscm_thin_probe(&probe, &thin, path, allow | VMSCM_PROBE_SHALLOW, &err)
            : vmscm_probe_open(&probe, path, "qcow2", allow | VMSCM_PROBE_SHALLOW, &err);
    if (!rc)
        rc = vmscm_bitmap_lay(&disk->bitmap, probe, keep, &err);
    if (rc)
        vmscm_handle_note(events, "no dirty bitmap: %s", err.message);
    vmscm_thin_release(&thin);
    vmscm_probe_close(probe);
}

void vmscm_known_begin(struct vmscm_workfile_disk *disk, struct vmscm_repo *repo,
    const char *path, const struct vmscm_events *events)
{
    lay(disk, repo, path, NULL, 0, events);
}

void vmscm_known_prepare(struct vmscm_workfile_disk *fresh, struct vmscm_repo *repo,
    const struct vmscm_workfile *work, const struct vmscm_workfile_disk *disk, const char *dir,
    bool anew, unsigned allow, const struct vmscm_events *events)
{
    char *path = NULL;

    if (strcmp(disk->format, "qcow2") != 0)
        return;
    if (!anew && vmscm_workfile_proves(work, disk, dir)) {
        if (disk->bitmap)
            vmscm_str_dup(&fresh->bitmap, disk->bitmap, NULL);
    } else if (!vmscm_path_join(&path, dir, disk->files.items[0].name, NULL)) {
        lay(fresh, repo, path, disk->bitmap, allow, events);
    }
    free(path);
}
