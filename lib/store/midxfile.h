/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Multi-pack indexes on disk: packs/midx-<32 hex digits>.vmx, each covering some packs. There are few:
 * writing a new one takes in the packs that none covers and every index not much larger than what
 * is taken in so far, so that their number grows with the logarithm of the repository, and each
 * entry is rewritten as seldom.
 *
 * Threading: immutable once open.
 */
#ifndef STORE_MIDXFILE_H
#define STORE_MIDXFILE_H

#include "format/midx.h"
#include "store/packfile.h"

struct vmscm_midxfile {
    char *path;
    void *map;
    size_t map_len;
    struct vmscm_midx header;
    struct vmscm_packfile **packs; /* by pack number; NULL where the pack is gone */
};

/* Maps it and checks its structure, not every entry; whoever follows an entry checks the record it
 * finds there. `find` gives the open pack of a name, or NULL. */
int vmscm_midxfile_open(struct vmscm_midxfile **out, const char *dir, const char *file,
    struct vmscm_packfile *(*find)(void *data, const uint8_t *name), void *data,
    struct vmscm_error *err);
void vmscm_midxfile_close(struct vmscm_midxfile *midx); /* NULL is fine */

bool vmscm_midxfile_is_name(const char *file);
bool vmscm_midxfile_is_unfinished(const char *file); /* while it is being written */

bool vmscm_midxfile_find(const struct vmscm_midxfile *midx, struct vmscm_pack_entry *entry,
    const struct vmscm_id *id);

/* Write one over these packs, from their own indexes, merging; durable and visible when it
 * returns. */
int vmscm_midxfile_write(const char *dir, struct vmscm_packfile *const *packs, size_t count,
    struct vmscm_error *err);

/* Whether the checksum over the whole file is right. */
bool vmscm_midxfile_check(const struct vmscm_midxfile *midx);

#endif
