/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Listing refs. The files are read here and not by libgit2, whose iterator looks at every ref there
 * is, several times, and leaves out those it cannot read.
 */
#ifndef HISTORY_REFLIST_H
#define HISTORY_REFLIST_H

#include "history/gitdb.h"

/* Every ref whose name starts with prefix, sorted; id is NULL for an unreadable one. Non-zero from
 * each ends the walk and is returned. */
int vmscm_reflist_walk(struct vmscm_gitdb *db, const char *prefix,
    int (*each)(void *data, const char *ref, const char *id), void *data,
    struct vmscm_error *err);

#endif
