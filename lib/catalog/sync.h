/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bringing the catalog up to date with history: only what is new is read. */
#ifndef CATALOG_SYNC_H
#define CATALOG_SYNC_H

#include "catalog/db.h"
#include "repo/handle.h"

/* Opens the repository's catalog, made anew if it is damaged or old, and up to date with the refs as they
 * are now. In memory where the repository cannot be written to. */
int vmscm_sync_open(struct vmscm_db *db, struct vmscm_repo *repo, struct vmscm_error *err);

/* Opens it as it is, for what is kept in it by content and so is never out of date; it may be new, and empty.
 * false: it cannot be had now, and nothing is lost but time. */
bool vmscm_sync_open_as_is(struct vmscm_db *db, struct vmscm_repo *repo);

#endif
