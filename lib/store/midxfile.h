/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A multi-pack index on disk, packs/midx-<32 hex digits>.vmx: which of the packs it covers may have
 * an id. What says that an id is not there is mapped, 17 to 18 bits an entry; what says in which
 * pack it is, is read when it is needed.
 *
 * Threading: finding needs no lock; `packs` belongs to the store (store.c).
 */
#ifndef STORE_MIDXFILE_H
#define STORE_MIDXFILE_H

#include "format/midx.h"
#include "store/packfile.h"

struct vmscm_midxfile {
    char *path;
    int fd;
    uint8_t *map; /* up to the words */
    size_t map_len;
    struct vmscm_midx header;
    struct vmscm_packfile **packs; /* by pack number; NULL where the pack is gone */
    uint32_t present;              /* packs that are not gone */
    enum { VMSCM_MIDXFILE_UNCHECKED, VMSCM_MIDXFILE_GOOD, VMSCM_MIDXFILE_BAD } state;
};

/* Maps it and checks its structure, not every entry; whoever follows an entry looks into the index of
 * the pack. `packs` is all NULL. */
int vmscm_midxfile_open(struct vmscm_midxfile **out, const char *dir, const char *file,
    struct vmscm_error *err);
void vmscm_midxfile_close(struct vmscm_midxfile *midx); /* NULL is fine */

/* The file's name, without its directory; borrowed. */
const char *vmscm_midxfile_name(const struct vmscm_midxfile *midx);

/* The name, in the header's place, of pack number n. */
const uint8_t *vmscm_midxfile_pack_name(const struct vmscm_midxfile *midx, uint32_t n);

bool vmscm_midxfile_is_name(const char *file);
bool vmscm_midxfile_is_unfinished(const char *file); /* while it is being written */

/* The number of the nth pack (from 0) that may have the id. An entry that leads nowhere is passed
 * over, as is one that cannot be read. */
bool vmscm_midxfile_find(const struct vmscm_midxfile *midx, uint32_t *pack,
    const struct vmscm_id *id, size_t nth);

/* Where a bucket's entries begin; that of the number after the last is their count. */
uint32_t vmscm_midxfile_start(const struct vmscm_midxfile *midx, uint32_t bucket);

/* Compare the checksums over the whole file, once: VMSCM_EDAMAGED if they are wrong or it cannot be
 * read. `state` tells from then on. One thread at a time. */
int vmscm_midxfile_check(struct vmscm_midxfile *midx, struct vmscm_error *err);

#endif
