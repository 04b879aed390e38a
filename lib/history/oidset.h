/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A set of git's ids, 20 bytes and a quarter or more each. One thread at a time. Not for other
 * rooms. */
#ifndef HISTORY_OIDSET_H
#define HISTORY_OIDSET_H

#include "history/git.h"

/* Zero-initialised is empty. The id of zeros, which is no object's, cannot be in it. */
struct vmscm_oidset {
    git_oid *slots; /* zeros: free */
    size_t room, count;
};

/* *added: whether it was not there before. */
int vmscm_oidset_add(struct vmscm_oidset *set, bool *added, const git_oid *oid,
    struct vmscm_error *err);

bool vmscm_oidset_has(const struct vmscm_oidset *set, const git_oid *oid);

void vmscm_oidset_release(struct vmscm_oidset *set);

#endif
