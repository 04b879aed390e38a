/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading records: every byte handed out was hashed and has the id that was asked for. A record
 * that is damaged in one pack is looked for in the others; one that is missing makes the store
 * look at its directory again, and is then brought from elsewhere (elsewhere.h).
 *
 * Records of several parts are kept decompressed for a while, a few of them: parts are asked for one
 * after the other.
 *
 * Threading: one struct vmscm_fetch per thread, any number per store.
 */
#ifndef STORE_FETCH_H
#define STORE_FETCH_H

#include "base/buf.h"
#include "store/plain.h"
#include "store/recordcache.h"
#include "store/store.h"

struct vmscm_fetch;

int vmscm_fetch_new(struct vmscm_fetch **out, struct vmscm_store *store, struct vmscm_error *err);
/* The same for what is done with the repository's own packs: it looks nowhere else. */
int vmscm_fetch_new_own(struct vmscm_fetch **out, struct vmscm_store *store,
    struct vmscm_error *err);
void vmscm_fetch_free(struct vmscm_fetch *fetch); /* NULL is fine */

struct vmscm_store *vmscm_fetch_store(const struct vmscm_fetch *fetch);

/* How far a fetch looks. What is found elsewhere, or was brought from there, is no part of the
 * repository. */
enum vmscm_fetch_reach {
    VMSCM_FETCH_ELSEWHERE, /* packs, cache, elsewhere */
    VMSCM_FETCH_CACHED,    /* packs and cache */
    VMSCM_FETCH_OWN,       /* packs */
};

/* From now on; elsewhere at first. */
void vmscm_fetch_set_reach(struct vmscm_fetch *fetch, enum vmscm_fetch_reach reach);

/* From now on, records are not brought into the page cache: they are many, and read once. */
void vmscm_fetch_once(struct vmscm_fetch *fetch);

/* From now on, records are kept decompressed in a cache that others share, and found there. It lives
 * longer than the fetch. */
void vmscm_fetch_cache(struct vmscm_fetch *fetch, struct vmscm_recordcache *cache);

/* The plain bytes of a record of exactly len bytes. VMSCM_EDAMAGED: missing, of another length, or
 * damaged wherever it is. type is for messages: the bytes of an id are the same in a record of
 * either type, and stored once. */
int vmscm_fetch_read(struct vmscm_fetch *fetch, enum vmscm_pack_type type,
    const struct vmscm_id *id, void *out, size_t len, struct vmscm_error *err);

/* The same without a copy: *bytes are in *plain, of which the caller gets a reference. For who reads
 * all that is wanted of a record at once: the next one takes its memory, still in the core's cache, once
 * the references are given back. */
int vmscm_fetch_plain(struct vmscm_fetch *fetch, enum vmscm_pack_type type,
    const struct vmscm_id *id, size_t len, const uint8_t **bytes, struct vmscm_plain **plain,
    struct vmscm_error *err);

/* The same where the length, at most max, is not known; buf is emptied first. */
int vmscm_fetch_read_buf(struct vmscm_fetch *fetch, enum vmscm_pack_type type,
    const struct vmscm_id *id, struct vmscm_buf *buf, size_t max, struct vmscm_error *err);

/* The same of what other records may be stored against: from a record that has no bases itself. */
int vmscm_fetch_read_base(struct vmscm_fetch *fetch, const struct vmscm_id *id,
    struct vmscm_buf *buf, struct vmscm_error *err);

/* The same for what is only compared with: that its record is as it was written is enough, and much
 * cheaper to see than that it has its id. */
int vmscm_fetch_compare(struct vmscm_fetch *fetch, const struct vmscm_id *id,
    struct vmscm_buf *buf, struct vmscm_error *err);

/* See that a chunk or leaf is somewhere, and all that it is stored against there as well; their packs
 * are marked as relied on. No more than headers is read. VMSCM_EDAMAGED says what is missing. */
int vmscm_fetch_find(struct vmscm_fetch *fetch, const struct vmscm_id *id,
    struct vmscm_error *err);

/* What a chunk or leaf is stored against: its record's bases, or, where there are none, itself. bases
 * has room for VMSCM_PACK_BASES_MAX. VMSCM_EDAMAGED as vmscm_fetch_find_share. */
int vmscm_fetch_find_bases(struct vmscm_fetch *fetch, const struct vmscm_id *id, struct vmscm_id *bases,
    size_t *count, struct vmscm_error *err);

/* The bases of the record of one entry; there may be none. */
int vmscm_fetch_find_bases_at(struct vmscm_fetch *fetch, struct vmscm_packfile *pack,
    const struct vmscm_pack_entry *entry, struct vmscm_id *bases, size_t *count,
    struct vmscm_error *err);

/* What a chunk or leaf takes in its pack: its share of its record, by length. VMSCM_EDAMAGED: it is
 * nowhere, or its record's header is not readable. */
int vmscm_fetch_find_share(struct vmscm_fetch *fetch, const struct vmscm_id *id, uint64_t *bytes,
    struct vmscm_error *err);

/* Check a record by all entries of its pack that lead to it, in the order of its parts: its checksum,
 * its header against them, each part against its id. bad(data, id, why) for each that cannot be had;
 * why->code is VMSCM_ENOTFOUND where that is so only because a base cannot, VMSCM_EUNSUPPORTED where
 * the record is of a later version. Fails only where it could not check. */
int vmscm_fetch_check(struct vmscm_fetch *fetch, struct vmscm_packfile *pack,
    const struct vmscm_pack_entry *entries, size_t count,
    void (*bad)(void *data, const struct vmscm_id *id, const struct vmscm_error *why), void *data,
    struct vmscm_error *err);

/* The bytes of a whole record, checked as above, into *bytes, which are borrowed until the next call.
 * VMSCM_EDAMAGED: it is not right in all its parts. */
int vmscm_fetch_record(struct vmscm_fetch *fetch, struct vmscm_packfile *pack,
    const struct vmscm_pack_entry *entries, size_t count, const uint8_t **bytes,
    struct vmscm_error *err);

/* The plain bytes of one entry, into buf, which is emptied first; from there and nowhere
 * else. */
int vmscm_fetch_part(struct vmscm_fetch *fetch, struct vmscm_packfile *pack,
    const struct vmscm_pack_entry *entry, struct vmscm_buf *buf, struct vmscm_error *err);

#endif
