/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files that make up fetch.h share. */
#ifndef STORE_FETCH_PARTS_H
#define STORE_FETCH_PARTS_H

#include "codec/compress.h"
#include "codec/hash.h"
#include "store/fetch.h"

#define VMSCM_FETCH_SLOTS 8

/* A record of several parts, decompressed. */
struct vmscm_fetch_slot {
    bool full;
    bool checked; /* its checksum was right */
    bool verified[VMSCM_PACK_PARTS_MAX]; /* parts that had the id they were last asked for by */
    uint8_t pack[VMSCM_MIDX_NAME_SIZE];
    uint32_t offset;
    uint64_t last; /* use; 0: what it holds is not likely to be wanted again */
    struct vmscm_pack_record record;
    struct vmscm_plain *plain; /* NULL: none yet */
};

/* A record as it is in its pack, or the first bytes of it. */
struct vmscm_fetch_raw {
    struct vmscm_plain *memory;
    const uint8_t *data; /* in it */
};

struct vmscm_fetch {
    struct vmscm_store *store;
    struct vmscm_store *from; /* whose the pack at hand is: that one, or its cache */
    enum vmscm_fetch_reach reach;
    struct vmscm_compress *compress;
    struct vmscm_hash *hash;
    struct vmscm_pack_record record; /* the header of what `bytes` holds */
    struct vmscm_fetch_raw bytes;    /* the record at hand */
    struct vmscm_fetch_raw spare;    /* for its bases, while it waits for them */
    struct vmscm_buf base;           /* plain bytes of the bases of the record at hand */
    struct vmscm_fetch_slot slots[VMSCM_FETCH_SLOTS];
    uint64_t clock;
    bool quick; /* a record's checksum is enough, or that a part had its id */
    bool once;  /* records are not brought into the page cache */
    struct vmscm_recordcache *cache; /* shared, used instead of slots; or NULL */
};

/* Where the bytes of a chunk or leaf go: one of the three is set. */
struct vmscm_fetch_target {
    void *out; /* exactly `len` bytes */
    struct vmscm_buf *buf; /* at most `len` */
    const uint8_t **bytes; /* exactly `len` bytes of *plain, which gets a reference */
    struct vmscm_plain **plain;
    size_t len;
};

/* The first bytes of the record at an entry, at most max, into fetch->bytes, and its header into
 * fetch->record. */
int vmscm_fetch_load(struct vmscm_fetch *fetch, struct vmscm_packfile *pack,
    const struct vmscm_pack_entry *entry, size_t max, struct vmscm_error *err);

/* Read the part of one entry. is_base: it must not need a base itself. */
int vmscm_fetch_to(struct vmscm_fetch *fetch, const struct vmscm_fetch_target *to,
    struct vmscm_packfile *pack, const struct vmscm_pack_entry *entry, bool is_base,
    struct vmscm_error *err);

/* Read a part from wherever it can be read; likewise. */
int vmscm_fetch_search(struct vmscm_fetch *fetch, int type, const struct vmscm_id *id, bool is_base,
    const struct vmscm_fetch_target *to, struct vmscm_error *err);

#endif
