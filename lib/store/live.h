/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which chunks and leaves of which packs are needed: a bit for each entry of each pack, so that it
 * takes 2 MiB of memory for 16 million chunks (1 TiB).
 *
 * Of several copies one is needed, the same whenever it is asked for: one that is marked already, else
 * one without bases, else the one in the largest pack. What a copy is stored against is marked with
 * it, where it has no bases itself.
 *
 * Threading: one thread at a time.
 */
#ifndef STORE_LIVE_H
#define STORE_LIVE_H

#include "store/fetch.h"

struct vmscm_live;

struct vmscm_live_pack {
    struct vmscm_packfile *pack;
    uint64_t *marked;      /* bits by number of entry; NULL: none */
    uint64_t *entered;     /* likewise: leaves whose chunks were asked for */
    uint64_t *copied;      /* likewise: marked, and copied elsewhere since */
    uint32_t entries;      /* needed */
    uint64_t plain;        /* bytes of these */
    bool old;              /* it was there when vmscm_live_new was called */
    bool kept;             /* its maker may yet need it */
    bool chosen;           /* for vmscm_live_mark_pack */
};

/* The packs there are now are old. */
int vmscm_live_new(struct vmscm_live **out, struct vmscm_store *store, struct vmscm_error *err);
void vmscm_live_free(struct vmscm_live *live); /* NULL is fine */

/* Forget what is marked. */
void vmscm_live_clear(struct vmscm_live *live);

/* A chunk or leaf is needed. VMSCM_EDAMAGED: it, or what it is stored against, is nowhere. */
int vmscm_live_mark(struct vmscm_live *live, const struct vmscm_id *id, struct vmscm_error *err);

/* The same for a leaf; *first: this is the first time. */
int vmscm_live_enter(struct vmscm_live *live, const struct vmscm_id *id, bool *first,
    struct vmscm_error *err);

/* Its chunks could not be marked, and are to be asked for again. */
void vmscm_live_leave(struct vmscm_live *live, const struct vmscm_id *id);

/* *yes: all that chunks of a pack are stored against is somewhere. Its index is mapped. */
int vmscm_live_has_bases(struct vmscm_live *live, bool *yes, const struct vmscm_live_pack *pack,
    struct vmscm_error *err);

/* All of a chosen pack is needed, but for what is better had from another that is. Its index is
 * mapped. */
int vmscm_live_mark_pack(struct vmscm_live *live, struct vmscm_live_pack *pack,
    struct vmscm_error *err);

/* The marked copy of an id in a chosen pack, if it was not copied yet and is not stored against others;
 * from now on it was. NULL: there is none. */
int vmscm_live_take(struct vmscm_live *live, struct vmscm_packfile **pack,
    struct vmscm_pack_entry *entry, const struct vmscm_id *id, struct vmscm_error *err);

/* All packs that were met, the old ones first. */
size_t vmscm_live_count(const struct vmscm_live *live);
struct vmscm_live_pack *vmscm_live_pack(struct vmscm_live *live, size_t n);

bool vmscm_live_has(const struct vmscm_live_pack *pack, uint32_t number);

/* The same, unless it was copied. */
bool vmscm_live_wants(const struct vmscm_live_pack *pack, uint32_t number);

/* Whether another pack's copy of an id is one that is needed: that pack and its entry, or NULL. If
 * several are, one without bases. */
struct vmscm_packfile *vmscm_live_other(struct vmscm_live *live, struct vmscm_pack_entry *entry,
    const struct vmscm_packfile *pack, const struct vmscm_id *id);

/* By a pack's name; NULL if it was not met. */
struct vmscm_live_pack *vmscm_live_named(struct vmscm_live *live,
    const uint8_t name[VMSCM_MIDX_NAME_SIZE]);

#endif
