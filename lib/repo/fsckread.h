/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading and hashing every chunk of a disk of a revision, by several threads. */
#ifndef REPO_FSCKREAD_H
#define REPO_FSCKREAD_H

#include "format/map.h"
#include "store/idset.h"
#include "store/store.h"
#include <vmscm/events.h>

struct vmscm_fsckread {
    struct vmscm_store *store;
    const struct vmscm_map *map;
    const char *item; /* for progress */
    unsigned jobs;
    const struct vmscm_events *events;
    bool (*skip)(void *data, const struct vmscm_id *leaf); /* was read before */
    void *data;
    struct vmscm_idset *bad; /* gets the ids of what cannot be read, in any pack */
    uint64_t chunks, bytes;  /* out */
};

/* Leaves that cannot be read are left for others to tell. Fails only where it could not look. */
int vmscm_fsckread_disk(struct vmscm_fsckread *read, struct vmscm_error *err);

#endif
