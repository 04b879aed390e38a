/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Marking all objects that roots lead to: tags, commits, trees, blobs. Not for other rooms. */
#ifndef HISTORY_GITMARK_H
#define HISTORY_GITMARK_H

#include "base/vec.h"
#include "history/oidset.h"
#include "history/roots.h"

struct vmscm_gitmark_step;

/* Zero-initialised but for what is set here: nothing is marked. */
struct vmscm_gitmark {
    struct vmscm_gitdb *db;
    /* Told of each object when it is marked; name is what its tree calls it, or "". Non-zero ends
     * the marking and is returned. */
    int (*fresh)(void *data, const git_oid *oid, const char *name, struct vmscm_error *err);
    void *data;

    struct vmscm_oidset marked;
    VMSCM_VEC(struct vmscm_gitmark_step) todo;
};

/* Mark what the roots lead to and is not marked. Trees, commits and tags are read and compared with
 * their ids; that a blob is there is all that is asked of it. VMSCM_EDAMAGED names the root, what
 * is missing or damaged, and what needs it; then the marks are of no use. */
int vmscm_gitmark_roots(struct vmscm_gitmark *mark, const struct vmscm_roots *roots,
    struct vmscm_error *err);

void vmscm_gitmark_release(struct vmscm_gitmark *mark);

#endif
