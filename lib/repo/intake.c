/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Checking in: images are looked at and read, what is new of them is stored, and then it is recorded
 * (record.c); anew, if gc took something meanwhile. */
#include "repo/intake.h"
#include "base/path.h"
#include "base/str.h"
#include "history/revspec.h"
#include "image/reader.h"
#include "machine/json.h"
#include "machine/model.h"
#include "repo/describe.h"
#include "repo/gcsettings.h"
#include "repo/record.h"
#include "repo/snapshot.h"
#include "store/batch.h"
#include "store/plan.h"
#include "sys/file.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ATTEMPTS 3 /* when gc takes a pack that was relied on */

static bool is_part(const struct vmscm_checkin_disk *source)
{
    return source->offset || source->length;
}

/* The disk itself, where the source is no image. */
static struct vmscm_blockdev *device_of(const struct vmscm_record *c, size_t source)
{
    return c->intake && c->intake->devices ? c->intake->devices[source] : NULL;
}

/* What a probe says of an image, for a disk that is none: no file is behind it. */
static int name_device(struct vmscm_probe **out, const struct vmscm_checkin_disk *source,
    uint64_t size, struct vmscm_error *err)
{
    struct vmscm_probe *probe = calloc(1, sizeof *probe);
    int rc;

    if (!probe)
        return vmscm_error_nomem(err);
    *out = probe;
    probe->size = size;
    if (!source->format || strcmp(source->format, VMSCM_MODEL_TAR) == 0)
        probe->format = VMSCM_PROBE_RAW;
    else if ((rc = vmscm_probe_format_parse(&probe->format, source->format, err)))
        return rc;
    return vmscm_str_dup(&probe->path, source->path, err);
}

static int probe_all(struct vmscm_record *c, struct vmscm_error *err)
{
    int rc;

    if (!(c->probes = calloc(c->count, sizeof *c->probes)) ||
        !(c->thin = calloc(c->count, sizeof *c->thin)) ||
        !(c->order = calloc(c->count, sizeof *c->order)))
        return vmscm_error_nomem(err);
    for (size_t i = 0; i < c->count; i++) {
        const struct vmscm_checkin_disk *source = &c->sources[i];
        unsigned allow = c->options->allow;
        if (!c->options->reread && !is_part(source) &&
            vmscm_known_is_unchanged(source->path))
            allow |= VMSCM_PROBE_SHALLOW;
        if (device_of(c, i)) {
            if ((rc = name_device(&c->probes[i], source, device_of(c, i)->size, err)))
                return rc;
            continue;
        }
        if (!is_part(source) && (rc = vmscm_thin_find(&c->thin[i], source->path, err)))
            return rc;
        rc = c->thin[i].backing
            ? vmscm_thin_probe(&c->probes[i], &c->thin[i], source->path, allow, err)
            : vmscm_probe_open_part(&c->probes[i], source->path, source->offset, source->length,
                  source->format, allow, err);
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
static void load_bases(struct vmscm_record *c)
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

/* The leaves of what may differ, where they are elsewhere. Without them all that is read is stored, though
 * it may be there. */
static int bring_bases(struct vmscm_record *c, struct vmscm_store *store, struct vmscm_error *err)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;
    struct vmscm_batch batch;
    int rc = 0;

    if (!vmscm_batch_init(&batch, store))
        return 0;
    for (size_t i = 0; i < c->count && !rc; i++) {
        const struct vmscm_scan_disk *disk = &c->disks[i];
        for (size_t r = 0; disk->base && r < disk->base->runs.len && !rc; r++) {
            const struct vmscm_map_run *run = &disk->base->runs.items[r];
            uint64_t start = run->first << VMSCM_LEAF_SEGMENT_LOG2;
            uint64_t end = (run->first + run->count) << VMSCM_LEAF_SEGMENT_LOG2;
            if (!run->zero &&
                (!disk->changes || vmscm_changes_next(disk->changes, start) < end))
                rc = vmscm_batch_add_leaf(&batch, &run->leaf, err);
        }
    }
    if (!rc && vmscm_batch_bring(&batch, &why))
        vmscm_handle_warn(c->events, "%s: stored anew, though it may have it: %s", c->repo->promisor,
            why.message);
    vmscm_batch_release(&batch);
    return rc;
}

/* *threads: how many should read them. */
static int open_disks(struct vmscm_record *c, unsigned jobs, unsigned *threads,
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
        if ((c->disks[i].dev = device_of(c, c->order[i]))) {
            c->machine->disks[i].size = c->disks[i].dev->size;
            continue;
        }
        if (!c->whole && !is_part(&c->sources[c->order[i]]) &&
            (rc = vmscm_known_find(known, c->repo, probe, c->disks[i].name, c->promises,
                c->events, err)))
            return rc;
        bool few = known->usable && is_little(&known->changes, probe->size);
        /* What is known says enough about how little is read. */
        const struct vmscm_events *events = few ? NULL : c->events;
        rc = probe->over ? vmscm_thin_open(&c->disks[i].dev, c->repo, &c->thin[c->order[i]], probe,
                               jobs, few, events, err)
                         : vmscm_reader_open(&c->disks[i].dev, probe, jobs, few, events, err);
        if (rc)
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
    for (size_t i = 0; i < c->count; i++)
        c->disks[i].promises = c->promises;
    return 0;
}

static void close_disks(struct vmscm_record *c)
{
    for (size_t i = 0; c->disks && i < c->count; i++) {
        if (!device_of(c, c->order[i]))
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
static int store_disks(struct vmscm_record *c, unsigned jobs, int level,
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
    if (!c->promises && (rc = vmscm_promises_open(&c->promises, c->repo, err)))
        return rc;
    if ((rc = open_disks(c, jobs, &threads, err)) || (rc = bring_bases(c, store, err)) ||
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

static int check_arguments(struct vmscm_record *c, int *level, struct vmscm_error *err)
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

int vmscm_intake_checkin(struct vmscm_repo *repo, const char *name,
    const struct vmscm_checkin_disk *disks, size_t disk_count, const struct vmscm_intake *intake,
    const struct vmscm_checkin_options *options, const struct vmscm_events *events,
    struct vmscm_checkin_result *result, struct vmscm_error *err)
{
    static const struct vmscm_checkin_options defaults;
    struct vmscm_checkin_result own = {0};
    struct vmscm_record c = {.repo = repo,
        .name = name,
        .sources = disks,
        .count = disk_count,
        .intake = intake,
        .options = options ? options : &defaults,
        .events = events,
        .whole = options && options->reread};
    struct vmscm_describe_config config = {
        &c.xml, c.options->config, intake ? intake->machine : NULL};
    struct timespec start;
    struct vmscm_store *store;
    unsigned jobs;
    bool changed;
    int level = 0, rc;

    clock_gettime(CLOCK_MONOTONIC, &start);
    if ((rc = check_arguments(&c, &level, err)) ||
        (rc = vmscm_handle_jobs(&jobs, repo, c.options->jobs, err)) ||
        (rc = vmscm_handle_head(&c.ref, name, err)) || (rc = vmscm_record_base(&c, err)) ||
        (rc = probe_all(&c, err)) ||
        (c.options->config &&
            (rc = vmscm_file_read(&c.xml, c.options->config, VMSCM_DESCRIBE_XML_MAX, err))) ||
        (rc = vmscm_describe_machine(&c.machine, c.order, repo, name, c.parent, disks, c.probes,
             disk_count, &config, events, err)) ||
        (rc = vmscm_lease_open(&c.lease, repo->path, err)))
        goto out;
    for (int attempt = 1;; attempt++) {
        if ((rc = store_disks(&c, jobs, level, &own, err)))
            goto out;
        rc = vmscm_record_on_tip(&c, &own, err);
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
    for (size_t i = 0; c.thin && i < c.count; i++)
        vmscm_thin_release(&c.thin[i]);
    vmscm_lease_close(c.lease);
    vmscm_promises_free(c.promises);
    free(c.probes);
    free(c.thin);
    free(c.order);
    vmscm_model_free(c.machine);
    vmscm_buf_release(&c.xml);
    free(c.ref);
    return rc;
}
