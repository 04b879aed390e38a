/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A repair under way: what its steps share. One thread at a time. */
#ifndef REPO_REPAIRING_H
#define REPO_REPAIRING_H

#include "repo/handle.h"
#include "store/idset.h"
#include <vmscm/repair.h>

struct vmscm_repairing {
    const char *path; /* of the repository */
    struct vmscm_repo *repo; /* and store: NULL before it is opened */
    struct vmscm_store *store;
    const struct vmscm_events *events;
    unsigned jobs;
    int level; /* zstd */
    void (*done)(void *, const struct vmscm_repair_action *);
    void *data;
    struct vmscm_repair_result *result;
    struct vmscm_idset bad; /* ids that are damaged in some pack */
};

/* Tell of something that was done, or left undone. */
void vmscm_repairing_tell(const struct vmscm_repairing *r, const char *object, const char *fmt,
    ...) VMSCM_PRINTF(3, 4);

/* Move a file, relative to the repository, to damaged/ and tell why. The caller sees to it that nobody
 * relies on it. */
int vmscm_repairing_set_aside(const struct vmscm_repairing *r, const char *file, const char *name,
    bool stays, const char *why, struct vmscm_error *err);

/* For callbacks that take the repair as their data. */
int vmscm_repairing_canceled(void *data, struct vmscm_error *err);

#endif
