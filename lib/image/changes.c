/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/changes.h"

#define OFFSET_MAX (UINT64_C(1) << 62)

int vmscm_changes_add(struct vmscm_changes *changes, uint64_t start, uint64_t length,
    struct vmscm_error *err)
{
    struct vmscm_changes_run *run =
        changes->runs.len ? &changes->runs.items[changes->runs.len - 1] : NULL;

    if (length == 0 || start > OFFSET_MAX || length > OFFSET_MAX - start ||
        (run && start < run->end))
        return vmscm_error_set(err, VMSCM_EINPUT, "changes are out of order or too long");
    if (run && start == run->end) {
        run->end += length;
        return 0;
    }
    if (changes->runs.len >= VMSCM_CHANGES_RUNS_MAX)
        return vmscm_error_set(
            err, VMSCM_EUNSUPPORTED, "more than %u changes", VMSCM_CHANGES_RUNS_MAX);
    int rc = vmscm_vec_add(&changes->runs, &run, err);
    if (rc)
        return rc;
    *run = (struct vmscm_changes_run){start, start + length};
    return 0;
}

uint64_t vmscm_changes_next(const struct vmscm_changes *changes, uint64_t offset)
{
    size_t low = 0, high = changes->runs.len;

    /* The first run that ends after offset. */
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (changes->runs.items[mid].end <= offset)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == changes->runs.len)
        return UINT64_MAX;
    uint64_t start = changes->runs.items[low].start;
    return start > offset ? start : offset;
}

uint64_t vmscm_changes_total(const struct vmscm_changes *changes)
{
    uint64_t total = 0;

    for (size_t i = 0; i < changes->runs.len; i++)
        total += changes->runs.items[i].end - changes->runs.items[i].start;
    return total;
}

void vmscm_changes_release(struct vmscm_changes *changes)
{
    vmscm_vec_release(&changes->runs);
}
