/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Copying what is needed out of packs, into new ones. A record that is needed whole is copied as it is;
 * of one that is needed in parts, these are compressed anew. Every byte is hashed on the way: what is
 * not right is not copied, and the copying fails.
 *
 * Threading: one thread; it uses several.
 */
#ifndef STORE_REPACK_H
#define STORE_REPACK_H

#include "store/ingest.h"
#include "store/live.h"

struct vmscm_repack {
    struct vmscm_store *store;
    struct vmscm_live *live;
    struct vmscm_ingest *ingest;
    unsigned jobs;
    bool recompress; /* also what is needed whole, but for what is stored against others */
    uint64_t unit; /* the first that is free; moved on */
    /* After every few records, from one thread at a time: bytes of packs done since the last time.
     * Non-zero stops with VMSCM_ECANCELED. */
    int (*progress)(void *data, uint64_t bytes);
    void *data;
};

/* Copy what is marked in the pack. VMSCM_EDAMAGED: some of it cannot be had. */
int vmscm_repack_pack(struct vmscm_repack *repack, struct vmscm_live_pack *pack,
    struct vmscm_error *err);

#endif
