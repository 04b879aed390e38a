/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A set of ids, each with a number. One thread at a time. */
#ifndef STORE_IDSET_H
#define STORE_IDSET_H

#include "codec/hash.h"
#include <stdbool.h>

struct vmscm_idset_slot {
    struct vmscm_id id;
    uint64_t value;
    bool used;
};

/* Zero-initialised is empty. */
struct vmscm_idset {
    struct vmscm_idset_slot *slots;
    size_t room, count;
};

/* The value of an id, which is added with 0 if it is not there; *added tells. The address is good
 * until the next call. */
int vmscm_idset_get(struct vmscm_idset *set, uint64_t **value, bool *added,
    const struct vmscm_id *id, struct vmscm_error *err);

/* NULL if it is not there. */
const uint64_t *vmscm_idset_find(const struct vmscm_idset *set, const struct vmscm_id *id);

void vmscm_idset_release(struct vmscm_idset *set);

#endif
