/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What an ingest brings and no open pack shows yet: taken by a unit, or on its way into a pack.
 *
 * Threading: the caller's lock.
 */
#ifndef STORE_CLAIMS_H
#define STORE_CLAIMS_H

#include "codec/hash.h"

#include <stdbool.h>
#include <stddef.h>

struct vmscm_claim;

struct vmscm_claims {
    struct vmscm_claim *slots;
    size_t room, count;
};

/* On the caller's storage, all zero before; release it also after a failure. */
int vmscm_claims_init(struct vmscm_claims *claims, struct vmscm_error *err);
void vmscm_claims_release(struct vmscm_claims *claims);

/* *mine: the caller is the first to bring it, and must ready it. */
int vmscm_claims_take(struct vmscm_claims *claims, const struct vmscm_id *id, bool *mine,
    struct vmscm_error *err);

/* What was taken is on its way into the pack of that number. */
void vmscm_claims_queue(struct vmscm_claims *claims, const struct vmscm_id *id, unsigned pack);

/* All packs before `from` can be read: what went into them is no longer kept here. */
int vmscm_claims_forget(struct vmscm_claims *claims, unsigned from, struct vmscm_error *err);

#endif
