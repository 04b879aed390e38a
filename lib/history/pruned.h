/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which revisions were pruned: their commits, configurations and disk maps stay, the data of their
 * disks need no longer be kept. Notes in a ref of this repository's own, which is never pushed, say
 * so; vmscm-format-repository(5).
 *
 * A note that is there counts, whatever its text. Notes are added with locks/commit held exclusively,
 * by one who under that lock has looked at all refs. They are taken away with it held shared, by one
 * who under that lock has seen that all of the data is there. So:
 *
 *   - who holds the lock and is about to point a ref at a commit can rely on what it is told here;
 *   - gc must load them again where it holds the lock exclusively.
 */
#ifndef HISTORY_PRUNED_H
#define HISTORY_PRUNED_H

#include "history/gitdb.h"
#include <stdbool.h>

#define VMSCM_PRUNED_REF "refs/notes/pruned"

/* All of them, as they were at one moment: 20 bytes each. */
struct vmscm_pruned;

/* Reads one tree for every 256th of them, and no note's text. None where there is no such ref.
 * VMSCM_EDAMAGED. */
int vmscm_pruned_load(struct vmscm_pruned **out, struct vmscm_gitdb *db, struct vmscm_error *err);
void vmscm_pruned_free(struct vmscm_pruned *pruned); /* NULL is fine */

/* pruned may be NULL: none. */
bool vmscm_pruned_has(const struct vmscm_pruned *pruned, const char *commit);
size_t vmscm_pruned_count(const struct vmscm_pruned *pruned);

/* What a note says. */
struct vmscm_pruned_note {
    struct vmscm_signature by; /* name and address "", and time 0, if the note does not say */
    char *rule;                /* which rules let it go; "" likewise */
};

/* One revision's note. VMSCM_ENOTFOUND: it was not pruned; VMSCM_EDAMAGED. */
int vmscm_pruned_read(struct vmscm_pruned_note *out, struct vmscm_gitdb *db, const char *commit,
    struct vmscm_error *err);
void vmscm_pruned_note_release(struct vmscm_pruned_note *note);

/* Give each of these commits the same note, or take all their notes away, in one commit of the notes
 * ref. Those that have one already, or none, are passed over. rule: at most 64 KiB, VMSCM_EUSAGE. */
int vmscm_pruned_add(struct vmscm_gitdb *db, const char *const *commits, size_t count,
    const char *rule, const struct vmscm_signature *who, struct vmscm_error *err);
int vmscm_pruned_remove(struct vmscm_gitdb *db, const char *const *commits, size_t count,
    const struct vmscm_signature *who, struct vmscm_error *err);

#endif
