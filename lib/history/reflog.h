/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading git's reflogs, whose lines are "OLD NEW NAME <EMAIL> SECONDS ZONE\tMESSAGE". A line that
 * is none (a power cut may tear the last one) is passed over. Not for other rooms.
 */
#ifndef HISTORY_REFLOG_H
#define HISTORY_REFLOG_H

#include "history/git.h"

struct vmscm_reflog_entry {
    char before[VMSCM_GITDB_ID]; /* all zeros: the ref was made */
    char after[VMSCM_GITDB_ID];
    int64_t time;
};

struct vmscm_reflog {
    struct vmscm_reflog_entry *entries; /* oldest first; without those that note a removal */
    size_t count;
};

/* A ref without a reflog has an empty one. */
int vmscm_reflog_read(struct vmscm_reflog *out, const struct vmscm_gitdb *db, const char *ref,
    struct vmscm_error *err);
void vmscm_reflog_release(struct vmscm_reflog *log);

/* Every reflog, whether or not there is such a ref: "refs/heads/web", "HEAD". In no order. */
int vmscm_reflog_list(const struct vmscm_gitdb *db, int (*each)(void *data, const char *ref),
    void *data, struct vmscm_error *err);

/* Both ids of every line, oldest first. Here a line that does not begin with two ids is
 * VMSCM_EDAMAGED, but for a last one that has no end, or zeros at its beginning. */
int vmscm_reflog_scan(const struct vmscm_gitdb *db, const char *ref,
    int (*each)(void *data, const char *before, const char *after), void *data,
    struct vmscm_error *err);

bool vmscm_reflog_is_zero(const char *id);

/* Cut off a last line that was not written to its end, before another is appended to it: what it was to
 * tell of did not happen. locks/refs is held. */
int vmscm_reflog_mend(const struct vmscm_gitdb *db, const char *ref, struct vmscm_error *err);

/* Note in the reflog that its ref, which is on id, is about to be removed: if it is found without the
 * ref, that was meant. Durable. locks/refs is held. */
int vmscm_reflog_note_removal(const struct vmscm_gitdb *db, const char *ref, const char *id,
    struct vmscm_error *err);

/* Whether that is what it ends with. */
int vmscm_reflog_is_removed(bool *removed, const struct vmscm_gitdb *db, const char *ref,
    struct vmscm_error *err);

enum vmscm_reflog_trim {
    VMSCM_REFLOG_KEEP_NEWEST, /* old lines, but for the newest of all */
    VMSCM_REFLOG_ANY,         /* old lines */
    VMSCM_REFLOG_WHOLE,       /* all */
};

/* Remove lines, of which *removed are then counted, and the file with the last one; with dry only
 * count. One with a line that cannot be read keeps all, unless it goes. Atomic and durable. The ref
 * is locked. */
int vmscm_reflog_trim(uint64_t *removed, const struct vmscm_gitdb *db, const char *ref,
    enum vmscm_reflog_trim how, int64_t before, bool dry, struct vmscm_error *err);

/* Give `to` the history of `from`, with a line for the rename; `from` stays. Durable. */
int vmscm_reflog_copy(const struct vmscm_gitdb *db, const char *from, const char *to,
    const char *id, const struct vmscm_signature *who, const char *why, struct vmscm_error *err);

/* Whether `to` was made by vmscm_reflog_copy from what `from` still is, for the same reason, or is about
 * to be: its ref was made, and who made it was killed before the copy (*whole is false then). */
int vmscm_reflog_is_copy(bool *is, bool *whole, const struct vmscm_gitdb *db, const char *from,
    const char *to, const char *why, struct vmscm_error *err);

/* Remove the reflogs at, above and below a ref that is about to be made, where there are no refs: a
 * process was killed while it removed one. They would be in the way as files, or become the new
 * ref's past. locks/refs is held. */
int vmscm_reflog_clear(const struct vmscm_gitdb *db, const char *ref, struct vmscm_error *err);

#endif
