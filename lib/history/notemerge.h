/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Merging notes of two histories: the union of their lines, in a commit with both as parents. */
#ifndef HISTORY_NOTEMERGE_H
#define HISTORY_NOTEMERGE_H

#include "history/gitdb.h"
#include <stdbool.h>

/* Let a notes ref have what another commit of notes has, too. *changed: it moved. All that the commit
 * leads to is there, and stays; what it is, is looked at. No line of ours is lost, even if the other
 * follows from ours without it. Begun anew when someone else changes the ref at the same time.
 * VMSCM_EDAMAGED: a tree or note of ours cannot be read; VMSCM_EINPUT: the other is not what it must be. */
int vmscm_notemerge_run(bool *changed, struct vmscm_gitdb *db, const char *notes_ref,
    const char *other, const struct vmscm_signature *who, struct vmscm_error *err);

/* What the ref would become by this, and what it is now ("" if it is not there): the commit is made, but
 * nothing moves. */
int vmscm_notemerge_make(char *fresh, char *now, struct vmscm_gitdb *db, const char *notes_ref,
    const char *other, const struct vmscm_signature *who, struct vmscm_error *err);

#endif
