/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/places.h"

#include <stdlib.h>

static int by_place(const void *a, const void *b)
{
    const struct vmscm_pack_entry *x = a, *y = b;

    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return (int)x->part - (int)y->part;
}

int vmscm_places_read(struct vmscm_places *places, uint32_t *unsorted,
    const struct vmscm_packfile *pack, struct vmscm_error *err)
{
    uint32_t count = pack->trailer.entry_count, bad = 0;

    if (!(places->entries = calloc((size_t)count + 1, sizeof *places->entries)))
        return vmscm_error_nomem(err);
    places->count = count;
    for (uint32_t i = 0; i < count; i++) {
        vmscm_packfile_entry(pack, &places->entries[i], i);
        if (i && !bad && vmscm_hash_cmp(&places->entries[i - 1].id, &places->entries[i].id) >= 0)
            bad = i;
    }
    if (unsorted)
        *unsorted = bad;
    qsort(places->entries, count, sizeof *places->entries, by_place);
    return 0;
}

void vmscm_places_release(struct vmscm_places *places)
{
    free(places->entries);
    *places = (struct vmscm_places){0};
}

size_t vmscm_places_parts(const struct vmscm_places *places, size_t at)
{
    size_t n = 1;

    while (at + n < places->count && places->entries[at + n].offset == places->entries[at].offset)
        n++;
    return n;
}
