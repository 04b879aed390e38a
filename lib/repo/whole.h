/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether all that disk maps lead to is in packs, without reading more than leaves. One thread. */
#ifndef REPO_WHOLE_H
#define REPO_WHOLE_H

#include "base/buf.h"
#include "format/map.h"
#include "repo/promises.h"
#include "store/fetch.h"
#include "store/idset.h"

/* Zero-initialised, it was never used. */
struct vmscm_whole {
    const struct vmscm_promises *promises; /* the user's to set: what is these need not be there */
    struct vmscm_fetch *fetch;
    struct vmscm_buf bytes;
    struct vmscm_idset leaves; /* of which all is there; the length that was checked */
};

/* Marks the packs of all that it finds as relied on: vmscm_store_confirm. The trash does not count.
 * VMSCM_EDAMAGED: something is missing. */
int vmscm_whole_check(struct vmscm_whole *whole, struct vmscm_store *store,
    const struct vmscm_map *map, struct vmscm_error *err);

void vmscm_whole_release(struct vmscm_whole *whole);

#endif
