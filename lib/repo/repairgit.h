/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The step of a repair that sees to the git directory: objects of history that are missing or damaged. */
#ifndef REPO_REPAIRGIT_H
#define REPO_REPAIRGIT_H

#include "repo/source.h"

/* locks/gc is held in both.
 * Packs of git's. The repository is not open, and need not be one that can be. */
int vmscm_repairgit_packs(struct vmscm_repairing *r, struct vmscm_error *err);

/* Then all objects. */
int vmscm_repairgit_run(struct vmscm_repairing *r, struct vmscm_source *const *sources,
    size_t count, struct vmscm_error *err);

#endif
