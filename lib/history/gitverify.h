/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether what a commit needs of history is whole, as it is on the disk: nothing that was read before
 * counts.
 *
 * Threading: as the database's.
 */
#ifndef HISTORY_GITVERIFY_H
#define HISTORY_GITVERIFY_H

#include "history/gitdb.h"

/* Check that a commit, its trees and all their blobs exist, have the hash their name says, and are of
 * their type. Parents are not followed. VMSCM_ENOTFOUND: there is no such commit; VMSCM_EDAMAGED. */
int vmscm_gitverify_revision(struct vmscm_gitdb *db, const char *id, struct vmscm_error *err);

/* The same for a commit of notes, of which there can be more than files in a revision. */
int vmscm_gitverify_notes(struct vmscm_gitdb *db, const char *id, struct vmscm_error *err);

#endif
