/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The files of a revision that is being made. */
#ifndef REPO_NEWTREE_H
#define REPO_NEWTREE_H

#include "base/vec.h"
#include "repo/handle.h"
#include <stdbool.h>

/* Zero-initialised is empty. */
struct vmscm_newtree {
    VMSCM_VEC(struct vmscm_gitdb_file) files;
    VMSCM_VEC(char *) owned; /* their names and contents */
};

/* Takes over path, which may be NULL for want of memory, and what the buffer holds. */
int vmscm_newtree_add(struct vmscm_newtree *tree, char *path, struct vmscm_buf *contents,
    struct vmscm_error *err);

/* Add the configuration files of another revision. */
int vmscm_newtree_keep_config(struct vmscm_newtree *tree, struct vmscm_repo *repo, const char *id,
    struct vmscm_error *err);

/* Whether the files are just what a revision has. */
bool vmscm_newtree_is(const struct vmscm_newtree *tree, struct vmscm_repo *repo, const char *id);

void vmscm_newtree_release(struct vmscm_newtree *tree);

#endif
