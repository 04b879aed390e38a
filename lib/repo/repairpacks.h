/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The first step of a repair: every pack and multi-pack index is whole, or gone to damaged/ after all
 * that is good in it was copied into new packs. */
#ifndef REPO_REPAIRPACKS_H
#define REPO_REPAIRPACKS_H

#include "repo/repairing.h"

/* locks/gc is held. */
int vmscm_repairpacks_run(struct vmscm_repairing *r, struct vmscm_error *err);

#endif
