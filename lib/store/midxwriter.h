/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writing a multi-pack index over packs and in place of older indexes: their entries are merged as
 * they are read, so that it needs memory for the entries of the packs alone. One thread at a time.
 */
#ifndef STORE_MIDXWRITER_H
#define STORE_MIDXWRITER_H

#include "store/midxfile.h"

/* Put those first that a new index should take in beside so many entries, and return how many: sorted by
 * size, all up to the last that has no more than twice what comes before it, or most of whose packs
 * are gone; up to max entries in all. So their number grows with the logarithm of the repository,
 * then by one for each max entries, and each entry is rewritten as seldom. */
size_t vmscm_midxwriter_choose(struct vmscm_midxfile **indexes, size_t count, uint64_t entries,
    uint64_t max);

/* packs: mapped, and each once. Packs that are gone are left out of what the indexes have. Durable and
 * visible when it returns; writes nothing if that leaves no pack. VMSCM_EDAMAGED: an index is not
 * sorted, as its `state` says from then on. The indexes' checksums are the caller's to compare. */
int vmscm_midxwriter_write(const char *dir, struct vmscm_packfile *const *packs, size_t pack_count,
    struct vmscm_midxfile *const *indexes, size_t index_count, struct vmscm_error *err);

#endif
