/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Advisory locks that end with their process: flock(2) on a file that stays. A lock that is held
 * means its holder lives; nothing is ever judged by age.
 */
#ifndef SYS_LOCKFILE_H
#define SYS_LOCKFILE_H

#include "base/error.h"

enum vmscm_lockfile_mode { VMSCM_LOCK_SHARED, VMSCM_LOCK_EXCLUSIVE };

/* Open (creating if need be) and lock, waiting for as long as it takes. *fd is the caller's. */
int vmscm_lockfile_acquire(int *fd, const char *path, enum vmscm_lockfile_mode mode,
    struct vmscm_error *err);

/* As acquire, but VMSCM_EBUSY at once if someone else holds it. */
int vmscm_lockfile_try(int *fd, const char *path, enum vmscm_lockfile_mode mode,
    struct vmscm_error *err);

/* Unlock and close; sets *fd to -1; -1 is fine. */
void vmscm_lockfile_release(int *fd);

#endif
