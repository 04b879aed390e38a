/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The entries of a pack's index in the order in which their records lie, and in each record in that of
 * its parts. */
#ifndef STORE_PLACES_H
#define STORE_PLACES_H

#include "store/packfile.h"

struct vmscm_places {
    struct vmscm_pack_entry *entries;
    size_t count;
};

/* The pack's index is mapped. *unsorted: the first entry of the index that does not come after the
 * one before it; 0: it is sorted. May be NULL. */
int vmscm_places_read(struct vmscm_places *places, uint32_t *unsorted,
    const struct vmscm_packfile *pack, struct vmscm_error *err);
void vmscm_places_release(struct vmscm_places *places);

/* How many entries lead to the record of the one at `at`, the first of it. */
size_t vmscm_places_parts(const struct vmscm_places *places, size_t at);

#endif
