/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/storedev.h"
#include "base/buf.h"
#include "base/str.h"
#include "repo/handle.h"
#include "repo/leafread.h"
#include "repo/scatter.h"
#include "store/batch.h"
#include "store/fetch.h"
#include "store/idset.h"
#include "sys/direct.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Bytes that are brought at once beforehand: little at first, as somebody waits for it. */
#define BRING_FIRST ((uint64_t)2 << 20)
#define BRING_MOST ((uint64_t)16 << 20)
#define NEARBY (128u << 10) /* brought at least, where what is read must be brought */

/* What one reader at a time uses: the leaf and the chunk it read last, since reads come in order or
 * close to the one before. */
struct lane {
    struct lane *next;
    struct vmscm_fetch *fetch;
    struct vmscm_buf leaf_bytes;
    struct vmscm_leaf_entry *entries;
    size_t entry_count;
    uint64_t segment; /* whose entries those are; UINT64_MAX: none */
    struct vmscm_buf chunk;
    struct vmscm_id chunk_id;
    bool has_chunk;
    struct vmscm_batch batch;
    uint64_t brought; /* the segment whose chunks are here; UINT64_MAX: none */
};

struct storedev {
    struct vmscm_blockdev dev;
    struct vmscm_store *store;
    struct vmscm_recordcache *cache; /* NULL: none, a lane remembers for itself */
    struct vmscm_map map;
    char *name;
    pthread_mutex_t lock; /* guards lanes */
    struct lane *lanes;   /* idle ones, last used first */
};

static void free_lane(struct lane *lane)
{
    if (!lane)
        return;
    vmscm_fetch_free(lane->fetch);
    vmscm_batch_release(&lane->batch);
    vmscm_buf_release(&lane->leaf_bytes);
    vmscm_buf_release(&lane->chunk);
    free(lane->entries);
    free(lane);
}

/* An idle lane, best one that has the segment's leaf; or a new one. */
static int take_lane(struct lane **out, struct storedev *sd, uint64_t segment,
    struct vmscm_error *err)
{
    struct lane **best = NULL, *lane;
    int rc;

    pthread_mutex_lock(&sd->lock);
    for (struct lane **p = &sd->lanes; *p; p = &(*p)->next)
        if (!best || (*p)->segment == segment)
            best = p;
    lane = best ? *best : NULL;
    if (lane)
        *best = lane->next;
    pthread_mutex_unlock(&sd->lock);
    if (!lane) {
        if (!(lane = calloc(1, sizeof *lane)))
            return vmscm_error_nomem(err);
        lane->segment = lane->brought = UINT64_MAX;
        vmscm_batch_init(&lane->batch, sd->store);
        if ((rc = vmscm_fetch_new(&lane->fetch, sd->store, err))) {
            free_lane(lane);
            return rc;
        }
        vmscm_fetch_cache(lane->fetch, sd->cache);
    }
    *out = lane;
    return 0;
}

static void give_lane(struct storedev *sd, struct lane *lane)
{
    pthread_mutex_lock(&sd->lock);
    lane->next = sd->lanes;
    sd->lanes = lane;
    pthread_mutex_unlock(&sd->lock);
}

static int load_leaf(struct storedev *sd, struct lane *lane, uint64_t segment,
    const struct vmscm_id *id, struct vmscm_error *err)
{
    if (lane->segment == segment)
        return 0;
    lane->segment = UINT64_MAX;
    free(lane->entries);
    if (vmscm_leafread_entries(&lane->entries, &lane->entry_count, lane->fetch, &lane->leaf_bytes,
            id, vmscm_map_segment_length(sd->map.size, segment), err))
        return vmscm_error_prefix(err, "%s, segment %llu", sd->name, (unsigned long long)segment);
    lane->segment = segment;
    return 0;
}

/* The entry that holds byte `at` of the segment. */
static const struct vmscm_leaf_entry *find_entry(const struct lane *lane, uint32_t at)
{
    size_t low = 0, high = lane->entry_count;

    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (lane->entries[mid].offset <= at)
            low = mid;
        else
            high = mid;
    }
    return &lane->entries[low];
}

static int want_entries(struct lane *lane, const struct vmscm_leaf_entry **at, uint64_t until,
    const struct vmscm_id *leaf, struct vmscm_error *err)
{
    const struct vmscm_leaf_entry *end = lane->entries + lane->entry_count;
    int rc = 0;

    for (; *at < end && (*at)->offset < until && !rc; ++*at)
        if (!(*at)->zero)
            rc = vmscm_batch_add_chunk(&lane->batch, &(*at)->id, (*at)->length, leaf, err);
    return rc;
}

/* What is not here of a segment, from byte `at` on: reads mostly go on in order. With a cache they need
 * not, and there is one who sees whether they do (readahead.h): then not much more than is read, and nothing
 * where that is here. */
static int bring_segment(struct storedev *sd, struct lane *lane, uint64_t segment, uint32_t at,
    uint32_t len, const struct vmscm_id *leaf, struct vmscm_error *err)
{
    const struct vmscm_leaf_entry *e = find_entry(lane, at);
    uint64_t until = (uint64_t)at + len;
    int rc;

    lane->brought = UINT64_MAX;
    vmscm_batch_let_go(&lane->batch);
    if ((rc = want_entries(lane, &e, until, leaf, err)))
        return rc;
    if (!sd->cache)
        until = VMSCM_LEAF_SEGMENT;
    else if (vmscm_batch_lacks(&lane->batch))
        until = (uint64_t)at + (len > NEARBY ? len : NEARBY);
    if ((rc = want_entries(lane, &e, until, leaf, err)) || (rc = vmscm_batch_bring(&lane->batch, err)))
        return rc;
    if (!sd->cache)
        lane->brought = segment;
    return 0;
}

/* out NULL: only so that it is in the cache. */
static int read_cached(struct lane *lane, const struct vmscm_leaf_entry *e, uint32_t from,
    uint32_t len, void *out, struct vmscm_error *err)
{
    struct vmscm_plain *plain;
    const uint8_t *bytes;
    int rc = vmscm_fetch_plain(
        lane->fetch, VMSCM_PACK_CHUNK, &e->id, e->length, &bytes, &plain, err);

    if (rc)
        return rc;
    if (out)
        memcpy(out, bytes + from, len);
    vmscm_plain_unref(plain);
    return 0;
}

static int read_entry(struct storedev *sd, struct lane *lane, const struct vmscm_leaf_entry *e,
    uint32_t from, uint32_t len, void *out, struct vmscm_error *err)
{
    int rc;

    if (e->zero) {
        if (out)
            memset(out, 0, len);
        return 0;
    }
    if (sd->cache)
        return read_cached(lane, e, from, len, out, err);
    if (len == e->length)
        return vmscm_fetch_read(lane->fetch, VMSCM_PACK_CHUNK, &e->id, out, len, err);
    if (!lane->has_chunk || vmscm_hash_cmp(&lane->chunk_id, &e->id) != 0) {
        lane->has_chunk = false;
        lane->chunk.len = 0;
        if ((rc = vmscm_buf_reserve(&lane->chunk, e->length, err)) ||
            (rc = vmscm_fetch_read(
                 lane->fetch, VMSCM_PACK_CHUNK, &e->id, lane->chunk.data, e->length, err)))
            return rc;
        lane->chunk.len = e->length;
        lane->chunk_id = e->id;
        lane->has_chunk = true;
    }
    if (from + len > lane->chunk.len)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "a chunk is shorter than its leaf says");
    memcpy(out, lane->chunk.data + from, len);
    return 0;
}

/* out NULL: as read_cached. */
static int read_segment(struct storedev *sd, uint64_t segment, uint32_t at, uint32_t len,
    uint8_t *out, struct vmscm_error *err)
{
    const struct vmscm_map_run *run = vmscm_map_run(&sd->map, segment);
    struct lane *lane = NULL;
    int rc;

    if (run->zero) {
        if (out)
            memset(out, 0, len);
        return 0;
    }
    if ((rc = take_lane(&lane, sd, segment, err)))
        return rc;
    rc = load_leaf(sd, lane, segment, &run->leaf, err);
    if (!rc && lane->batch.store && lane->brought != segment)
        rc = bring_segment(sd, lane, segment, at, len, &run->leaf, err);
    while (len && !rc) {
        const struct vmscm_leaf_entry *e = find_entry(lane, at);
        uint32_t from = at - e->offset, n = e->length - from;
        if (n > len)
            n = len;
        if ((rc = read_entry(sd, lane, e, from, n, out, err)))
            vmscm_error_prefix(err, "%s, offset %llu", sd->name,
                (unsigned long long)((segment << VMSCM_LEAF_SEGMENT_LOG2) + e->offset));
        if (out)
            out += n;
        at += n;
        len -= n;
    }
    give_lane(sd, lane);
    return rc;
}

static int sd_pread(struct vmscm_blockdev *dev, void *data, size_t len, uint64_t offset,
    struct vmscm_error *err)
{
    struct storedev *sd = (struct storedev *)dev;
    uint8_t *out = data;

    while (len) {
        uint32_t at = (uint32_t)(offset & (VMSCM_LEAF_SEGMENT - 1));
        uint32_t n = VMSCM_LEAF_SEGMENT - at;
        if (n > len)
            n = (uint32_t)len;
        int rc = read_segment(sd, offset >> VMSCM_LEAF_SEGMENT_LOG2, at, n, out, err);
        if (rc)
            return rc;
        if (out)
            out += n;
        offset += n;
        len -= n;
    }
    return 0;
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* The leaves of all segments that the places are in. */
static int bring_leaves(struct storedev *sd, struct vmscm_batch *batch,
    const struct vmscm_disk_place *places, size_t count, struct vmscm_error *err)
{
    VMSCM_VEC(uint64_t) segments = {0};
    uint64_t *slot;
    int rc = 0;

    for (size_t i = 0; i < count && !rc; i++)
        for (uint64_t at = places[i].offset, end = at + places[i].len; at < end && at < sd->map.size &&
             !rc; at = ((at >> VMSCM_LEAF_SEGMENT_LOG2) + 1) << VMSCM_LEAF_SEGMENT_LOG2)
            if (!(rc = vmscm_vec_add(&segments, &slot, err)))
                *slot = at >> VMSCM_LEAF_SEGMENT_LOG2;
    if (segments.len)
        qsort(segments.items, segments.len, sizeof *segments.items, compare);
    for (size_t i = 0; i < segments.len && !rc; i++) {
        const struct vmscm_map_run *run = vmscm_map_run(&sd->map, segments.items[i]);
        if (!run->zero && (i == 0 || segments.items[i] != segments.items[i - 1]))
            rc = vmscm_batch_add_leaf(batch, &run->leaf, err);
    }
    vmscm_vec_release(&segments);
    return rc ? rc : vmscm_batch_bring(batch, err);
}

/* Chunks of one segment, from byte `at` on, that were not asked for yet. */
static int want_chunks(struct storedev *sd, struct vmscm_batch *batch, struct vmscm_idset *asked,
    uint64_t segment, uint32_t at, uint64_t until, struct vmscm_error *err)
{
    const struct vmscm_map_run *run = vmscm_map_run(&sd->map, segment);
    struct lane *lane = NULL;
    int rc;

    if (run->zero)
        return 0;
    if ((rc = take_lane(&lane, sd, segment, err)))
        return rc;
    if (!(rc = load_leaf(sd, lane, segment, &run->leaf, err))) {
        const struct vmscm_leaf_entry *e = find_entry(lane, at);
        for (; e < lane->entries + lane->entry_count && e->offset < until && !rc; e++) {
            uint64_t *value;
            bool added;
            if (!e->zero && !(rc = vmscm_idset_get(asked, &value, &added, &e->id, err)) && added)
                rc = vmscm_batch_add_chunk(batch, &e->id, e->length, &run->leaf, err);
        }
    }
    give_lane(sd, lane);
    return rc;
}

int vmscm_storedev_bring(struct vmscm_blockdev *dev, const struct vmscm_disk_place *places,
    size_t count, const struct vmscm_events *events, struct vmscm_error *err)
{
    struct storedev *sd = (struct storedev *)dev;
    struct vmscm_idset asked = {0};
    struct vmscm_batch batch;
    uint64_t enough = BRING_FIRST;
    int rc;

    if (!vmscm_batch_init(&batch, sd->store))
        return 0;
    rc = bring_leaves(sd, &batch, places, count, err);
    for (size_t i = 0; i < count && !rc; i++) {
        uint64_t at = places[i].offset, end = at + places[i].len;
        while (at < end && at < sd->map.size && !rc) {
            uint64_t segment = at >> VMSCM_LEAF_SEGMENT_LOG2, begin = segment << VMSCM_LEAF_SEGMENT_LOG2;
            rc = want_chunks(
                sd, &batch, &asked, segment, (uint32_t)(at - begin), end - begin, err);
            at = begin + VMSCM_LEAF_SEGMENT;
        }
        if (!rc && batch.bytes >= enough) {
            vmscm_batch_let_go(&batch);
            rc = vmscm_batch_bring(&batch, err);
            enough = enough * 2 < BRING_MOST ? enough * 2 : BRING_MOST;
        }
        if (!rc)
            rc = vmscm_handle_canceled(events, err);
    }
    if (!rc)
        rc = vmscm_batch_bring(&batch, err);
    vmscm_idset_release(&asked);
    vmscm_batch_release(&batch);
    return rc;
}

void vmscm_storedev_warm(struct vmscm_blockdev *dev, uint64_t offset, uint64_t len)
{
    if (((struct storedev *)dev)->cache)
        sd_pread(dev, NULL, (size_t)len, offset, NULL);
}

static int sd_extent(struct vmscm_blockdev *dev, uint64_t offset, uint64_t *len, bool *zero,
    struct vmscm_error *err)
{
    struct storedev *sd = (struct storedev *)dev;
    uint64_t segment = offset >> VMSCM_LEAF_SEGMENT_LOG2;
    const struct vmscm_map_run *run = vmscm_map_run(&sd->map, segment);
    struct lane *lane = NULL;
    int rc;

    if (run->zero) {
        *zero = true;
        *len = ((run->first + run->count) << VMSCM_LEAF_SEGMENT_LOG2) - offset;
        return 0;
    }
    if ((rc = take_lane(&lane, sd, segment, err)))
        return rc;
    if (!(rc = load_leaf(sd, lane, segment, &run->leaf, err))) {
        uint32_t at = (uint32_t)(offset & (VMSCM_LEAF_SEGMENT - 1));
        const struct vmscm_leaf_entry *e = find_entry(lane, at);
        const struct vmscm_leaf_entry *end = lane->entries + lane->entry_count, *next = e;
        while (next < end && next->zero == e->zero)
            next++;
        *zero = e->zero;
        *len = (next < end ? next->offset
                           : vmscm_map_segment_length(sd->map.size, segment)) - at;
    }
    give_lane(sd, lane);
    return rc;
}

static int sd_scatter(struct vmscm_blockdev *dev, uint64_t offset, uint64_t end, unsigned jobs,
    int (*each)(void *data, const void *bytes, size_t len, uint64_t offset,
        struct vmscm_error *err),
    void *data, struct vmscm_error *err)
{
    struct storedev *sd = (struct storedev *)dev;
    struct vmscm_scatter scatter = {.store = sd->store,
        .map = &sd->map,
        .name = sd->name,
        .once = vmscm_direct_pays(sd->dev.data),
        .jobs = jobs,
        .each = each,
        .data = data};
    uint64_t first = offset >> VMSCM_LEAF_SEGMENT_LOG2;

    return vmscm_scatter_run(&scatter, first, vmscm_map_segments(end) - first, err);
}

static void sd_close(struct vmscm_blockdev *dev)
{
    struct storedev *sd = (struct storedev *)dev;

    while (sd->lanes) {
        struct lane *lane = sd->lanes;
        sd->lanes = lane->next;
        free_lane(lane);
    }
    vmscm_map_release(&sd->map);
    pthread_mutex_destroy(&sd->lock);
    free(sd->name);
    free(sd);
}

static const struct vmscm_blockdev_ops ops = {
    .pread = sd_pread, .extent = sd_extent, .scatter = sd_scatter, .close = sd_close};

/* Of the segments that are not all zeros; they may be so in part. */
static uint64_t data_bytes(const struct vmscm_map *map)
{
    uint64_t segments = 0;

    for (size_t i = 0; i < map->runs.len; i++)
        segments += map->runs.items[i].zero ? 0 : map->runs.items[i].count;
    return segments << VMSCM_LEAF_SEGMENT_LOG2;
}

int vmscm_storedev_open(struct vmscm_blockdev **out, struct vmscm_store *store,
    struct vmscm_map *map, const char *name, struct vmscm_recordcache *cache,
    struct vmscm_error *err)
{
    struct storedev *sd = calloc(1, sizeof *sd);

    if (!sd)
        return vmscm_error_nomem(err);
    pthread_mutex_init(&sd->lock, NULL);
    sd->dev.ops = &ops;
    if (vmscm_str_dup(&sd->name, name, err)) {
        sd_close(&sd->dev);
        return VMSCM_ENOMEM;
    }
    sd->dev.name = sd->name;
    sd->dev.size = map->size;
    sd->store = store;
    sd->cache = cache;
    sd->dev.data = data_bytes(map);
    sd->map = *map;
    *map = (struct vmscm_map){0};
    *out = &sd->dev;
    return 0;
}
