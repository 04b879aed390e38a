/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What was brought from elsewhere, in packs below cache/ of a repository, which is laid out so that these
 * are read as a repository's are. None of them has a record with bases. They may go at any time, the one
 * that was not used for longest first: a pack's time of modification is that of its last use, which only
 * orders them. One that somebody holds (a shared flock on it) stays. A damaged one is removed.
 *
 * Threading: any number of threads and processes.
 */
#ifndef STORE_CACHE_H
#define STORE_CACHE_H

#include "base/vec.h"
#include "store/store.h"

struct vmscm_cache;

/* *out is NULL if there is none. make: then it is made. */
int vmscm_cache_open(struct vmscm_cache **out, const char *repo_dir, bool make,
    struct vmscm_error *err);
void vmscm_cache_close(struct vmscm_cache *cache); /* NULL is fine */

/* To look in, and to read from. */
struct vmscm_store *vmscm_cache_store(struct vmscm_cache *cache);

/* Its directory, which has packs/, tmp/ and locks/. */
const char *vmscm_cache_dir(const struct vmscm_cache *cache);

/* Packs that are to stay, by one thread. Zero-initialised holds none. */
#define VMSCM_CACHE_HOLDS_MAX 128 /* more are not held: each is an open file */
struct vmscm_cache_held {
    const struct vmscm_packfile *pack;
    int fd;
};
struct vmscm_cache_holds {
    VMSCM_VEC(struct vmscm_cache_held) packs;
    size_t last; /* the one that was asked for last */
};
void vmscm_cache_release(struct vmscm_cache_holds *hold);

/* Hold a pack of the cache, and note its use. *there is false if it has gone. */
int vmscm_cache_hold(struct vmscm_cache_holds *hold, bool *there, struct vmscm_cache *cache,
    const struct vmscm_packfile *pack, struct vmscm_error *err);

/* A pack turned out to be damaged: it goes. Whether it could be removed. */
bool vmscm_cache_drop(struct vmscm_cache *cache, const struct vmscm_packfile *pack);

/* Remove packs until all together are at most `size` bytes, as far as nobody holds them, and those that
 * cannot be read. Done quietly by one process at a time. */
int vmscm_cache_evict(struct vmscm_cache *cache, uint64_t size, struct vmscm_error *err);

/* Packs of a repository's cache, and their bytes; no cache is none. */
int vmscm_cache_measure(const char *repo_dir, uint64_t *packs, uint64_t *bytes,
    struct vmscm_error *err);

#endif
