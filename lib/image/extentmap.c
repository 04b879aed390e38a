/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/extentmap.h"

/* where: 2 bits of kind, 8 of file, 54 of offset. */
#define OFFSET_BITS 54
#define OFFSET_MAX ((UINT64_C(1) << OFFSET_BITS) - 1)
#define KIND_SHIFT 62

static uint64_t pack(const struct vmscm_extent *e)
{
    if (e->kind != VMSCM_EXTENT_FILE)
        return (uint64_t)e->kind << KIND_SHIFT;
    if (e->file > VMSCM_EXTENTMAP_FILE_MAX || e->offset > OFFSET_MAX ||
        e->length > OFFSET_MAX - e->offset)
        return (uint64_t)VMSCM_EXTENT_INDIRECT << KIND_SHIFT;
    return (uint64_t)VMSCM_EXTENT_FILE << KIND_SHIFT | (uint64_t)e->file << OFFSET_BITS | e->offset;
}

static enum vmscm_extentmap_kind kind_of(uint64_t where)
{
    return (enum vmscm_extentmap_kind)(where >> KIND_SHIFT);
}

int vmscm_extentmap_add(struct vmscm_extentmap *map, const struct vmscm_extent *extent,
    uint64_t size, struct vmscm_error *err)
{
    struct vmscm_extentmap_run *run;
    uint64_t where = pack(extent);

    if (extent->start != map->end || extent->length == 0 || extent->start > size ||
        extent->length > size - extent->start)
        return vmscm_error_set(err, VMSCM_EINPUT, "extents are out of order or too long");
    if (map->runs.len) {
        run = &map->runs.items[map->runs.len - 1];
        uint64_t next = run->where;
        /* The sum stays within the packed offset: pack saw to it for each run. */
        if (kind_of(next) == VMSCM_EXTENT_FILE)
            next += extent->start - run->start;
        if (next == where) {
            map->end += extent->length;
            return 0;
        }
    }
    if (map->runs.len >= VMSCM_EXTENTMAP_RUNS_MAX)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED, "more than %u extents",
            VMSCM_EXTENTMAP_RUNS_MAX);
    int rc = vmscm_vec_add(&map->runs, &run, err);
    if (rc)
        return rc;
    run->start = extent->start;
    run->where = where;
    map->end += extent->length;
    return 0;
}

void vmscm_extentmap_find(const struct vmscm_extentmap *map, uint64_t offset,
    struct vmscm_extent *out)
{
    size_t low = 0, high = map->runs.len;

    /* The last run that starts at or before offset: the first one starts at 0. */
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (map->runs.items[mid].start <= offset)
            low = mid;
        else
            high = mid;
    }
    const struct vmscm_extentmap_run *run = &map->runs.items[low];
    uint64_t end = low + 1 < map->runs.len ? run[1].start : map->end;
    out->kind = kind_of(run->where);
    out->start = offset;
    out->length = end - offset;
    out->file = 0;
    out->offset = 0;
    if (out->kind == VMSCM_EXTENT_FILE) {
        out->file = (unsigned)(run->where >> OFFSET_BITS & VMSCM_EXTENTMAP_FILE_MAX);
        out->offset = (run->where & OFFSET_MAX) + (offset - run->start);
    }
}

int vmscm_extentmap_over(struct vmscm_extentmap *out, const struct vmscm_extentmap *top,
    const struct vmscm_extentmap *below, uint64_t size, struct vmscm_error *err)
{
    struct vmscm_extent e, under;
    int rc = 0;

    for (uint64_t at = 0; at < size && !rc; at += e.length) {
        vmscm_extentmap_find(top, at, &e);
        if (e.kind == VMSCM_EXTENT_BELOW && below && at < below->end) {
            vmscm_extentmap_find(below, at, &under);
            if (under.length < e.length)
                e.length = under.length;
            e.kind = under.kind;
            e.file = under.file;
            e.offset = under.offset;
        } else if (e.kind == VMSCM_EXTENT_BELOW) {
            e.kind = VMSCM_EXTENT_ZERO;
        }
        rc = vmscm_extentmap_add(out, &e, size, err);
    }
    return rc;
}

bool vmscm_extentmap_has(const struct vmscm_extentmap *map, enum vmscm_extentmap_kind kind)
{
    for (size_t i = 0; i < map->runs.len; i++)
        if (kind_of(map->runs.items[i].where) == kind)
            return true;
    return false;
}

void vmscm_extentmap_release(struct vmscm_extentmap *map)
{
    vmscm_vec_release(&map->runs);
    map->end = 0;
}
