/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Git's locks, files whose names end with ".lock", that processes left when they died. While
 * locks/refs is held, one of a ref or reflog can only be such, or plain git's, which keeps them for
 * milliseconds.
 */
#ifndef HISTORY_STALELOCK_H
#define HISTORY_STALELOCK_H

#include "history/gitdb.h"

/* Remove a lock that is still the same after `ms`; what it is a lock on is ours alone now. */
void vmscm_stalelock_clear(const char *path, unsigned ms);

/* Remove all that are left in the git directory. Waits a few seconds, for plain git, only if there
 * are any. Takes locks/refs. */
int vmscm_stalelock_sweep(const struct vmscm_gitdb *db, struct vmscm_error *err);

#endif
