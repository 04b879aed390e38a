/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading a container's root file system out of the disk that was stored of it, in order, see
 * format/container.h. One thread at a time. Internal to lib/bundle.
 */
#ifndef BUNDLE_CONTAINERREAD_H
#define BUNDLE_CONTAINERREAD_H

#include "format/container.h"
#include "image/blockdev.h"

struct vmscm_containerread;

/* dev is borrowed, and read from its start to its end, twice at once. */
int vmscm_containerread_open(struct vmscm_containerread **out, struct vmscm_blockdev *dev,
    struct vmscm_error *err);
void vmscm_containerread_close(struct vmscm_containerread *r); /* NULL is fine */

/* The next member: *group, borrowed until the next call, and *length, the bytes that follow its headers in
 * the archive, its padding among them. After the last one *group is NULL, and *length is that of the rest.
 * VMSCM_EDAMAGED: it is not what a writer stores. */
int vmscm_containerread_next(struct vmscm_containerread *r, const struct vmscm_container_group **group,
    uint64_t *length, struct vmscm_error *err);

/* Some of these bytes, in order: *data, borrowed until the next call, and *len, 0 at their end. What is not
 * read is passed over. */
int vmscm_containerread_data(struct vmscm_containerread *r, const uint8_t **data, size_t *len,
    struct vmscm_error *err);

#endif
