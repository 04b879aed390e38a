/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Checking in, in the order that makes it safe: packs; then, under the shared commit lock, a last
 * look that nothing relied on is gone, the git objects, and the ref.
 */
#include <vmscm/checkin.h>

#include "base/path.h"
#include "base/str.h"
#include "history/ident.h"
#include "history/pruned.h"
#include "history/reflist.h"
#include "history/refs.h"
#include "history/revspec.h"
#include "image/probe.h"
#include "image/reader.h"
#include "machine/json.h"
#include "machine/model.h"
#include "repo/describe.h"
#include "repo/gcsettings.h"
#include "repo/kept.h"
#include "repo/known.h"
#include "repo/newtree.h"
#include "repo/scan.h"
#include "repo/snapshot.h"
#include "repo/whole.h"
#include "store/plan.h"
#include "sys/file.h"
#include "sys/lockfile.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ATTEMPTS 3  /* when gc takes a pack that was relied on */
#define RACES 1000 /* lost to others who check the same machine in */

/* One check-in under way. */
struct checkin {
    struct vmscm_repo *repo;
    const char *name;
    const struct vmscm_checkin_disk *sources;
    size_t count;
    const struct vmscm_checkin_options *options;
    const struct vmscm_events *events;

    char *ref;
    char tip[VMSCM_GITDB_ID];    /* "" if the machine is new */
    char parent[VMSCM_GITDB_ID]; /* "" if none */
    struct vmscm_probe **probes;
    struct vmscm_machine *machine;
    size_t *order; /* which source each of its disks is */
    struct vmscm_buf xml; /* of --config */
    struct vmscm_scan_disk *disks;
    struct vmscm_map *bases;   /* what the parent has of each; of size 0 if nothing */
    struct vmscm_known *known; /* of each disk */
    bool whole;                /* what is known is not to be relied on */
    struct vmscm_lease *lease; /* on the packs it makes, until they are recorded */
    bool again;                /* the tip may be this check-in's already: see recorded_before */
};

struct clash {
    const char *name;
    struct vmscm_error *err;
};

static int found_clash(void *data, const char *ref, const char *id)
{
    struct clash *clash = data;

    (void)id;
    return vmscm_error_set(clash->err, VMSCM_EEXIST, "%s: there is a machine %s", clash->name,
        ref + strlen(VMSCM_HANDLE_HEADS));
}

/* A ref is a file: "a" and "a/b" cannot both be, which is better known before all is read. */
static int check_clash(struct checkin *c, struct vmscm_error *err)
{
    struct clash clash = {c->name, err};
    char *path = NULL, id[VMSCM_GITDB_ID];
    int rc = vmscm_str_printf(&path, err, "%s/", c->ref);

    if (rc)
        return rc;
    rc = vmscm_reflist_walk(c->repo->git, path, found_clash, &clash, err);
    for (char *p = path + strlen(VMSCM_HANDLE_HEADS); !rc && (p = strchr(p, '/')) && p[1]; p++) {
        *p = '\0';
        if (vmscm_refs_read(id, c->repo->git, path, NULL) != VMSCM_ENOTFOUND)
            rc = found_clash(&clash, path, NULL);
        *p = '/';
    }
    free(path);
    return rc;
}

static int refuse_base(const struct checkin *c, struct vmscm_error *err)
{
    const char *expected = c->options->expected_base;

    if (!*expected)
        return vmscm_error_set(err, VMSCM_EEXIST, "%s: there is such a machine already", c->name);
    if (!c->tip[0])
        vmscm_error_set(err, VMSCM_ECONFLICT, "%s: the machine is no longer there", c->name);
    else
        vmscm_error_set(err, VMSCM_ECONFLICT,
            "%s: has moved on to %.12s since %.12s was checked out", c->name, c->tip, expected);
    return vmscm_error_hint(err,
        "--onto NEW-MACHINE keeps both; --force-parent makes this the successor of the tip");
}

/* Whether the tip may be what this very check-in made of its base: it was killed before it could say
 * so. If what is read then is what the tip has, that is so, and else nothing is recorded. */
static bool recorded_before(const struct checkin *c)
{
    const char *expected = c->options->expected_base;
    const char *base = *expected ? expected : c->options->parent;
    const char *message = c->options->message ? c->options->message : "";
    struct vmscm_signature author = {0}, committer = {0};
    struct vmscm_gitdb_info tip = {0};
    bool same = false;

    if (!c->tip[0] || !base)
        return false;
    if (!vmscm_gitdb_read_commit(&tip, c->repo->git, c->tip, NULL) &&
        !vmscm_handle_who(&author, &committer, c->repo, NULL)) {
        size_t len = strlen(tip.message);
        same = tip.parent_count == 1 && strcmp(tip.parents[0], base) == 0 &&
            strcmp(tip.committer.email, committer.email) == 0 &&
            strncmp(tip.message, message, len) == 0 &&
            message[len + strspn(message + len, " \t\r\n")] == '\0';
    }
    vmscm_gitdb_info_release(&tip);
    vmscm_ident_release(&author);
    vmscm_ident_release(&committer);
    return same;
}

static int find_base(struct checkin *c, struct vmscm_error *err)
{
    const char *expected = c->options->expected_base;
    int rc = vmscm_refs_read(c->tip, c->repo->git, c->ref, err);

    if (rc == VMSCM_ENOTFOUND) {
        c->tip[0] = '\0';
        vmscm_error_clear(err);
        rc = check_clash(c, err);
    }
    if (rc)
        return rc;
    if (expected && strcmp(expected, c->tip) != 0 && !(c->again = recorded_before(c)))
        return refuse_base(c, err);
    const char *parent = c->options->parent && !c->again ? c->options->parent : c->tip;
    memcpy(c->parent, parent, strlen(parent) < sizeof c->parent ? strlen(parent) + 1 : 0);
    return 0;
}

static int probe_all(struct checkin *c, struct vmscm_error *err)
{
    if (!(c->probes = calloc(c->count, sizeof *c->probes)) ||
        !(c->order = calloc(c->count, sizeof *c->order)))
        return vmscm_error_nomem(err);
    for (size_t i = 0; i < c->count; i++) {
        unsigned allow = c->options->allow;
        if (!c->options->reread && vmscm_known_is_unchanged(c->sources[i].path))
            allow |= VMSCM_PROBE_SHALLOW;
        int rc = vmscm_probe_open(
            &c->probes[i], c->sources[i].path, c->sources[i].format, allow, err);
        /* "Not found" would be an answer about the repository. */
        if (rc == VMSCM_ENOTFOUND && err)
            err->code = VMSCM_EINPUT;
        if (rc)
            return rc == VMSCM_ENOTFOUND ? VMSCM_EINPUT : rc;
        const struct vmscm_probe *p = c->probes[i];
        if (p->size > VMSCM_MAP_DISK_MAX)
            return vmscm_error_set(err, VMSCM_EINPUT, "%s: a disk of %llu bytes is too large",
                p->path, (unsigned long long)p->size);
        for (const struct vmscm_probe *b = p; b; b = b->backing) {
            if (b->snapshots)
                vmscm_handle_warn(c->events,
                    "%s: %llu internal snapshot%s left out: only the disk's present state is kept",
                    b->path, (unsigned long long)b->snapshots, b->snapshots == 1 ? "" : "s");
            if (b->dirty)
                vmscm_handle_warn(c->events,
                    "%s: was not closed cleanly; what is kept is what its format's log and tables "
                    "say now",
                    b->path);
        }
    }
    return 0;
}

/* Whether so little may have changed that to learn where all of the disk is would take longer than
 * the slower way of reading: 20 ms at 4 GiB, a second or two at 1 TiB. */
static bool is_little(const struct vmscm_changes *changes, uint64_t size)
{
    return vmscm_changes_total(changes) <= (UINT64_C(16) << 20) + size / 4096;
}

/* The parent's disks, to store what is new against. They only save space: what is wrong with them is
 * for others to tell. */
static void load_bases(struct checkin *c)
{
    struct vmscm_machine *parent = NULL;
    size_t known = 0;

    while (known < c->count && c->disks[known].base)
        known++;
    if (known == c->count || !c->parent[0] || vmscm_snapshot_kept(c->repo, c->parent, NULL) ||
        vmscm_snapshot_machine(&parent, c->repo, c->parent, NULL))
        return;
    for (size_t i = 0; i < c->count; i++) {
        const struct vmscm_machine_disk *disk =
            vmscm_model_disk(parent, c->machine->disks[i].id);
        if (!c->disks[i].base && disk &&
            !vmscm_snapshot_map(&c->bases[i], c->repo, c->parent, disk, NULL))
            c->disks[i].base = &c->bases[i];
    }
    vmscm_model_free(parent);
}

/* *threads: how many should read them. */
static int open_disks(struct checkin *c, unsigned jobs, unsigned *threads,
    struct vmscm_error *err)
{
    *threads = jobs;
    if (!(c->disks = calloc(c->count, sizeof *c->disks)) ||
        !(c->bases = calloc(c->count, sizeof *c->bases)) ||
        !(c->known = calloc(c->count, sizeof *c->known)))
        return vmscm_error_nomem(err);
    for (size_t i = 0; i < c->count; i++) {
        const struct vmscm_probe *probe = c->probes[c->order[i]];
        struct vmscm_known *known = &c->known[i];
        int rc;
        c->disks[i].name = c->machine->disks[i].id;
        if (!c->whole &&
            (rc = vmscm_known_find(known, c->repo, probe, c->disks[i].name, c->events, err)))
            return rc;
        bool few = known->usable && is_little(&known->changes, probe->size);
        /* What is known says enough about how little is read. */
        if ((rc = vmscm_reader_open(
                 &c->disks[i].dev, probe, jobs, few, few ? NULL : c->events, err)))
            return rc;
        if ((rc = vmscm_known_check(
                 known, c->repo, c->disks[i].dev, c->disks[i].name, c->events, err)))
            return rc;
        if (known->usable) {
            c->disks[i].changes = &known->changes;
            c->disks[i].base = &known->base;
        }
        if (c->disks[i].dev->threads > *threads)
            *threads = c->disks[i].dev->threads;
        c->machine->disks[i].size = c->disks[i].dev->size;
    }
    load_bases(c);
    return 0;
}

static void close_disks(struct checkin *c)
{
    for (size_t i = 0; c->disks && i < c->count; i++) {
        vmscm_blockdev_close(c->disks[i].dev);
        vmscm_map_release(&c->disks[i].map);
        if (c->bases)
            vmscm_map_release(&c->bases[i]);
    }
    for (size_t i = 0; c->known && i < c->count; i++)
        vmscm_known_release(&c->known[i]);
    free(c->disks);
    free(c->bases);
    free(c->known);
    c->disks = NULL;
    c->bases = NULL;
    c->known = NULL;
}

/* Read and store everything; packs are durable when it returns. */
static int store_disks(struct checkin *c, unsigned jobs, int level,
    struct vmscm_checkin_result *result, struct vmscm_error *err)
{
    struct vmscm_ingest *ingest = NULL;
    struct vmscm_ingest_counts stored = {0};
    struct vmscm_scan_counts scanned = {0};
    struct vmscm_error ignored = VMSCM_ERROR_INIT;
    struct vmscm_store *store;
    unsigned threads;
    int rc;

    if ((rc = vmscm_handle_store(&store, c->repo, err)))
        return rc;
    /* Packs that came without a multi-pack index would each be searched for every chunk. */
    vmscm_store_reindex(store, &ignored);
    if ((rc = open_disks(c, jobs, &threads, err)) ||
        (rc = vmscm_ingest_open(&ingest, store, c->repo->path, level, c->lease, err)))
        return rc;
    if ((rc = vmscm_scan_run(
             c->disks, c->count, ingest, store, threads, c->events, &scanned, err))) {
        vmscm_ingest_abort(ingest);
        if (rc == VMSCM_ECANCELED)
            vmscm_error_set(err, rc, "%s: check-in interrupted; nothing changed", c->name);
        return rc;
    }
    for (size_t i = 0; i < c->count && !rc; i++)
        rc = vmscm_blockdev_unchanged(c->disks[i].dev, err);
    if (rc) {
        vmscm_ingest_abort(ingest);
        return rc;
    }
    if ((rc = vmscm_ingest_finish(ingest, &stored, err)))
        return rc;
    result->size = 0;
    for (size_t i = 0; i < c->count; i++)
        result->size += c->disks[i].dev->size;
    result->read = scanned.read;
    result->chunks = scanned.chunks;
    /* Added to what an attempt before this one stored. */
    result->fresh += stored.fresh;
    result->fresh_chunks += stored.fresh_chunks;
    result->stored += stored.stored;
    return 0;
}

static int build_tree(struct vmscm_newtree *tree, struct checkin *c, struct vmscm_error *err)
{
    struct vmscm_buf bytes = VMSCM_BUF_INIT;
    char *path = NULL;
    int rc = vmscm_json_encode(&bytes, c->machine, err);

    if (rc)
        goto out;
    if ((rc = vmscm_newtree_add(tree, strdup(VMSCM_HANDLE_MACHINE_FILE), &bytes, err)))
        goto out;
    for (size_t i = 0; i < c->count; i++) {
        if ((rc = vmscm_map_encode(&bytes, &c->disks[i].map, err)) ||
            (rc = vmscm_str_printf(
                 &path, err, VMSCM_HANDLE_DISK_DIR "/%s", c->machine->disks[i].id)) ||
            (rc = vmscm_newtree_add(tree, path, &bytes, err)))
            goto out;
    }
    if (c->options->config) {
        if ((rc = vmscm_buf_append(&bytes, c->xml.data, c->xml.len, err)) ||
            (rc = vmscm_newtree_add(
                 tree, strdup(VMSCM_HANDLE_CONFIG_DIR "/domain.xml"), &bytes, err)))
            goto out;
    } else if (c->parent[0]) {
        rc = vmscm_newtree_keep_config(tree, c->repo, c->parent, err);
    }
out:
    vmscm_buf_release(&bytes);
    return rc;
}

static int conflict(const struct checkin *c, struct vmscm_error *err)
{
    vmscm_error_set(
        err, VMSCM_ECONFLICT, "%s: someone else checked in at the same time", c->name);
    return vmscm_error_hint(err, "check in again; what was stored is not stored twice");
}

/* Parts of a revision that gc may not know any more cannot be built on. */
static int check_known(struct checkin *c, struct vmscm_error *err)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->known[i].usable && !vmscm_known_is_kept(&c->known[i], c->repo, c->tip))
            return vmscm_error_set(err, VMSCM_EBUSY,
                "disk %s: its checkout's revision %.12s is in no machine's history, or was pruned",
                c->disks[i].name, c->known[i].revision);
    return 0;
}

/* The same for what the new revision names as its parents; the commit lock is held. */
static int check_parents(struct checkin *c, struct vmscm_error *err)
{
    char now[VMSCM_GITDB_ID] = "";
    int rc = vmscm_refs_read(now, c->repo->git, c->ref, err);

    if (rc && rc != VMSCM_ENOTFOUND)
        return rc;
    if (rc)
        vmscm_error_clear(err);
    /* What a new one is refused for is told when its ref is set. */
    if (strcmp(now, c->tip) != 0)
        return c->tip[0] ? conflict(c, err) : 0;
    return c->parent[0] && strcmp(c->parent, c->tip) != 0
        ? vmscm_kept_check(c->repo, c->parent, c->tip[0] ? c->ref : NULL, err)
        : 0;
}

/* The commit may be one that was pruned: the parent where nothing differs, or one made with the same
 * date once before. All of its data is there now. */
static int take_back(struct checkin *c, const char *id, const struct vmscm_signature *who,
    struct vmscm_error *err)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;
    int rc = vmscm_snapshot_kept(c->repo, id, &why);

    /* While notes cannot be read gc removes nothing, and what is checked in is not turned away. */
    if (!rc || rc == VMSCM_EDAMAGED)
        return 0;
    if (rc != VMSCM_ENOTFOUND)
        return vmscm_error_copy(err, &why);
    return vmscm_pruned_remove(c->repo->git, &id, 1, who, err);
}

/* That nothing relied on is gone, or is somewhere else by now: gc moved it. VMSCM_EBUSY: it is not.
 * The commit lock is held, so nothing more goes. */
static int confirm(struct checkin *c, struct vmscm_store *store, struct vmscm_error *err)
{
    struct vmscm_whole whole = {0};
    struct vmscm_error gone = VMSCM_ERROR_INIT, why = VMSCM_ERROR_INIT;
    bool changed;
    int rc = vmscm_store_confirm(store, &gone);

    if (rc != VMSCM_EBUSY)
        return rc ? vmscm_error_copy(err, &gone) : 0;
    rc = vmscm_store_reload(store, &changed, err);
    for (size_t i = 0; i < c->count && !rc; i++)
        if ((rc = vmscm_whole_check(&whole, store, &c->disks[i].map, &why)))
            vmscm_error_copy(err, why.code == VMSCM_EDAMAGED ? &gone : &why);
    vmscm_whole_release(&whole);
    if (rc == VMSCM_EDAMAGED)
        return VMSCM_EBUSY;
    return rc ? rc : vmscm_store_confirm(store, err);
}

/* Write the commit and move the ref. VMSCM_EBUSY: something relied on is gone. The commit lock is
 * held from before the first git object: until the ref is set, gc cannot know that it is needed. */
static int record(struct checkin *c, struct vmscm_checkin_result *result, struct vmscm_error *err)
{
    struct vmscm_signature author = {0}, committer = {0};
    struct vmscm_newtree tree = {0};
    const char *parents[2] = {c->parent, c->tip};
    size_t parent_count = c->parent[0] ? 1 : 0;
    char id[VMSCM_GITDB_ID];
    struct vmscm_store *store;
    int lock = -1, rc;

    if (parent_count && c->tip[0] && strcmp(c->parent, c->tip) != 0)
        parent_count = 2;
    if ((rc = vmscm_handle_store(&store, c->repo, err)) ||
        (rc = vmscm_handle_who(&author, &committer, c->repo, err)) ||
        (rc = vmscm_handle_commit_lock(&lock, c->repo, err)) || (rc = check_parents(c, err)) ||
        (rc = check_known(c, err)) || (rc = confirm(c, store, err)) ||
        (rc = build_tree(&tree, c, err)))
        goto out;
    result->unchanged = parent_count == 1 && vmscm_newtree_is(&tree, c->repo, c->parent);
    if (c->again && !result->unchanged) {
        rc = refuse_base(c, err);
        goto out;
    }
    if (result->unchanged)
        memcpy(id, c->parent, sizeof id);
    else if ((rc = vmscm_gitdb_commit(id, c->repo->git, tree.files.items, tree.files.len, parents,
                  parent_count, &author, &committer,
                  c->options->message ? c->options->message : "", err)))
        goto out;
    if ((rc = take_back(c, id, &committer, err)))
        goto out;
    if (strcmp(id, c->tip) != 0) {
        rc = vmscm_refs_update(c->repo->git, c->ref, c->tip, id, &committer,
            c->tip[0] ? "checkin" : "checkin: new machine", err);
        /* Who wanted a new machine keeps the message that there is one. */
        if (rc == VMSCM_ECONFLICT ||
            (rc == VMSCM_EEXIST && !(c->options->expected_base && !*c->options->expected_base)))
            rc = conflict(c, err);
    } else {
        /* Who set it may have died before it was durable. */
        rc = vmscm_refs_sync(c->repo->git, c->ref, err);
    }
    memcpy(result->id, id, sizeof id);
out:
    vmscm_lockfile_release(&lock);
    vmscm_newtree_release(&tree);
    vmscm_ident_release(&author);
    vmscm_ident_release(&committer);
    return rc;
}

/* Who asked for no particular base builds on whatever the tip is, also when it moves meanwhile. */
static int record_on_tip(struct checkin *c, struct vmscm_checkin_result *result,
    struct vmscm_error *err)
{
    int rc = record(c, result, err);

    for (int n = 0; rc == VMSCM_ECONFLICT && n < RACES; n++) {
        if (c->options->expected_base || c->options->parent)
            break;
        if (!(rc = find_base(c, err)))
            rc = record(c, result, err);
    }
    return rc;
}

static int check_arguments(struct checkin *c, int *level, struct vmscm_error *err)
{
    int64_t configured;
    uint8_t raw[20];
    int rc = vmscm_revspec_check_machine(c->name, err);

    if (rc)
        return rc;
    if (!c->count)
        return vmscm_error_set(err, VMSCM_EUSAGE, "%s: no disk to check in", c->name);
    if (c->count > VMSCM_JSON_DISKS_MAX)
        return vmscm_error_set(
            err, VMSCM_EUSAGE, "%s: more than %d disks", c->name, VMSCM_JSON_DISKS_MAX);
    if (c->options->parent && (strlen(c->options->parent) != 40 ||
                                  !vmscm_str_unhex(raw, sizeof raw, c->options->parent)))
        return vmscm_error_set(err, VMSCM_EUSAGE, "%s: not a revision's id", c->options->parent);
    if ((rc = vmscm_gitconfig_get_int(
             &configured, c->repo->config, "core.compression", VMSCM_COMPRESS_LEVEL_DEFAULT, err)))
        return rc;
    *level = c->options->compression_level ? c->options->compression_level : (int)configured;
    if (*level < 1 || *level > VMSCM_COMPRESS_LEVEL_MAX)
        return vmscm_error_set(err, VMSCM_EUSAGE, "compression level %d: 1 to %d are possible",
            *level, VMSCM_COMPRESS_LEVEL_MAX);
    return 0;
}

static double seconds_since(const struct timespec *start)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

int vmscm_checkin(struct vmscm_repo *repo, const char *name,
    const struct vmscm_checkin_disk *disks, size_t disk_count,
    const struct vmscm_checkin_options *options, const struct vmscm_events *events,
    struct vmscm_checkin_result *result, struct vmscm_error *err)
{
    static const struct vmscm_checkin_options defaults;
    struct vmscm_checkin_result own = {0};
    struct checkin c = {.repo = repo,
        .name = name,
        .sources = disks,
        .count = disk_count,
        .options = options ? options : &defaults,
        .events = events,
        .whole = options && options->reread};
    struct timespec start;
    struct vmscm_store *store;
    unsigned jobs;
    bool changed;
    int level = 0, rc;

    clock_gettime(CLOCK_MONOTONIC, &start);
    if ((rc = check_arguments(&c, &level, err)) ||
        (rc = vmscm_handle_jobs(&jobs, repo, c.options->jobs, err)) ||
        (rc = vmscm_handle_head(&c.ref, name, err)) || (rc = find_base(&c, err)) ||
        (rc = probe_all(&c, err)) ||
        (c.options->config &&
            (rc = vmscm_file_read(&c.xml, c.options->config, VMSCM_DESCRIBE_XML_MAX, err))) ||
        (rc = vmscm_describe_machine(&c.machine, c.order, repo, name, c.parent, disks, c.probes,
             disk_count, &c.xml, c.options->config, events, err)) ||
        (rc = vmscm_lease_open(&c.lease, repo->path, err)))
        goto out;
    for (int attempt = 1;; attempt++) {
        if ((rc = store_disks(&c, jobs, level, &own, err)))
            goto out;
        rc = record_on_tip(&c, &own, err);
        if (rc != VMSCM_EBUSY || attempt == ATTEMPTS)
            break;
        vmscm_handle_note(events, "%s; reading again", err ? err->message : "a pack is gone");
        close_disks(&c);
        c.whole = true;
        if ((rc = vmscm_handle_store(&store, repo, err)) ||
            (rc = vmscm_store_reload(store, &changed, err)))
            goto out;
    }
    if (!rc && repo->store && vmscm_plan_is_due(repo->store))
        vmscm_gcsettings_note_small(repo);
    /* Only speed hangs on the index. */
    if (!rc && repo->store && vmscm_store_reindex(repo->store, err)) {
        vmscm_handle_note(events, "multi-pack index not written: %s", err ? err->message : "");
        vmscm_error_clear(err);
    }
    own.seconds = seconds_since(&start);
    if (!rc && result)
        *result = own;
out:
    close_disks(&c);
    for (size_t i = 0; c.probes && i < c.count; i++)
        vmscm_probe_close(c.probes[i]);
    vmscm_lease_close(c.lease);
    free(c.probes);
    free(c.order);
    vmscm_model_free(c.machine);
    vmscm_buf_release(&c.xml);
    free(c.ref);
    return rc;
}
