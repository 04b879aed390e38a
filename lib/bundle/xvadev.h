/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A disk in an XVA archive, see bundle/xvain.h: its blocks, and reading it. Internal to lib/bundle. */
#ifndef BUNDLE_XVADEV_H
#define BUNDLE_XVADEV_H

#include "bundle/tar.h"
#include "bundle/xvaqueue.h"
#include "image/blockdev.h"
#include <sys/stat.h>

struct vmscm_xvadev;

/* Of the archive path (borrowed), of size bytes; verify: hold blocks against their digests. */
int vmscm_xvadev_new(struct vmscm_xvadev **out, const char *path, const char *name, uint64_t size,
    bool verify, struct vmscm_error *err);
void vmscm_xvadev_free(struct vmscm_xvadev *disk); /* NULL is fine */

/* The archive is packed, and its blocks come through the queue, which is borrowed until it is opened; number:
 * the disk's there. Before the first member. */
void vmscm_xvadev_set_queue(struct vmscm_xvadev *disk, struct vmscm_xvaqueue *queue, uint32_t number);

/* The next member of the disk's folder, whose name there is `name`. VMSCM_EREFUSED: see xvain.h. */
int vmscm_xvadev_add(struct vmscm_xvadev *disk, const struct vmscm_tar_member *member,
    const char *name, struct vmscm_error *err);

/* After the last one. Takes the disk over, whatever is returned. st: of the archive when it was looked at. */
int vmscm_xvadev_open(struct vmscm_blockdev **out, struct vmscm_xvadev *disk, const struct stat *st,
    struct vmscm_error *err);

#endif
