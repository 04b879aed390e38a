/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which parts of a disk may differ from an earlier state of it: runs of guest address space, in
 * order, apart from each other. What is in none of them is as it was. Pure; no I/O.
 */
#ifndef IMAGE_CHANGES_H
#define IMAGE_CHANGES_H

#include "base/error.h"
#include "base/vec.h"
#include <stdbool.h>
#include <stdint.h>

#define VMSCM_CHANGES_RUNS_MAX (2u * 1024 * 1024) /* 32 MiB of them */

struct vmscm_changes_run {
    uint64_t start, end; /* bytes; end is the first one that is not in it */
};

/* Zero-initialised: nothing changed. */
struct vmscm_changes {
    VMSCM_VEC(struct vmscm_changes_run) runs;
};

/* Append a run that starts at or after the end of the last; one that continues it becomes part of
 * it. VMSCM_EINPUT: out of order, or over 2^62; VMSCM_EUNSUPPORTED: more than
 * VMSCM_CHANGES_RUNS_MAX. */
int vmscm_changes_add(struct vmscm_changes *changes, uint64_t start, uint64_t length,
    struct vmscm_error *err);

/* Where the next change at or after `offset` begins; UINT64_MAX: there is none. */
uint64_t vmscm_changes_next(const struct vmscm_changes *changes, uint64_t offset);

/* Bytes in all runs. */
uint64_t vmscm_changes_total(const struct vmscm_changes *changes);

void vmscm_changes_release(struct vmscm_changes *changes);

#endif
