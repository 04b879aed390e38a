/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where two states of a disk differ: its maps side by side, leaf by leaf, reading no chunk. */
#ifndef REPO_MAPDIFF_H
#define REPO_MAPDIFF_H

#include "base/vec.h"
#include "format/map.h"
#include "store/fetch.h"
#include <stdbool.h>
#include <vmscm/diff.h>

/* Zero-initialise; the members above the line are the caller's to set. */
struct vmscm_mapdiff {
    struct vmscm_fetch *fetch;
    /* Called for every segment whose leaves differ, with the entries of both sides; may be NULL. */
    int (*segment)(void *data, const struct vmscm_leaf_entry *x, size_t nx,
        const struct vmscm_leaf_entry *y, size_t ny, struct vmscm_error *err);
    void *data;
    /* From the first on of which a leaf cannot be had, segments that differ do so as a whole, and at_most is
     * set: where one is missing, so are mostly others, and looking takes long. */
    bool lenient;

    bool at_most;
    VMSCM_VEC(struct vmscm_diff_range) ranges; /* in order; neighbours are one */
    struct vmscm_buf bytes;
};

/* Fills ranges, which are emptied first. a or b NULL: no such disk, all zeros; so is what is beyond
 * the end of the smaller. Ranges reach up to the size of the larger. */
int vmscm_mapdiff_run(struct vmscm_mapdiff *d, const struct vmscm_map *a,
    const struct vmscm_map *b, struct vmscm_error *err);

void vmscm_mapdiff_release(struct vmscm_mapdiff *d);

#endif
