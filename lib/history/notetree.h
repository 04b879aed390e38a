/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The tree of a notes ref. A note is a blob in it, named by the 40 digits of what it is on, of which
 * git may put leading pairs into directories. Ours always has one such level, as a flat tree would be
 * written anew, whole, with every note. Notes that plain git put elsewhere are found and kept there.
 * Not for other rooms.
 */
#ifndef HISTORY_NOTETREE_H
#define HISTORY_NOTETREE_H

#include "base/buf.h"
#include "history/git.h"

/* What is left of the 40 digits where the tree is: its note, or the directory for the next two; NULL
 * if there is none. tree may be NULL. */
const git_tree_entry *vmscm_notetree_note(const git_tree *tree, const char *digits);
const git_tree_entry *vmscm_notetree_below(const git_tree *tree, const char *digits);

/* The commit that a notes ref names, and its id. VMSCM_ENOTFOUND. Free with git_commit_free. */
int vmscm_notetree_tip(git_commit **tip, char *id, struct vmscm_gitdb *db, const char *notes_ref,
    struct vmscm_error *err);

#define VMSCM_NOTETREE_MAX ((size_t)64 << 20) /* bytes of a note */

/* Append a note's text; it ends with a line's end if it is not empty. VMSCM_EDAMAGED: it is no blob, or
 * too large. */
int vmscm_notetree_text(struct vmscm_buf *buf, struct vmscm_gitdb *db, const git_oid *blob,
    struct vmscm_error *err);

/* Makes the new tree from the old one (NULL: there is none yet), adding what it writes to objects. */
typedef int (*vmscm_notetree_make)(git_oid *out, struct vmscm_gitdb *db, const git_oid *old,
    void *data, struct vmscm_git_objects *objects, struct vmscm_error *err);

/* Change the tree in one commit; begun anew when someone else changes it at the same time. Nothing
 * is written if nothing changes. what: "added", "removed". */
int vmscm_notetree_change(struct vmscm_gitdb *db, const char *notes_ref, const char *what,
    const struct vmscm_signature *who, vmscm_notetree_make make, void *data,
    struct vmscm_error *err);

#endif
