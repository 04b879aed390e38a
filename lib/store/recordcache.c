/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/recordcache.h"
#include "base/endian.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_LOG2 10

struct item {
    struct vmscm_recordcache_entry entry; /* first */
    struct item *next;                    /* in its bucket */
    struct item *newer, *older;           /* by last use, while `full` and `listed` */
    uint8_t pack[VMSCM_MIDX_NAME_SIZE];
    uint32_t offset;
    unsigned users; /* who hold it, or wait for it */
    bool filling;   /* somebody was asked to fill it */
    bool full;
    bool listed; /* can be found; else it is freed once nobody holds it */
    struct vmscm_id *ids; /* of its parts, as they were verified; zeros: not yet */
};

struct vmscm_recordcache {
    pthread_mutex_t lock; /* guards all below, and of items all but record and plain */
    pthread_cond_t turned; /* an item was filled, or failed to be */
    struct item *buckets[1u << BUCKETS_LOG2];
    struct item *newest, *oldest;
    uint64_t max;
    struct vmscm_recordcache_counts counts;
};

static struct item **bucket(struct vmscm_recordcache *cache, const uint8_t *pack, uint32_t offset)
{
    /* Names are hashes; offsets are not. */
    uint32_t mixed = (vmscm_get_le32(pack) ^ offset) * 2654435761u;

    return &cache->buckets[mixed >> (32 - BUCKETS_LOG2)];
}

static uint64_t cost(const struct item *item)
{
    return sizeof *item + item->entry.record.plain_len +
           (uint64_t)item->entry.record.part_count * sizeof *item->ids;
}

static void free_item(struct item *item)
{
    vmscm_plain_unref(item->entry.plain);
    free(item->ids);
    free(item);
}

int vmscm_recordcache_new(struct vmscm_recordcache **out, uint64_t bytes, struct vmscm_error *err)
{
    struct vmscm_recordcache *cache = calloc(1, sizeof *cache);

    if (!cache)
        return vmscm_error_nomem(err);
    pthread_mutex_init(&cache->lock, NULL);
    pthread_cond_init(&cache->turned, NULL);
    cache->max = bytes;
    *out = cache;
    return 0;
}

void vmscm_recordcache_free(struct vmscm_recordcache *cache)
{
    if (!cache)
        return;
    for (size_t i = 0; i < sizeof cache->buckets / sizeof *cache->buckets; i++)
        for (struct item *item = cache->buckets[i], *next; item; item = next) {
            next = item->next;
            free_item(item);
        }
    pthread_cond_destroy(&cache->turned);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

/* These are called with the lock held. */

static void unlink_age(struct vmscm_recordcache *cache, struct item *item)
{
    *(item->newer ? &item->newer->older : &cache->newest) = item->older;
    *(item->older ? &item->older->newer : &cache->oldest) = item->newer;
    item->newer = item->older = NULL;
}

static void link_newest(struct vmscm_recordcache *cache, struct item *item)
{
    item->older = cache->newest;
    item->newer = NULL;
    *(item->older ? &item->older->newer : &cache->oldest) = item;
    cache->newest = item;
}

/* From its bucket, so that it is not found any more. */
static void delist(struct vmscm_recordcache *cache, struct item *item)
{
    struct item **p = bucket(cache, item->pack, item->offset);

    while (*p != item)
        p = &(*p)->next;
    *p = item->next;
    item->listed = false;
    if (item->full) {
        unlink_age(cache, item);
        cache->counts.bytes -= cost(item);
    }
}

static void shrink(struct vmscm_recordcache *cache)
{
    struct item *item = cache->oldest;

    while (item && cache->counts.bytes > cache->max) {
        struct item *newer = item->newer;
        if (!item->users) {
            delist(cache, item);
            free_item(item);
        }
        item = newer;
    }
}

static void drop(struct vmscm_recordcache *cache, struct item *item)
{
    item->users--;
    if (!item->listed && !item->users)
        free_item(item);
    else
        shrink(cache);
}

static struct item *find(struct vmscm_recordcache *cache, const uint8_t *pack, uint32_t offset)
{
    struct item *item = *bucket(cache, pack, offset);

    while (item && (item->offset != offset || memcmp(item->pack, pack, sizeof item->pack) != 0))
        item = item->next;
    return item;
}

int vmscm_recordcache_get(struct vmscm_recordcache_entry **out, bool *fill,
    struct vmscm_recordcache *cache, const uint8_t pack[VMSCM_MIDX_NAME_SIZE], uint32_t offset,
    struct vmscm_error *err)
{
    struct item *item, **p;

    pthread_mutex_lock(&cache->lock);
    if (!(item = find(cache, pack, offset))) {
        if (!(item = calloc(1, sizeof *item))) {
            pthread_mutex_unlock(&cache->lock);
            return vmscm_error_nomem(err);
        }
        memcpy(item->pack, pack, sizeof item->pack);
        item->offset = offset;
        item->listed = true;
        p = bucket(cache, pack, offset);
        item->next = *p;
        *p = item;
    }
    item->users++;
    while (!item->full && item->filling)
        pthread_cond_wait(&cache->turned, &cache->lock);
    *fill = !item->full;
    if (item->full) {
        cache->counts.hits++;
        unlink_age(cache, item);
        link_newest(cache, item);
    } else {
        cache->counts.misses++;
        item->filling = true;
    }
    pthread_mutex_unlock(&cache->lock);
    *out = &item->entry;
    return 0;
}

void vmscm_recordcache_put(struct vmscm_recordcache *cache, struct vmscm_recordcache_entry *entry)
{
    pthread_mutex_lock(&cache->lock);
    drop(cache, (struct item *)entry);
    pthread_mutex_unlock(&cache->lock);
}

void vmscm_recordcache_fill(struct vmscm_recordcache *cache, struct vmscm_recordcache_entry *entry,
    const struct vmscm_pack_record *record, struct vmscm_plain *plain)
{
    struct item *item = (struct item *)entry;

    entry->record = *record;
    entry->plain = plain;
    /* Without memory for it, parts are verified whenever they are read. */
    item->ids = calloc(record->part_count, sizeof *item->ids);
    pthread_mutex_lock(&cache->lock);
    item->full = true;
    item->filling = false;
    link_newest(cache, item);
    cache->counts.bytes += cost(item);
    shrink(cache);
    pthread_cond_broadcast(&cache->turned);
    pthread_mutex_unlock(&cache->lock);
}

void vmscm_recordcache_fail(struct vmscm_recordcache *cache, struct vmscm_recordcache_entry *entry)
{
    struct item *item = (struct item *)entry;

    pthread_mutex_lock(&cache->lock);
    item->filling = false;
    if (item->users == 1)
        delist(cache, item);
    drop(cache, item);
    pthread_cond_broadcast(&cache->turned);
    pthread_mutex_unlock(&cache->lock);
}

bool vmscm_recordcache_is_verified(struct vmscm_recordcache *cache,
    const struct vmscm_recordcache_entry *entry, unsigned part, const struct vmscm_id *id)
{
    const struct item *item = (const struct item *)entry;
    bool is = false;

    if (!item->ids)
        return false;
    pthread_mutex_lock(&cache->lock);
    is = vmscm_hash_cmp(&item->ids[part], id) == 0;
    pthread_mutex_unlock(&cache->lock);
    return is;
}

void vmscm_recordcache_set_verified(struct vmscm_recordcache *cache,
    struct vmscm_recordcache_entry *entry, unsigned part, const struct vmscm_id *id)
{
    struct item *item = (struct item *)entry;

    if (!item->ids)
        return;
    pthread_mutex_lock(&cache->lock);
    item->ids[part] = *id;
    pthread_mutex_unlock(&cache->lock);
}

void vmscm_recordcache_count(struct vmscm_recordcache_counts *counts,
    struct vmscm_recordcache *cache)
{
    pthread_mutex_lock(&cache->lock);
    *counts = cache->counts;
    pthread_mutex_unlock(&cache->lock);
}
