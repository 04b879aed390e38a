/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which packs garbage collection drops and which it writes anew: those of which enough is garbage, and
 * small ones once there are several, so that a repository of many small check-ins stays one of few
 * files. Of these the smallest are merged, and each next one that has no more than twice what all before
 * it have: so that each byte is rewritten a logarithmic number of times.
 */
#ifndef STORE_PLAN_H
#define STORE_PLAN_H

#include "store/live.h"

#define VMSCM_PLAN_SMALL (64u << 20) /* bytes; a pack of fewer is small */
#define VMSCM_PLAN_MERGE 8           /* small packs are merged, so many or more */

enum vmscm_plan_what { VMSCM_PLAN_KEEP, VMSCM_PLAN_DROP, VMSCM_PLAN_REPACK };

struct vmscm_plan_pack {
    size_t number; /* among live's */
    enum vmscm_plan_what what;
    uint64_t bytes;  /* of the file */
    uint64_t needed; /* of these, by the share of plain bytes */
    uint32_t marks;  /* entries that were needed when the plan was made */
    bool left;       /* not to be merged: some of it cannot be had */
};

struct vmscm_plan {
    struct vmscm_plan_pack *packs; /* those to repack by how much of them is garbage, most first */
    size_t count;
};

/* By what is marked. threshold: percent of garbage beyond which a pack is written anew; all: each is
 * that has anything needed. */
int vmscm_plan_make(struct vmscm_plan *plan, struct vmscm_store *store, struct vmscm_live *live,
    unsigned threshold, bool all, struct vmscm_error *err);

/* Without knowing what is needed: small ones only. Marks all of those to be repacked. One with chunks
 * whose bases are gone, as they may be where nobody needs the chunks, is left alone. */
int vmscm_plan_merge(struct vmscm_plan *plan, struct vmscm_store *store, struct vmscm_live *live,
    struct vmscm_error *err);

/* Whether a merge would find something, by the packs that no multi-pack index lists: what a check-in
 * knows when it ends. While nobody else uses the store. */
bool vmscm_plan_is_due(const struct vmscm_store *store);

void vmscm_plan_release(struct vmscm_plan *plan);

#endif
