/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What keeps objects: the ids that refs and reflogs name. Whoever removes what nothing needs reads
 * them all or removes nothing.
 */
#ifndef HISTORY_ROOTS_H
#define HISTORY_ROOTS_H

#include "history/gitdb.h"
#include <stdbool.h>

struct vmscm_roots_entry {
    const char *name; /* for messages: "refs/heads/web", or "refs/heads/web@reflog"; borrowed */
    char id[VMSCM_GITDB_ID]; /* of a commit, a tag, or what else a ref may be on */
    bool notes; /* named by nothing but what is below refs/notes/: its commits are no revisions */
};

struct vmscm_roots {
    struct vmscm_roots_entry *entries; /* sorted by id, each id once */
    size_t count;
    char **names; /* what the entries' names are in */
    size_t name_count;
};

/* Every ref, HEAD if it is on an object, and every id in the line of a reflog, also of one whose
 * ref is gone, but for HEAD's. That their objects exist, on the disk and not just in what was read
 * before, is checked, no more. An id that several name goes by the name of a ref first, not a note's,
 * first by the alphabet. A symbolic ref to a ref that is not there is none. *out is released in any
 * case.
 *
 * VMSCM_EDAMAGED, with a hint: a ref, packed-refs or a reflog cannot be read, or an object that one
 * names is missing. A reflog's too: it is written after its object is durable, and an id that
 * changed on the disk is all that is left of the one that was there. VMSCM_EUNSUPPORTED: plain
 * git has worktrees here, which need more than refs say. */
int vmscm_roots_read(struct vmscm_roots *out, struct vmscm_gitdb *db, struct vmscm_error *err);

/* Whether a commit is among those that roots lead to, those of notes apart. first: a ref to look at
 * before all others, which saves looking at them if it leads there; NULL: none. */
int vmscm_roots_reach(bool *reached, struct vmscm_gitdb *db, const char *commit, const char *first,
    struct vmscm_error *err);

/* One more, if it is not there. name is static. */
int vmscm_roots_add(struct vmscm_roots *roots, const char *name, const char *id,
    struct vmscm_error *err);

void vmscm_roots_release(struct vmscm_roots *roots);

#endif
