/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A root file system's tar archive as the disk that is stored of it, see format/container.h. It is read where
 * it is; of its members, only their places are kept in memory. Internal to lib/bundle.
 */
#ifndef BUNDLE_CONTAINERDEV_H
#define BUNDLE_CONTAINERDEV_H

#include "format/container.h"
#include "image/blockdev.h"

/* Calls each for every member, in the archive's order, until it returns something else than 0, which is
 * returned. path: for messages. VMSCM_EREFUSED: a member, or what a hard link leads to, has a name that
 * leaves the archive, or is of an unknown kind; VMSCM_EINPUT: malformed, or truncated. */
int vmscm_containerdev_walk(int fd, const char *path,
    int (*each)(void *data, const struct vmscm_container_group *group, struct vmscm_error *err),
    void *data, struct vmscm_error *err);

/* path: copied. */
int vmscm_containerdev_open(struct vmscm_blockdev **out, const char *path, struct vmscm_error *err);

#endif
