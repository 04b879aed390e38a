/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Looks at the indexes of git's packs before libgit2 follows them: it compares no checksum
 * of theirs, and one that leads elsewhere makes it read beyond the pack.
 */
#ifndef HISTORY_GITPACKS_H
#define HISTORY_GITPACKS_H

#include "base/error.h"

/* All packs of a directory of objects. VMSCM_EDAMAGED, with a hint at how to make the index anew. */
int vmscm_gitpacks_check(const char *objects, struct vmscm_error *err);

/* One of them, by the name of its index's file. One whose pack is not there is fine. */
int vmscm_gitpacks_check_index(const char *objects, const char *name, struct vmscm_error *err);

#endif
