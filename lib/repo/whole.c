/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/whole.h"
#include "repo/leafread.h"

#include <stdlib.h>

static int check_leaf(struct vmscm_whole *w, const struct vmscm_id *id, uint32_t length,
    struct vmscm_error *err)
{
    struct vmscm_leaf_entry *entries = NULL;
    size_t count = 0;
    uint64_t *checked;
    bool added;
    int rc = vmscm_idset_get(&w->leaves, &checked, &added, id, err);

    if (rc || *checked == length || (w->promises && vmscm_promises_has(w->promises, id)))
        return rc;
    /* Reading looks into the trash, too. */
    if (!(rc = vmscm_fetch_find(w->fetch, id, err)))
        rc = vmscm_leafread_entries(&entries, &count, w->fetch, &w->bytes, id, length, err);
    for (size_t i = 0; i < count && !rc; i++)
        if (!entries[i].zero)
            rc = vmscm_fetch_find(w->fetch, &entries[i].id, err);
    free(entries);
    if (!rc)
        *checked = length;
    return rc;
}

int vmscm_whole_check(struct vmscm_whole *w, struct vmscm_store *store,
    const struct vmscm_map *map, struct vmscm_error *err)
{
    int rc = w->fetch ? 0 : vmscm_fetch_new_own(&w->fetch, store, err);

    for (size_t i = 0; i < map->runs.len && !rc; i++) {
        const struct vmscm_map_run *run = &map->runs.items[i];
        /* Of a run all segments but the disk's last have one length. */
        if (!run->zero &&
            !(rc = check_leaf(
                  w, &run->leaf, vmscm_map_segment_length(map->size, run->first), err)))
            rc = check_leaf(w, &run->leaf,
                vmscm_map_segment_length(map->size, run->first + run->count - 1), err);
    }
    return rc;
}

void vmscm_whole_release(struct vmscm_whole *w)
{
    vmscm_fetch_free(w->fetch);
    vmscm_buf_release(&w->bytes);
    vmscm_idset_release(&w->leaves);
    *w = (struct vmscm_whole){0};
}
