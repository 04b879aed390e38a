/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether a disk on disk is what a revision says: every byte of it is read back and hashed. */
#ifndef REPO_VERIFY_H
#define REPO_VERIFY_H

#include "format/map.h"
#include "image/probe.h"
#include "store/store.h"
#include <vmscm/events.h>

struct vmscm_verify {
    struct vmscm_store *store;
    const char *path; /* the image */
    enum vmscm_probe_format format;
    const struct vmscm_map *map;
    unsigned jobs;
    const struct vmscm_events *events; /* progress, cancel; may be NULL */
    const char *item;                  /* for progress */
};

/* VMSCM_EIO: it is another one, "PATH: ... reads back". Others: as reading the image and the
 * repository. */
int vmscm_verify_disk(const struct vmscm_verify *what, struct vmscm_error *err);

#endif
