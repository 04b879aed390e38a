/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/walk.h"

#include <stdlib.h>

#define ENTRIES 85u /* of a pack's index, read at once: 4 KiB */

/* A pack and where in its index we are. Indexes are read a piece at a time, and not mapped: all at once
 * they would be more mappings, and more memory, than a process may have. */
struct cursor {
    struct vmscm_packfile *pack;
    uint8_t *bytes;
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

/* *end: there are no more. */
static int step(struct cursor *c, struct vmscm_store *store, bool *end, struct vmscm_error *err)
{
    uint32_t left = c->pack->trailer.entry_count - c->next;
    int rc;

    *end = left == 0;
    if (*end)
        return 0;
    if (c->next % ENTRIES == 0 &&
        (rc = vmscm_store_pread(store, c->pack, c->bytes,
             (left < ENTRIES ? left : ENTRIES) * (size_t)VMSCM_PACK_ENTRY_SIZE,
             c->pack->trailer.index_offset + (uint64_t)c->next * VMSCM_PACK_ENTRY_SIZE, err)))
        return rc;
    vmscm_pack_decode_entry(
        &c->entry, c->bytes + (c->next++ % ENTRIES) * (size_t)VMSCM_PACK_ENTRY_SIZE);
    return 0;
}

static int merge(struct vmscm_store *store, struct cursor *heap, size_t count,
    int (*each)(void *data, const struct vmscm_packfile *pack,
        const struct vmscm_pack_entry *entry),
    void *data, struct vmscm_error *err)
{
    struct vmscm_id last = {0};
    bool any = false, end;
    int rc = 0;

    for (size_t i = count; i-- > 0;)
        sift(heap, count, i);
    while (count && !rc) {
        if (!any || vmscm_hash_cmp(&heap[0].entry.id, &last) != 0) {
            if ((rc = each(data, heap[0].pack, &heap[0].entry)))
                return rc;
            last = heap[0].entry.id;
            any = true;
        }
        rc = step(&heap[0], store, &end, err);
        if (end)
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
    uint8_t *bytes = NULL;
    size_t count = 0, live = 0;
    int rc;

    /* Only packs whose indexes are good are listed from here on. */
    if ((rc = vmscm_store_examine(store, err)) ||
        (rc = vmscm_store_list(store, &packs, &count, err)))
        goto out;
    heap = calloc(count + 1, sizeof *heap);
    bytes = calloc(count + 1, ENTRIES * (size_t)VMSCM_PACK_ENTRY_SIZE);
    if (!heap || !bytes) {
        rc = vmscm_error_nomem(err);
        goto out;
    }
    for (size_t n = 0; n < count && !rc; n++) {
        bool end;
        heap[live] = (struct cursor){
            .pack = packs[n], .bytes = bytes + n * ENTRIES * VMSCM_PACK_ENTRY_SIZE};
        rc = step(&heap[live], store, &end, err);
        live += !end;
    }
    if (!rc)
        rc = merge(store, heap, live, each, data, err);
out:
    free(packs);
    free(heap);
    free(bytes);
    return rc;
}
