/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/bootorder.h"
#include "machine/model.h"
#include "repo/leafread.h"
#include "repo/snapshot.h"
#include "repo/trace.h"

#include <stdlib.h>

#define SLOTS 1024u /* segments whose entries are kept: a boot comes back to most of its own */

struct slot {
    struct vmscm_leaf_entry *entries; /* NULL: none, or they cannot be read */
    size_t count;
    uint64_t segment;
    uint32_t disk;
    bool used;
};

struct listing {
    struct vmscm_bootorder *order;
    struct vmscm_fetch *fetch;
    struct vmscm_tracenote note;
    struct vmscm_map *maps; /* by the note's disks; of size 0 where the revision has none */
    struct slot *slots;
    struct vmscm_buf bytes;
};

static int append(struct vmscm_bootorder *order, const struct vmscm_id *id, uint32_t len,
    struct vmscm_error *err)
{
    struct vmscm_bootorder_item *item;
    uint64_t *value;
    bool added;
    int rc = vmscm_idset_get(&order->seen, &value, &added, id, err);

    if (rc || !added)
        return rc;
    if (vmscm_vec_add(&order->items, &item, err))
        return VMSCM_ENOMEM;
    *item = (struct vmscm_bootorder_item){*id, len};
    return 0;
}

/* A segment's entries, and its leaf in the list. */
static int load(struct listing *l, struct slot **out, uint32_t disk, uint64_t segment,
    const struct vmscm_id *leaf, struct vmscm_error *err)
{
    struct slot *slot = *out = &l->slots[(segment + disk * 61u) % SLOTS];
    int rc;

    if (slot->used && slot->segment == segment && slot->disk == disk)
        return 0;
    free(slot->entries);
    *slot = (struct slot){.segment = segment, .disk = disk, .used = true};
    rc = vmscm_leafread_entries(&slot->entries, &slot->count, l->fetch, &l->bytes, leaf,
        vmscm_map_segment_length(l->maps[disk].size, segment), err);
    if (!rc)
        return append(l->order, leaf, (uint32_t)l->bytes.len, err);
    if (rc != VMSCM_ENOMEM)
        vmscm_error_clear(err);
    return rc == VMSCM_ENOMEM ? rc : 0;
}

/* Chunks that have any of the bytes of a segment from `at` to `end`. */
static int add_part(struct listing *l, uint32_t disk, uint64_t segment, uint32_t at, uint32_t end,
    struct vmscm_error *err)
{
    const struct vmscm_map_run *run = vmscm_map_run(&l->maps[disk], segment);
    struct slot *slot;
    size_t low = 0, high;
    int rc;

    if (run->zero)
        return 0;
    if ((rc = load(l, &slot, disk, segment, &run->leaf, err)))
        return rc;
    for (high = slot->count; high - low > 1 && slot->count;) {
        size_t mid = low + (high - low) / 2;
        if (slot->entries[mid].offset <= at)
            low = mid;
        else
            high = mid;
    }
    for (; low < slot->count && slot->entries[low].offset < end && !rc; low++)
        if (!slot->entries[low].zero)
            rc = append(l->order, &slot->entries[low].id, slot->entries[low].length, err);
    return rc;
}

static int add_place(struct listing *l, const struct vmscm_tracenote_place *place,
    struct vmscm_error *err)
{
    uint64_t size = l->maps[place->disk].size, at = place->first << VMSCM_TRACENOTE_UNIT_LOG2;
    uint64_t end = at + ((uint64_t)place->count << VMSCM_TRACENOTE_UNIT_LOG2);
    int rc = 0;

    if (end > size)
        end = size;
    while (at < end && !rc) {
        uint64_t segment = at >> VMSCM_LEAF_SEGMENT_LOG2, begin = segment << VMSCM_LEAF_SEGMENT_LOG2;
        uint64_t until = begin + VMSCM_LEAF_SEGMENT < end ? begin + VMSCM_LEAF_SEGMENT : end;
        rc = add_part(l, place->disk, segment, (uint32_t)(at - begin), (uint32_t)(until - begin), err);
        at = until;
    }
    return rc;
}

static int list(struct listing *l, struct vmscm_repo *repo, const char *commit,
    const struct vmscm_machine *machine, struct vmscm_error *err)
{
    int rc = 0;

    l->maps = calloc(l->note.disks.len, sizeof *l->maps);
    l->slots = calloc(SLOTS, sizeof *l->slots);
    if (!l->maps || !l->slots)
        return vmscm_error_nomem(err);
    for (size_t i = 0; i < l->note.disks.len && !rc; i++) {
        const struct vmscm_machine_disk *disk = vmscm_model_disk(machine, l->note.disks.items[i]);
        if (disk)
            rc = vmscm_snapshot_map(&l->maps[i], repo, commit, disk, err);
    }
    for (size_t i = 0; i < l->note.places.len && !rc; i++)
        rc = add_place(l, &l->note.places.items[i], err);
    return rc;
}

int vmscm_bootorder_add(struct vmscm_bootorder *order, struct vmscm_repo *repo, const char *commit,
    const struct vmscm_machine *machine, struct vmscm_fetch *fetch, struct vmscm_error *err)
{
    struct listing l = {.order = order, .fetch = fetch};
    struct vmscm_error why = VMSCM_ERROR_INIT;
    int rc = vmscm_trace_find(&l.note, repo, commit, &why);

    if (!rc)
        rc = list(&l, repo, commit, machine, err);
    else if (rc == VMSCM_ENOMEM)
        vmscm_error_copy(err, &why);
    else
        rc = 0;
    for (size_t i = 0; i < SLOTS && l.slots; i++)
        free(l.slots[i].entries);
    for (size_t i = 0; i < l.note.disks.len && l.maps; i++)
        vmscm_map_release(&l.maps[i]);
    free(l.slots);
    free(l.maps);
    vmscm_tracenote_release(&l.note);
    vmscm_buf_release(&l.bytes);
    return rc;
}

void vmscm_bootorder_end(struct vmscm_bootorder *order)
{
    vmscm_idset_release(&order->seen);
}

void vmscm_bootorder_release(struct vmscm_bootorder *order)
{
    vmscm_idset_release(&order->seen);
    vmscm_vec_release(&order->items);
}
