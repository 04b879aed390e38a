/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Putting git's loose objects into a pack when there are many, whether they are needed or not: nothing
 * is looked for, nothing is lost, and a collection of garbage finds them there later. Beside readers
 * and writers: whoever misses an object looks for new packs, and there is one before anything goes.
 */
#ifndef HISTORY_PACKLOOSE_H
#define HISTORY_PACKLOOSE_H

#include "history/gitdb.h"

#include <stdbool.h>

/* Whether there may be more than max: a guess from one directory of 256, as plain git's. */
bool vmscm_packloose_is_due(const struct vmscm_gitdb *db, size_t max);

/* Pack them all. One collector at a time, which the caller sees to. progress and data: as
 * vmscm_gitpack_write has them. VMSCM_EDAMAGED: one is; nothing was changed. */
int vmscm_packloose_run(struct vmscm_gitdb *db, unsigned jobs,
    int (*progress)(void *data, uint64_t done, uint64_t total), void *data,
    struct vmscm_error *err);

#endif
