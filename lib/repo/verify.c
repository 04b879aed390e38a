/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Threads take segments in order; each chunk's bytes are hashed, and what is zero must be zero. */
#include "repo/verify.h"
#include "codec/hash.h"
#include "image/reader.h"
#include "repo/handle.h"
#include "repo/leafread.h"
#include "sys/parallel.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_MAX ((size_t)VMSCM_LEAF_CHUNK_BLOCKS_MAX * VMSCM_LEAF_BLOCK)
#define ZEROS ((size_t)64 << 10) /* read at once where zeros should be */

struct verify {
    const struct vmscm_verify *what;
    struct vmscm_blockdev *dev;
    pthread_mutex_t lock; /* guards all below, and callbacks */
    uint64_t next;        /* segment */
    uint64_t done;        /* bytes */
};

struct worker {
    struct verify *v;
    struct vmscm_fetch *fetch;
    struct vmscm_hash *hash;
    struct vmscm_buf leaf;
    uint8_t *bytes;
};

static int differs(const struct verify *v, uint64_t offset, struct vmscm_error *err)
{
    vmscm_error_set(err, VMSCM_EIO, "%s: offset %llu: something else reads back than was written",
        v->what->path, (unsigned long long)offset);
    return vmscm_error_hint(err, "this machine's memory or disk may be failing; the same command "
                                 "writes what differs again");
}

static int check_zeros(struct worker *w, uint64_t offset, uint64_t end, struct vmscm_error *err)
{
    int rc = 0;

    while (offset < end && !rc) {
        uint64_t len;
        bool zero;
        if ((rc = vmscm_blockdev_extent(w->v->dev, offset, &len, &zero, err)))
            return rc;
        if (len > end - offset)
            len = end - offset;
        if (!zero) {
            if (len > ZEROS)
                len = ZEROS;
            rc = vmscm_blockdev_pread(w->v->dev, w->bytes, (size_t)len, offset, err);
            if (!rc && (w->bytes[0] || memcmp(w->bytes, w->bytes + 1, (size_t)len - 1) != 0))
                rc = differs(w->v, offset, err);
        }
        offset += len;
    }
    return rc;
}

static int check_chunk(struct worker *w, uint64_t offset, const struct vmscm_leaf_entry *e,
    struct vmscm_error *err)
{
    struct vmscm_id id;
    int rc;

    if ((rc = vmscm_blockdev_pread(w->v->dev, w->bytes, e->length, offset, err)) ||
        (rc = vmscm_hash_compute(w->hash, &id, w->bytes, e->length, err)))
        return rc;
    return vmscm_hash_cmp(&id, &e->id) == 0 ? 0 : differs(w->v, offset, err);
}

static int check_segment(struct worker *w, uint64_t n, struct vmscm_error *err)
{
    const struct vmscm_map *map = w->v->what->map;
    const struct vmscm_map_run *run = vmscm_map_run(map, n);
    uint64_t start = n << VMSCM_LEAF_SEGMENT_LOG2;
    struct vmscm_leaf_entry *entries = NULL;
    uint32_t length = vmscm_map_segment_length(map->size, n);
    size_t count;
    int rc;

    if (run->zero)
        return check_zeros(w, start, start + length, err);
    if ((rc = vmscm_leafread_entries(
             &entries, &count, w->fetch, &w->leaf, &run->leaf, length, err)))
        return vmscm_error_prefix(err, "segment %llu", (unsigned long long)n);
    for (size_t i = 0; i < count && !rc; i++) {
        uint64_t at = start + entries[i].offset;
        rc = entries[i].zero ? check_zeros(w, at, at + entries[i].length, err)
                             : check_chunk(w, at, &entries[i], err);
    }
    free(entries);
    return rc;
}

/* Called with the lock held. */
static int show(struct verify *v, struct vmscm_error *err)
{
    const struct vmscm_events *events = v->what->events;
    struct vmscm_progress p = {.phase = "verifying",
        .item = v->what->item,
        .done = v->done,
        .total = v->what->map->size};

    if (events && events->progress)
        events->progress(events->data, &p);
    return vmscm_handle_canceled(events, err);
}

static int work(struct vmscm_parallel *p, unsigned index, struct vmscm_error *err)
{
    struct verify *v = p->data;
    const struct vmscm_map *map = v->what->map;
    struct worker w = {.v = v};
    int rc;

    (void)index;
    if ((rc = vmscm_fetch_new(&w.fetch, v->what->store, err)) ||
        (rc = vmscm_hash_new(&w.hash, err)))
        goto out;
    if (!(w.bytes = malloc(CHUNK_MAX))) {
        rc = vmscm_error_nomem(err);
        goto out;
    }
    while (!rc && !atomic_load(&p->stop)) {
        pthread_mutex_lock(&v->lock);
        uint64_t n = v->next++;
        pthread_mutex_unlock(&v->lock);
        if (n >= vmscm_map_segments(map->size))
            break;
        if ((rc = check_segment(&w, n, err)))
            break;
        pthread_mutex_lock(&v->lock);
        v->done += vmscm_map_segment_length(map->size, n);
        rc = show(v, err);
        pthread_mutex_unlock(&v->lock);
    }
out:
    vmscm_fetch_free(w.fetch);
    vmscm_hash_free(w.hash);
    vmscm_buf_release(&w.leaf);
    free(w.bytes);
    return rc;
}

int vmscm_verify_disk(const struct vmscm_verify *what, struct vmscm_error *err)
{
    struct verify v = {.what = what};
    struct vmscm_probe *probe = NULL;
    int rc;

    if (what->map->size == 0)
        return 0;
    pthread_mutex_init(&v.lock, NULL);
    if ((rc = vmscm_probe_open(
             &probe, what->path, vmscm_probe_format_name(what->format), 0, err)) ||
        (rc = vmscm_reader_open(&v.dev, probe, what->jobs, false, NULL, err)))
        goto out;
    if (v.dev->size < what->map->size) {
        rc = vmscm_error_set(err, VMSCM_EIO, "%s: a smaller disk reads back", what->path);
        goto out;
    }
    if (!(rc = vmscm_parallel_run(what->jobs, work, &v, err)) && v.dev->size > what->map->size) {
        struct worker w = {.v = &v, .bytes = malloc(ZEROS)};
        rc = w.bytes ? check_zeros(&w, what->map->size, v.dev->size, err)
                     : vmscm_error_nomem(err);
        free(w.bytes);
    }
out:
    vmscm_blockdev_close(v.dev);
    vmscm_probe_close(probe);
    pthread_mutex_destroy(&v.lock);
    return rc;
}
