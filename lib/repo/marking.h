/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which chunks and leaves the repository needs: those of all revisions that a ref, a reflog or a lease
 * leads to and that were not pruned. It can be brought up to date: what was marked stays marked, and
 * only what came since is looked at.
 *
 * Threading: one thread at a time.
 */
#ifndef REPO_MARKING_H
#define REPO_MARKING_H

#include "history/roots.h"
#include "repo/handle.h"
#include "store/live.h"

struct vmscm_marking;

/* Packs that are in the store now are those that may go; those that a living process just made are
 * kept. The store is the caller's, and no one else's. */
int vmscm_marking_new(struct vmscm_marking **out, struct vmscm_repo *repo,
    struct vmscm_store *store, const struct vmscm_events *events, struct vmscm_error *err);
void vmscm_marking_free(struct vmscm_marking *marking); /* NULL is fine */

/* Mark all that is needed now and is not marked yet. What is missing in packs but in trash is brought
 * back first, unless `look` only. VMSCM_EDAMAGED: something is missing or cannot be read; then
 * nothing is known. */
int vmscm_marking_update(struct vmscm_marking *marking, bool look, struct vmscm_error *err);

/* Just this of it: packs that a living process made and may yet need are kept. */
int vmscm_marking_keep(struct vmscm_live *live, struct vmscm_repo *repo,
    struct vmscm_error *err);

struct vmscm_live *vmscm_marking_live(struct vmscm_marking *marking);

/* What the last update began with; borrowed until the next. */
const struct vmscm_roots *vmscm_marking_roots(const struct vmscm_marking *marking);

#endif
