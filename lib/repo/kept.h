/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether a ref may be made that leads to a revision. */
#ifndef REPO_KEPT_H
#define REPO_KEPT_H

#include "repo/handle.h"

/* A revision that no ref and no reflog leads to may be one that gc took parts of, from history or
 * from the packs. So look: 0 if something leads to it, or if all of it and of what led to it is
 * there; else VMSCM_ENOTFOUND. first: a ref that may well lead to it, or NULL.
 * The caller holds the commit lock, and keeps it until the ref is set. */
int vmscm_kept_check(struct vmscm_repo *repo, const char *id, const char *first,
    struct vmscm_error *err);

#endif
