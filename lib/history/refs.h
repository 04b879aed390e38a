/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Refs, compared and swapped. A change holds locks/refs exclusively, so a ".lock" file met while
 * holding it was left by a process that died (or is plain git's, which keeps its locks for
 * milliseconds): it is waited for briefly, then removed.
 *
 * Ref names are whole: "refs/heads/web". Every change writes the reflog.
 */
#ifndef HISTORY_REFS_H
#define HISTORY_REFS_H

#include "history/gitdb.h"

/* The object a ref points at (a tag object for annotated tags). VMSCM_ENOTFOUND; VMSCM_EDAMAGED. */
int vmscm_refs_read(char *id, struct vmscm_gitdb *db, const char *ref, struct vmscm_error *err);

/* The commit a ref leads to, tags peeled. */
int vmscm_refs_read_commit(char *id, struct vmscm_gitdb *db, const char *ref,
    struct vmscm_error *err);

/* The commit that an object is, or leads to as a tag. VMSCM_EDAMAGED. */
int vmscm_refs_peel(char *commit, struct vmscm_gitdb *db, const char *id, struct vmscm_error *err);

/* Move or make a ref. expected: NULL, any value or none; "", it must not exist (VMSCM_EEXIST);
 * else it must have this id (VMSCM_ECONFLICT). Durable when it returns. */
int vmscm_refs_update(struct vmscm_gitdb *db, const char *ref, const char *expected,
    const char *id, const struct vmscm_signature *who, const char *why, struct vmscm_error *err);

/* Make what a ref is now durable: who set it may have been killed before it did. */
int vmscm_refs_sync(struct vmscm_gitdb *db, const char *ref, struct vmscm_error *err);

/* Remove a ref and its reflog; expected as above ("" is not allowed). */
int vmscm_refs_delete(struct vmscm_gitdb *db, const char *ref, const char *expected,
    struct vmscm_error *err);

/* Make `to` what `from` is, with its reflog; VMSCM_EEXIST, also where git's files would clash ("a",
 * "a/b"). A copy for the same reason that a process was killed over is completed. */
int vmscm_refs_copy(struct vmscm_gitdb *db, const char *from, const char *to,
    const struct vmscm_signature *who, const char *why, struct vmscm_error *err);

/* A copy, and then the other one goes. */
int vmscm_refs_rename(struct vmscm_gitdb *db, const char *from, const char *to,
    const struct vmscm_signature *who, const char *why, struct vmscm_error *err);

/* Every id in every reflog entry of a ref, newest first (new and old side, not zeros). */
int vmscm_refs_log_ids(struct vmscm_gitdb *db, const char *ref,
    int (*each)(void *data, const char *id), void *data, struct vmscm_error *err);

/* Annotated tag object on a commit, then its ref. expected as for update. */
int vmscm_refs_tag(struct vmscm_gitdb *db, const char *ref, const char *expected,
    const char *commit, const char *name, const char *message, const struct vmscm_signature *who,
    struct vmscm_error *err);

/* Message and tagger of an annotated tag; strings are the caller's (free each). */
int vmscm_refs_tag_read(char **message, struct vmscm_signature *tagger, struct vmscm_gitdb *db,
    const char *ref, struct vmscm_error *err);

#endif
