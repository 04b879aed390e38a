/* SPDX-License-Identifier: GPL-3.0-or-later */
/* HEAD of the git directory: of no meaning to vmscm, but plain git starts there. */
#ifndef HISTORY_HEAD_H
#define HISTORY_HEAD_H

#include "history/gitdb.h"

/* Let HEAD name a machine's ref, just written, if what it names is not there. Failing does no harm.
 * Called with locks/refs held. */
void vmscm_head_adopt(struct vmscm_gitdb *db, const char *ref);

#endif
