/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading a stored disk in the order that suits the packs: in each GiB of data each record is read and
 * decompressed once, however its chunks lie on the disk, and by several threads.
 *
 * Records come in the order in which the disk first needs them, so that what is written from it
 * grows about from front to back.
 */
#ifndef REPO_SCATTER_H
#define REPO_SCATTER_H

#include "format/map.h"
#include "store/store.h"

struct vmscm_scatter {
    struct vmscm_store *store;
    const struct vmscm_map *map;
    const char *name; /* of the disk, for messages */
    bool once;        /* see vmscm_fetch_once */
    unsigned jobs; /* twice as many threads run: `each` is likely to wait for a disk */
    /* Data, verified, at an offset of the disk; from several threads at once, in any order, each
     * byte once. Zeros are left out. Non-zero, with err set, ends the run. */
    int (*each)(void *data, const void *bytes, size_t len, uint64_t offset,
        struct vmscm_error *err);
    void *data;
};

/* From segment `first` on, count of them, a GiB of data at a time; takes 3 MiB of memory for each job's
 * threads, and as much to list the chunks. */
int vmscm_scatter_run(const struct vmscm_scatter *scatter, uint64_t first, uint64_t count,
    struct vmscm_error *err);

#endif
