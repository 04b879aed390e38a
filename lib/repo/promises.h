/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a lazy repository may rely on its remote to have: all data of the revisions that are remembered of
 * that remote (refs/remotes/REMOTE/, refs/remote-tags/REMOTE/) and of all before them, by the leaves of
 * their disks. Revisions that were pruned promise nothing.
 *
 * Memory: 50 bytes a leaf, 3 MiB for a TiB of unlike data. Threading: one thread at a time; after
 * vmscm_promises_load any number may ask vmscm_promises_has.
 *
 * A leaf of the repository's own may list chunks that are promised and not here: those of the promised leaf
 * that its segment had before. That leaf is then stored with it, so that what is relied on can be told
 * without asking anybody.
 */
#ifndef REPO_PROMISES_H
#define REPO_PROMISES_H

#include "repo/handle.h"
#include "store/fetch.h"
#include "store/idset.h"

struct vmscm_promises;

/* repo outlives it. */
int vmscm_promises_new(struct vmscm_promises **out, struct vmscm_repo *repo, const char *remote,
    struct vmscm_error *err);
void vmscm_promises_free(struct vmscm_promises *promises); /* NULL is fine */

/* A revision that has a leaf, best one that a ref leads to: *commit is borrowed; NULL: none. */
int vmscm_promises_find(struct vmscm_promises *promises, const char **commit,
    const struct vmscm_id *leaf, struct vmscm_error *err);

/* The first leaf of which is(data, leaf) says so; those of revisions that a ref leads to come first. */
int vmscm_promises_search(struct vmscm_promises *promises, struct vmscm_id *leaf, bool *found,
    bool (*is)(void *data, const struct vmscm_id *leaf), void *data, struct vmscm_error *err);

/* The same, for a repository's own remote, with all history looked at; NULL: the repository lacks
 * nothing. */
int vmscm_promises_open(struct vmscm_promises **out, struct vmscm_repo *repo,
    struct vmscm_error *err);

/* Look at all history now; then whether a leaf is promised is known at once. */
int vmscm_promises_load(struct vmscm_promises *promises, struct vmscm_error *err);
bool vmscm_promises_has(const struct vmscm_promises *promises, const struct vmscm_id *leaf);

/* Count as promised also what the remote once had, by the reflogs of what is remembered: it may have let go
 * of that since. Nothing is to be built on it, but that it is not here is no damage. */
int vmscm_promises_recall(struct vmscm_promises *promises, struct vmscm_error *err);

/* The chunks of all promised leaves of which there is a copy in packs: on these the repository's own leaves
 * may rely. fetch: an own one. Into *chunks. */
int vmscm_promises_chunks(const struct vmscm_promises *promises, struct vmscm_idset *chunks,
    struct vmscm_fetch *fetch, struct vmscm_error *err);

#endif
