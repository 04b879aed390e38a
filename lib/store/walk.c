/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/walk.h"

#include <stdlib.h>

/* A pack and where in its index we are. */
struct cursor {
    const struct vmscm_packfile *pack;
    struct vmscm_pack_entry entry;
    uint32_t next;
};

static bool before(const struct cursor *a, const struct cursor *b)
{
    return vmscm_hash_cmp(&a->entry.id, &b->entry.id) < 0;
}

/* A heap with the smallest id on top, but for what is at i. */
static void sift(struct cursor *heap, size_t count, size_t i)
{
    for (;;) {
        size_t least = i;
        for (size_t c = 2 * i + 1; c < 2 * i + 3 && c < count; c++)
            if (before(&heap[c], &heap[least]))
                least = c;
        if (least == i)
            return;
        struct cursor t = heap[i];
        heap[i] = heap[least];
        heap[least] = t;
        i = least;
    }
}

/* False if there are no more. */
static bool step(struct cursor *c)
{
    if (c->next == c->pack->trailer.entry_count)
        return false;
    vmscm_packfile_entry(c->pack, &c->entry, c->next++);
    return true;
}

static int merge(struct cursor *heap, size_t count,
    int (*each)(void *data, const struct vmscm_packfile *pack,
        const struct vmscm_pack_entry *entry),
    void *data)
{
    struct vmscm_id last = {0};
    bool any = false;
    int rc = 0;

    for (size_t i = count; i-- > 0;)
        sift(heap, count, i);
    while (count && !rc) {
        if (!any || vmscm_hash_cmp(&heap[0].entry.id, &last) != 0) {
            rc = each(data, heap[0].pack, &heap[0].entry);
            last = heap[0].entry.id;
            any = true;
        }
        if (!step(&heap[0]))
            heap[0] = heap[--count];
        sift(heap, count, 0);
    }
    return rc;
}

int vmscm_walk_records(struct vmscm_store *store,
    int (*each)(void *data, const struct vmscm_packfile *pack,
        const struct vmscm_pack_entry *entry),
    void *data, struct vmscm_error *err)
{
    struct vmscm_packfile **packs = NULL;
    struct cursor *heap = NULL;
    size_t count = 0, pinned = 0, live = 0;
    int rc = vmscm_store_list(store, &packs, &count, err);

    if (!rc && !(heap = calloc(count + 1, sizeof *heap)))
        rc = vmscm_error_nomem(err);
    for (size_t n = 0; n < count && !rc; n++) {
        struct vmscm_error why = VMSCM_ERROR_INIT;
        rc = vmscm_store_pin(store, packs[n], &why);
        if (rc == VMSCM_ENOMEM) {
            vmscm_error_copy(err, &why);
        } else if (rc) {
            rc = 0; /* has no records that could be walked */
        } else {
            packs[pinned++] = packs[n];
            heap[live] = (struct cursor){.pack = packs[n]};
            live += step(&heap[live]);
        }
    }
    if (!rc)
        rc = merge(heap, live, each, data);
    for (size_t n = 0; n < pinned; n++)
        vmscm_store_unpin(store, packs[n]);
    free(packs);
    free(heap);
    return rc;
}
