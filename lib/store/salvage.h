/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Saving what is good in a pack that is damaged: into a new pack, which is durable and visible when this
 * returns. Every part was decompressed and hashed. A record that is whole is copied as it is; of one
 * that is damaged, the parts whose hash is that of an id which is known are written anew.
 *
 * The file itself is left alone, and whether it is there twice does no harm: this can be killed and
 * run again.
 *
 * Threading: one thread at a time.
 */
#ifndef STORE_SALVAGE_H
#define STORE_SALVAGE_H

#include "store/store.h"

struct vmscm_salvage {
    struct vmscm_store *store; /* bases are read from it, and what is written is added to it */
    const char *repo_dir;
    int level; /* zstd: of what is written anew */
    /* NULL: all is copied but what a trusted pack has without bases. Else only the ids of which this
     * says so are. */
    bool (*wanted)(void *data, const struct vmscm_id *id);
    /* Whether what a pack's index says need not be saved from another; not asked if wanted is set. */
    bool (*trusted)(void *data, const struct vmscm_packfile *pack);
    int (*canceled)(void *data, struct vmscm_error *err); /* polled; what it returns ends it */
    void *data;
};

struct vmscm_salvage_counts {
    uint64_t claimed; /* chunks and leaves that the pack's index names; 0 if there is none */
    uint64_t kept;    /* of those, good ones */
    uint64_t good;    /* chunks and leaves that are good, claimed or not */
    uint64_t copied;  /* of those, into a new pack; the others are elsewhere */
    uint64_t unsupported; /* records of a later version, not copied */
    bool index_right; /* the index has its checksum: claimed is all there was */
};

/* path: the pack. Fails if it cannot be opened, or a new pack cannot be written. */
int vmscm_salvage_pack(const struct vmscm_salvage *what, const char *path,
    struct vmscm_salvage_counts *counts, struct vmscm_error *err);

#endif
