/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A stored disk as a block device: its map, read chunk by chunk, each verified by hash. */
#ifndef REPO_STOREDEV_H
#define REPO_STOREDEV_H

#include "format/map.h"
#include "image/blockdev.h"
#include "store/recordcache.h"
#include "store/store.h"
#include <vmscm/disk.h>

/* name: for messages; copied. map: moved in; empty after. cache: shared with others, for reads of
 * any size in any order; NULL for who reads through it once. It lives longer. */
int vmscm_storedev_open(struct vmscm_blockdev **out, struct vmscm_store *store,
    struct vmscm_map *map, const char *name, struct vmscm_recordcache *cache,
    struct vmscm_error *err);

/* Bring what is not here of these places, of a store that does not have all there is, in few requests; with
 * another one nothing is done. They may be beyond the end. Errors as vmscm_elsewhere_bring, and
 * VMSCM_ECANCELED. */
int vmscm_storedev_bring(struct vmscm_blockdev *dev, const struct vmscm_disk_place *places,
    size_t count, const struct vmscm_events *events, struct vmscm_error *err);

/* Get what is there into the cache. What cannot be read is told to who reads it. */
void vmscm_storedev_warm(struct vmscm_blockdev *dev, uint64_t offset, uint64_t len);

#endif
