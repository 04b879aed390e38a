/* SPDX-License-Identifier: GPL-3.0-or-later */
/* HEAD of the git directory: of no meaning to vmscm, but plain git starts there. */
#ifndef HISTORY_HEAD_H
#define HISTORY_HEAD_H

#include "history/gitdb.h"

/* Let HEAD name a machine's ref, just written, if what it names is not there. Failing does no harm.
 * Called with locks/refs held. */
void vmscm_head_adopt(struct vmscm_gitdb *db, const char *ref);

/* Let HEAD name no ref if it names one that cannot be read: libgit2 would change no other. Called with
 * locks/refs held. */
int vmscm_head_leave_damaged(struct vmscm_gitdb *db, struct vmscm_error *err);

#endif
