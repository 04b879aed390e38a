/* SPDX-License-Identifier: GPL-3.0-or-later */
/* git's own locks on refs. The caller holds locks/refs, so that a lock file that it finds is plain
 * git's, or that of a process that died. Not for other rooms. */
#ifndef HISTORY_REFLOCK_H
#define HISTORY_REFLOCK_H

#include "history/git.h"
#include <git2/transaction.h>

/* Lock one ref, so that plain git can work at the same time. Free with git_transaction_free. */
int vmscm_reflock_begin(git_transaction **tx, const struct vmscm_gitdb *db, const char *ref,
    struct vmscm_error *err);

/* Remove the lock of a file ("packed-refs") if it is there and still the same after ms. */
void vmscm_reflock_clear(const struct vmscm_gitdb *db, const char *name, unsigned ms);

#endif
