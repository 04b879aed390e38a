/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Raw disks that need not be written, since another checkout on the same file system has them: they
 * are cloned (ioctl_ficlonerange(2)), sharing blocks until either is changed. The repository
 * remembers its checkouts for that, in `checkouts`; that is a hint and may lag behind.
 *
 * Another checkout is believed only if it is the user's own, and its file is as its .vmscm-checkout
 * says, before and after it was cloned.
 */
#ifndef REPO_REFLINK_H
#define REPO_REFLINK_H

#include "format/map.h"
#include "repo/handle.h"
#include "repo/workfile.h"

/* Make path, which must not be there, a clone of the disk that is most like `map`. *cloned: done,
 * and *old is what it holds (the caller's to release); else there is none, or the file system does
 * not clone, and path is not there. */
int vmscm_reflink_clone(bool *cloned, struct vmscm_map *old, struct vmscm_repo *repo,
    const char *path, const struct vmscm_map *map, const struct vmscm_events *events,
    struct vmscm_error *err);

/* Remember a checkout that was just made. Failing to is no failure. */
void vmscm_reflink_remember(const struct vmscm_repo *repo, const char *dir,
    const struct vmscm_workfile *work);

#endif
