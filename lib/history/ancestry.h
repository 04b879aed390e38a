/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Walking history: every commit that an id leads to, each once however many walks come by it.
 * Threading: one thread at a time.
 */
#ifndef HISTORY_ANCESTRY_H
#define HISTORY_ANCESTRY_H

#include "history/gitdb.h"
#include <stdbool.h>

/* The commits that were visited. */
struct vmscm_ancestry;

int vmscm_ancestry_new(struct vmscm_ancestry **out, struct vmscm_error *err);
void vmscm_ancestry_free(struct vmscm_ancestry *ancestry); /* NULL allowed */

/* Visit every commit that can be reached from id, a commit or a tag of one, and was not visited
 * before: a commit before its parents. An id that is, or as a tag leads to, a tree or a blob has no
 * commits, and nothing is visited. commit is borrowed. Non-zero from each ends the walk and is
 * returned. VMSCM_EDAMAGED: a commit or tag is missing (the message names it, and the commit whose
 * parent it is) or cannot be read. After a failure the rest is not visited, and not to be had by
 * walking again.
 *
 * Commits of notes are commits like others, but no revisions: walk from what is below refs/notes/
 * (struct vmscm_roots_entry says) with an ancestry of its own, so that one that is both is visited
 * as either. */
int vmscm_ancestry_walk(struct vmscm_ancestry *ancestry, struct vmscm_gitdb *db, const char *id,
    int (*each)(void *data, const char *commit), void *data, struct vmscm_error *err);

/* Whether commit `from` is `to`, or follows from it. VMSCM_EDAMAGED: some commit on the way is missing or
 * cannot be read. */
int vmscm_ancestry_leads(bool *leads, struct vmscm_gitdb *db, const char *from, const char *to,
    struct vmscm_error *err);

#endif
