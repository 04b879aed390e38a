/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What differs inside two revisions, as diff prints it. */
#ifndef FACTSDIFF_H
#define FACTSDIFF_H

#include "json.h"

/* A table, or what has to be done for it; nothing if they have the same disks. */
int factsdiff_print(struct vmscm_revision *before, struct vmscm_revision *after,
    struct vmscm_error *err);
/* {"before", "after", "changes"}, or null if they have the same disks; *out is the caller's. */
int factsdiff_json(json_t **out, struct vmscm_revision *before, struct vmscm_revision *after,
    struct vmscm_error *err);

#endif
