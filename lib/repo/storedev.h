/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A stored disk as a block device: its map, read chunk by chunk, each verified by hash. */
#ifndef REPO_STOREDEV_H
#define REPO_STOREDEV_H

#include "format/map.h"
#include "image/blockdev.h"
#include "store/store.h"

/* name: for messages; copied. map: moved in; empty after. */
int vmscm_storedev_open(struct vmscm_blockdev **out, struct vmscm_store *store,
    struct vmscm_map *map, const char *name, struct vmscm_error *err);

#endif
