/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What some commits and tags lead to and others do not: the commits, tags, trees and blobs that one side
 * has to give to another, or that came from there.
 *
 * Walks all history behind what is known, once, by commits only; of trees it reads those of new commits,
 * and of the known commits that these follow. Threading: one thread at a time.
 */
#ifndef HISTORY_NOVEL_H
#define HISTORY_NOVEL_H

#include "history/gitdb.h"
#include <stdbool.h>

enum vmscm_novel_type { /* numbers of git's */
    VMSCM_NOVEL_COMMIT = 1,
    VMSCM_NOVEL_TREE = 2,
    VMSCM_NOVEL_BLOB = 3,
    VMSCM_NOVEL_TAG = 4,
};

struct vmscm_novel;

/* db is the caller's, and outlives it. */
int vmscm_novel_new(struct vmscm_novel **out, struct vmscm_gitdb *db, struct vmscm_error *err);
void vmscm_novel_free(struct vmscm_novel *novel); /* NULL is fine */

/* A commit or a tag is known, with all that it leads to: before the first want. One that is not here is
 * passed over. VMSCM_EDAMAGED: some of what it leads to is missing. */
int vmscm_novel_know(struct vmscm_novel *novel, const char *id, struct vmscm_error *err);

/* A commit or a tag of one is wanted. VMSCM_EDAMAGED: some commit that it leads to is missing or cannot
 * be read; VMSCM_EINPUT: it is neither. */
int vmscm_novel_want(struct vmscm_novel *novel, const char *id, struct vmscm_error *err);

/* New commits, children before their parents where they are walked to first, and the known ones that are
 * parents of new ones. Borrowed. */
size_t vmscm_novel_commit_count(const struct vmscm_novel *novel);
const char *vmscm_novel_commit(const struct vmscm_novel *novel, size_t n);
size_t vmscm_novel_edge_count(const struct vmscm_novel *novel);
const char *vmscm_novel_edge(const struct vmscm_novel *novel, size_t n);

/* Whether a commit or tag is new; whether it is known. */
bool vmscm_novel_is_new(const struct vmscm_novel *novel, const char *id);
bool vmscm_novel_is_known(const struct vmscm_novel *novel, const char *id);

/* Every object that is new, with its bytes, which are borrowed; those of blobs only if `blobs`: else that
 * they are there is seen. Non-zero from each, which may be NULL, ends it and is returned. VMSCM_EDAMAGED:
 * something is missing, or not what it must be. */
int vmscm_novel_objects(struct vmscm_novel *novel, bool blobs,
    int (*each)(void *data, enum vmscm_novel_type type, const void *bytes, size_t len,
        struct vmscm_error *err),
    void *data, struct vmscm_error *err);

#endif
