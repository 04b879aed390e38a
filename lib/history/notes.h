/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Notes on commits: text kept under a notes ref, one item a line, so that a union of lines merges
 * two histories of notes without losing anyone's. Comments are lines of JSON
 * {"author","email","date","text"}, specified in vmscm-format-repository(5).
 */
#ifndef HISTORY_NOTES_H
#define HISTORY_NOTES_H

#include "history/gitdb.h"

#define VMSCM_NOTES_COMMENTS "refs/notes/comments"

/* Append one line to a commit's note; retried when someone else appends at the same time. */
int vmscm_notes_append(struct vmscm_gitdb *db, const char *notes_ref, const char *commit,
    const char *line, const struct vmscm_signature *who, struct vmscm_error *err);

/* The whole note, appended to buf; VMSCM_ENOTFOUND if there is none. */
int vmscm_notes_read(struct vmscm_buf *buf, struct vmscm_gitdb *db, const char *notes_ref,
    const char *commit, struct vmscm_error *err);

/* What names a note as it is now: into id, VMSCM_GITDB_ID bytes, its blob's 40 digits, or "" if it is in
 * several parts. VMSCM_ENOTFOUND. */
int vmscm_notes_id(char *id, struct vmscm_gitdb *db, const char *notes_ref, const char *commit,
    struct vmscm_error *err);

/* Every note of a ref: each(data, what it is on, blob) with both as 40 digits, more than once if a note is at
 * several levels. Nothing if there are none. Non-zero from each ends the walk and is returned. */
int vmscm_notes_list(struct vmscm_gitdb *db, const char *notes_ref,
    int (*each)(void *data, const char *subject, const char *blob), void *data,
    struct vmscm_error *err);

/* Comments in that form. Lines that are not valid are skipped when reading. */
int vmscm_notes_comment(struct vmscm_gitdb *db, const char *commit, const char *text,
    const struct vmscm_signature *who, struct vmscm_error *err);
int vmscm_notes_comments(struct vmscm_gitdb *db, const char *commit,
    int (*each)(void *data, const struct vmscm_signature *author, const char *text), void *data,
    struct vmscm_error *err);
/* Those in the text of a note, oldest first. */
int vmscm_notes_each(const char *note,
    int (*each)(void *data, const struct vmscm_signature *author, const char *text), void *data,
    struct vmscm_error *err);

#endif
