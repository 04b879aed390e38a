/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From a repository: by id. From an image: first where the disk had it, which also finds it where what
 * is around it has changed; then the image is cut as at check-in, which finds it wherever it is.
 */
#include "repo/source.h"
#include "base/str.h"
#include "image/reader.h"
#include "repo/scan.h"
#include "store/fetch.h"
#include "store/ingest.h"
#include "sys/parallel.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BATCH 64u          /* items that a thread takes at once: a unit */
#define PIECE (64u << 10) /* of an image, read alone where more cannot be read */

struct vmscm_source {
    char *path;
    struct vmscm_repo *repo;
    struct vmscm_probe *probe;
    struct vmscm_blockdev *image; /* may fail to read */
    struct vmscm_blockdev dev;    /* the same; does not fail: what cannot be read is zeros */
};

static struct vmscm_source *source_of(struct vmscm_blockdev *dev)
{
    return (struct vmscm_source *)((char *)dev - offsetof(struct vmscm_source, dev));
}

static int read_leniently(struct vmscm_blockdev *dev, void *data, size_t len, uint64_t offset,
    struct vmscm_error *err)
{
    struct vmscm_blockdev *image = source_of(dev)->image;
    struct vmscm_error why = VMSCM_ERROR_INIT;

    if (!vmscm_blockdev_pread(image, data, len, offset, &why))
        return 0;
    for (size_t at = 0; at < len; at += PIECE) {
        size_t piece = len - at < PIECE ? len - at : PIECE;
        if (vmscm_blockdev_pread(image, (char *)data + at, piece, offset + at, &why) ==
            VMSCM_ENOMEM)
            return vmscm_error_copy(err, &why);
        if (why.code)
            memset((char *)data + at, 0, piece);
        vmscm_error_clear(&why);
    }
    return 0;
}

static int extent_leniently(struct vmscm_blockdev *dev, uint64_t offset, uint64_t *len, bool *zero,
    struct vmscm_error *err)
{
    (void)err;
    if (vmscm_blockdev_extent(source_of(dev)->image, offset, len, zero, NULL)) {
        *len = dev->size - offset;
        *zero = false;
    }
    return 0;
}

static const struct vmscm_blockdev_ops lenient = {
    .pread = read_leniently, .extent = extent_leniently};

static int open_image(struct vmscm_source *s, const struct vmscm_repairing *r,
    struct vmscm_error *err)
{
    int rc;

    if ((rc = vmscm_probe_open(&s->probe, s->path, NULL, 0, err)) ||
        (rc = vmscm_reader_open(&s->image, s->probe, r->jobs, false, r->events, err)))
        return rc;
    s->dev = (struct vmscm_blockdev){.ops = &lenient,
        .size = s->image->size,
        .name = s->image->name,
        .threads = s->image->threads};
    return 0;
}

int vmscm_source_open(struct vmscm_source **out, const char *path,
    const struct vmscm_repairing *r, struct vmscm_error *err)
{
    struct vmscm_source *s = calloc(1, sizeof *s);
    struct stat st;
    int rc;

    if (!s)
        return vmscm_error_nomem(err);
    if ((rc = vmscm_str_dup(&s->path, path, err)))
        goto out;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        rc = vmscm_repo_open(&s->repo, path, err);
        if (!rc && strcmp(s->repo->path, r->repo->path) == 0)
            rc = vmscm_error_set(
                err, VMSCM_EUSAGE, "%s: is the repository that is to be repaired", path);
    } else {
        rc = open_image(s, r, err);
    }
out:
    /* "Not found" would be an answer about the repository. */
    if (rc == VMSCM_ENOTFOUND) {
        rc = VMSCM_EINPUT;
        if (err)
            err->code = VMSCM_EINPUT;
    }
    if (rc)
        vmscm_source_close(s);
    else
        *out = s;
    return rc;
}

void vmscm_source_close(struct vmscm_source *s)
{
    if (!s)
        return;
    vmscm_repo_close(s->repo);
    vmscm_blockdev_close(s->image);
    vmscm_probe_close(s->probe);
    free(s->path);
    free(s);
}

const char *vmscm_source_path(const struct vmscm_source *s)
{
    return s->path;
}

struct vmscm_repo *vmscm_source_repo(const struct vmscm_source *s)
{
    return s->repo;
}

/* Taking items one by one. */
struct taking {
    struct vmscm_source *source;
    const struct vmscm_repairing *r;
    const struct vmscm_lost *lost;
    struct vmscm_ingest *ingest;
    pthread_mutex_t lock; /* guards next, and the caller's callbacks */
    size_t next;
};

struct taker {
    struct taking *t;
    struct vmscm_ingest_lane *lane;
    struct vmscm_fetch *fetch; /* of a repository */
    struct vmscm_hash *hash;
    struct vmscm_buf bytes;
};

/* The bytes of an item; *found: they have its id. */
static int get(struct taker *w, const struct vmscm_lost_item *item, bool *found,
    struct vmscm_error *err)
{
    struct vmscm_source *s = w->t->source;
    struct vmscm_error why = VMSCM_ERROR_INIT;
    struct vmscm_id id;
    int rc = 0;

    *found = false;
    if (s->repo) {
        rc = vmscm_fetch_read_buf(
            w->fetch, item->type, &item->id, &w->bytes, VMSCM_PACK_PART_MAX, &why);
        *found = !rc;
        return rc == VMSCM_ENOMEM ? vmscm_error_copy(err, &why) : 0;
    }
    for (unsigned i = 0; i < item->place_count && !rc && !*found; i++) {
        uint64_t at = item->places[i];
        if (item->type != VMSCM_PACK_CHUNK || item->length > VMSCM_PACK_PART_MAX ||
            at > s->dev.size || item->length > s->dev.size - at)
            continue;
        w->bytes.len = 0;
        if ((rc = vmscm_buf_reserve(&w->bytes, item->length, err)) ||
            (rc = vmscm_blockdev_pread(&s->dev, w->bytes.data, item->length, at, err)) ||
            (rc = vmscm_hash_compute(w->hash, &id, w->bytes.data, item->length, err)))
            return rc;
        w->bytes.len = item->length;
        *found = vmscm_hash_cmp(&id, &item->id) == 0;
    }
    return rc;
}

static int take_batch(struct taker *w, size_t first, struct vmscm_error *err)
{
    const struct vmscm_lost *lost = w->t->lost;
    size_t end = lost->items.len - first < BATCH ? lost->items.len : first + BATCH;
    bool found;
    int rc = 0;

    for (size_t i = first; i < end && !rc; i++) {
        const struct vmscm_lost_item *item = &lost->items.items[i];
        if (!item->there && !(rc = get(w, item, &found, err)) && found)
            rc = vmscm_ingest_lane_add(w->lane, first / BATCH, item->type, &item->id, w->bytes.data,
                w->bytes.len, err);
    }
    return rc ? rc : vmscm_ingest_lane_end_unit(w->lane, first / BATCH, err);
}

static int take(struct vmscm_parallel *p, unsigned index, struct vmscm_error *err)
{
    struct taking *t = p->data;
    struct taker w = {.t = t};
    int rc;

    (void)index;
    if (!(rc = vmscm_ingest_lane_new(&w.lane, t->ingest, err)) &&
        !(rc = vmscm_hash_new(&w.hash, err)) && t->source->repo)
        rc = vmscm_fetch_new(&w.fetch, t->source->repo->store, err);
    while (!rc && !atomic_load(&p->stop)) {
        pthread_mutex_lock(&t->lock);
        size_t first = t->next;
        rc = vmscm_handle_canceled(t->r->events, err);
        t->next += first < t->lost->items.len ? BATCH : 0;
        pthread_mutex_unlock(&t->lock);
        if (rc || first >= t->lost->items.len)
            break;
        rc = take_batch(&w, first, err);
    }
    if (rc)
        vmscm_ingest_stop(t->ingest);
    vmscm_ingest_lane_free(w.lane);
    vmscm_fetch_free(w.fetch);
    vmscm_hash_free(w.hash);
    vmscm_buf_release(&w.bytes);
    return rc;
}

static int take_all(struct vmscm_source *s, const struct vmscm_repairing *r,
    const struct vmscm_lost *lost, struct vmscm_ingest *ingest, struct vmscm_error *err)
{
    struct taking t = {.source = s, .r = r, .lost = lost, .ingest = ingest};
    struct vmscm_store *store;
    unsigned jobs = s->image && s->dev.threads > r->jobs ? s->dev.threads : r->jobs;
    int rc = s->repo ? vmscm_handle_store(&store, s->repo, err) : 0;

    if (rc)
        return rc;
    pthread_mutex_init(&t.lock, NULL);
    rc = vmscm_parallel_run(jobs, take, &t, err);
    pthread_mutex_destroy(&t.lock);
    return rc;
}

/* A scan's progress, told as what it is here. */
struct telling {
    const struct vmscm_events *events;
    const char *item;
};

static void on_progress(void *data, const struct vmscm_progress *progress)
{
    const struct telling *t = data;
    struct vmscm_progress p = *progress;

    p.phase = "searching";
    p.item = t->item;
    t->events->progress(t->events->data, &p);
}

static int is_canceled(void *data)
{
    const struct telling *t = data;

    return t->events->canceled(t->events->data);
}

/* Cut the whole image. */
static int search(struct vmscm_source *s, const struct vmscm_repairing *r,
    struct vmscm_lost *lost, struct vmscm_ingest *ingest, struct vmscm_error *err)
{
    struct telling telling = {r->events, s->path};
    struct vmscm_events events = {.data = &telling,
        .progress = r->events && r->events->progress ? on_progress : NULL,
        .canceled = r->events && r->events->canceled ? is_canceled : NULL};
    struct vmscm_scan_disk disk = {.dev = &s->dev, .name = s->path};
    struct vmscm_scan_counts counts;
    unsigned jobs = s->dev.threads > r->jobs ? s->dev.threads : r->jobs;
    int rc;

    vmscm_ingest_only(ingest, vmscm_lost_has, lost);
    rc = vmscm_scan_run(&disk, 1, ingest, NULL, jobs, &events, &counts, err);
    vmscm_map_release(&disk.map);
    return rc;
}

/* One way of taking things, from an open ingest to records that are there. */
static int run(struct vmscm_source *s, struct vmscm_repairing *r, struct vmscm_lost *lost,
    bool whole, uint64_t *found, struct vmscm_error *err)
{
    struct vmscm_ingest *ingest = NULL;
    struct vmscm_ingest_counts counts;
    /* No lease: locks/gc is held. */
    int rc = vmscm_ingest_open(&ingest, r->store, r->repo->path, r->level, NULL, err);

    if (rc)
        return rc;
    rc = whole ? search(s, r, lost, ingest, err) : take_all(s, r, lost, ingest, err);
    if (rc) {
        vmscm_ingest_abort(ingest);
        return rc;
    }
    if ((rc = vmscm_ingest_finish(ingest, &counts, err)))
        return rc;
    return vmscm_lost_update(lost, r->store, &r->bad, found, err);
}

int vmscm_source_restore(struct vmscm_source *s, struct vmscm_repairing *r,
    struct vmscm_lost *lost, struct vmscm_error *err)
{
    uint64_t found = 0;
    bool more = false;
    int rc = run(s, r, lost, false, &found, err);

    for (size_t i = 0; i < lost->items.len && !more; i++)
        more = !lost->items.items[i].there && !lost->items.items[i].sought;
    if (!rc && more && s->image)
        rc = run(s, r, lost, true, &found, err);
    r->result->restored += found;
    if (!rc && found)
        vmscm_repairing_tell(r, s->path, "%llu chunk%s and leaves restored from it",
            (unsigned long long)found, found == 1 ? "" : "s");
    return rc;
}
