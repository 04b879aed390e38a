/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A store that does not have all that its repository's history needs: what it lacks is had elsewhere, and
 * brought when it is read. What was brought is verified and kept in a cache of its own (cache.h), which
 * is no part of the repository: nothing that is stored relies on it, and it may go at any time.
 *
 * Reading brings one chunk at a time. Who reads much says what first, some tens of MiB at a time, with
 * vmscm_elsewhere_bring: then it comes in few large requests.
 *
 * Threading: setting is for one thread, before others read; all else for any number at once. One request
 * is under way at a time.
 */
#ifndef STORE_ELSEWHERE_H
#define STORE_ELSEWHERE_H

#include "base/buf.h"
#include "store/cache.h"

#define VMSCM_ELSEWHERE_BATCH (48u << 20) /* plain bytes that are worth a request */

/* A chunk or leaf that is wanted. */
struct vmscm_elsewhere_want {
    struct vmscm_id id;
    struct vmscm_id leaf; /* of a chunk: one that lists it; zeros: not known, and looked for */
    enum vmscm_pack_type type;
};

struct vmscm_elsewhere_take;

/* Where things can be had. */
struct vmscm_elsewhere {
    const char *name;    /* for messages; lives as long as the store */
    uint64_t cache_size; /* bytes of packs in the cache, about */
    /* Hand records that have what is wanted to vmscm_elsewhere_record. What is not to be had is left out.
     * One call at a time, from any thread. VMSCM_EBUSY: some came and has been evicted since, so it is worth
     * another call. NULL: it cannot be reached by this program. */
    int (*bring)(void *data, const struct vmscm_elsewhere_want *wants, size_t count,
        struct vmscm_elsewhere_take *take, struct vmscm_error *err);
    void *data;
};

/* From now on store lacks what is neither in its packs nor in its cache. *elsewhere is copied. A cache
 * that cannot be made, in a repository that cannot be written to, fails later, when something is brought. */
int vmscm_elsewhere_set(struct vmscm_store *store, const struct vmscm_elsewhere *elsewhere,
    struct vmscm_error *err);

/* NULL: the store has all that there is. */
const struct vmscm_elsewhere *vmscm_elsewhere_of(struct vmscm_store *store);

/* The cache, or NULL. */
struct vmscm_cache *vmscm_elsewhere_cache(struct vmscm_store *store);

/* Whether one can be read here now; what is in the cache may be evicted at any time. */
bool vmscm_elsewhere_is_here(struct vmscm_store *store, const struct vmscm_id *id);

/* See to it that all these can be read here; what is there is not brought again. hold (may be NULL) keeps
 * what is in the cache from being evicted until it is released. Nothing is done for a store that has all
 * there is. VMSCM_EDAMAGED: some of it is not to be had elsewhere either; others: as bring. */
int vmscm_elsewhere_bring(struct vmscm_store *store, const struct vmscm_elsewhere_want *wants,
    size_t count, struct vmscm_cache_holds *hold, struct vmscm_error *err);

/* Bring one that is not in the cache, whether there is one in packs or not: that one may be damaged. */
int vmscm_elsewhere_bring_one(struct vmscm_store *store, const struct vmscm_elsewhere_want *want,
    struct vmscm_cache_holds *hold, struct vmscm_error *err);

/* came(data, bytes) for every record that comes, with its plain bytes, from the thread that asked for it;
 * NULL: no more. While nobody reads. Nothing is done for a store that has all there is. */
void vmscm_elsewhere_watch(
    struct vmscm_store *store, void (*came)(void *data, uint64_t bytes), void *data);

/* For vmscm_elsewhere.bring: a record as vmscm-format-pack(5) has it. It is checked and its parts are hashed;
 * one whose bases cannot be read here is left out, as if it had not come. VMSCM_EINPUT: it is none, or has
 * nothing that is wanted and has not come yet. */
int vmscm_elsewhere_record(struct vmscm_elsewhere_take *take, const uint8_t *bytes, size_t len,
    struct vmscm_error *err);

/* Whether one has come. */
bool vmscm_elsewhere_came(const struct vmscm_elsewhere_take *take, const struct vmscm_id *id);

/* One more is wanted, though who asked does not need it: it may stay away. */
int vmscm_elsewhere_also(struct vmscm_elsewhere_take *take, const struct vmscm_id *id,
    struct vmscm_error *err);

/* The bytes of a leaf, if they can be read here. */
int vmscm_elsewhere_read_leaf(struct vmscm_elsewhere_take *take, const struct vmscm_id *id,
    struct vmscm_buf *buf, struct vmscm_error *err);

/* Make what came so far readable. */
int vmscm_elsewhere_flush(struct vmscm_elsewhere_take *take, struct vmscm_error *err);

/* For store.c. NULL is fine. */
struct vmscm_partial;
void vmscm_elsewhere_free(struct vmscm_partial *partial);

#endif
