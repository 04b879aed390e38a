/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Records that were decompressed, shared by all threads that read a store, up to a number of bytes;
 * what was not used for longest goes first. A record that several threads want at once is
 * decompressed by one of them, the others wait for it.
 *
 * A record is known by its pack's name and its offset there: neither ever means another record, so
 * that nothing here grows old.
 *
 * Threading: any thread may call anything but free.
 */
#ifndef STORE_RECORDCACHE_H
#define STORE_RECORDCACHE_H

#include "format/midx.h"
#include "format/pack.h"
#include "store/plain.h"

struct vmscm_recordcache;

/* A record; its members may be read by who holds it and was not asked to fill it. */
struct vmscm_recordcache_entry {
    struct vmscm_pack_record record;
    struct vmscm_plain *plain;
};

struct vmscm_recordcache_counts {
    uint64_t bytes;  /* held now */
    uint64_t hits;   /* times that a record was there, or on its way */
    uint64_t misses; /* times that one was read */
};

/* bytes: how many to keep; what is held by callers comes on top. */
int vmscm_recordcache_new(struct vmscm_recordcache **out, uint64_t bytes, struct vmscm_error *err);
void vmscm_recordcache_free(struct vmscm_recordcache *cache); /* NULL is fine; nothing is held */

/* Hold a record. *fill: it is not there, and the caller must make it so by vmscm_recordcache_fill, or
 * say by vmscm_recordcache_fail that he can't; others wait meanwhile. Who fills a record that is
 * stored against bases may get those, and nobody who fills those waits for anything. */
int vmscm_recordcache_get(struct vmscm_recordcache_entry **out, bool *fill,
    struct vmscm_recordcache *cache, const uint8_t pack[VMSCM_MIDX_NAME_SIZE], uint32_t offset,
    struct vmscm_error *err);
void vmscm_recordcache_put(struct vmscm_recordcache *cache, struct vmscm_recordcache_entry *entry);

/* plain: the caller's reference is taken over. It goes on holding the entry. */
void vmscm_recordcache_fill(struct vmscm_recordcache *cache, struct vmscm_recordcache_entry *entry,
    const struct vmscm_pack_record *record, struct vmscm_plain *plain);
/* The entry is no longer held. One of those who wait for it is asked to fill it. */
void vmscm_recordcache_fail(struct vmscm_recordcache *cache, struct vmscm_recordcache_entry *entry);

/* Whether a part of a held record is known to have an id, and that it was seen to have it. */
bool vmscm_recordcache_is_verified(struct vmscm_recordcache *cache,
    const struct vmscm_recordcache_entry *entry, unsigned part, const struct vmscm_id *id);
void vmscm_recordcache_set_verified(struct vmscm_recordcache *cache,
    struct vmscm_recordcache_entry *entry, unsigned part, const struct vmscm_id *id);

void vmscm_recordcache_count(struct vmscm_recordcache_counts *counts,
    struct vmscm_recordcache *cache);

#endif
