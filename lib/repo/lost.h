/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Chunks and leaves that revisions need and no pack has. Threading: finding needs no lock. */
#ifndef REPO_LOST_H
#define REPO_LOST_H

#include "base/vec.h"
#include "store/fetch.h"
#include "store/idset.h"

#define VMSCM_LOST_PLACES 4         /* that are remembered of each */
#define VMSCM_LOST_MAX (1u << 20) /* that are looked for at a time */

struct vmscm_lost_item {
    struct vmscm_id id;
    enum vmscm_pack_type type;
    bool there;  /* meanwhile */
    bool sought; /* before: no need to look in every place again */
    uint8_t place_count;
    uint32_t length; /* of a chunk */
    uint64_t places[VMSCM_LOST_PLACES]; /* on a disk */
};

/* Zero-initialised is empty. */
struct vmscm_lost {
    VMSCM_VEC(struct vmscm_lost_item) items; /* in the order of history and disks */
    struct vmscm_idset index;                /* one more than the number of the item */
};

/* As vmscm_fsckhistory's callback; data is a struct vmscm_lost. What is more than VMSCM_LOST_MAX is left
 * for another time. */
int vmscm_lost_add(void *data, enum vmscm_pack_type type, const struct vmscm_id *id,
    uint64_t offset, uint32_t length, struct vmscm_error *err);

/* Whether an id is one of them and still missing; data as above. */
bool vmscm_lost_has(void *data, const struct vmscm_id *id);

/* See which of them are there now, and add their number to *found. bad: ids of which it takes reading to
 * know. */
int vmscm_lost_update(struct vmscm_lost *lost, struct vmscm_store *store,
    const struct vmscm_idset *bad, uint64_t *found, struct vmscm_error *err);

void vmscm_lost_release(struct vmscm_lost *lost);

#endif
