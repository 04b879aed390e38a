/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Walking git's trees, bounded in depth, size and number. Not for other rooms. */
#ifndef HISTORY_TREEWALK_H
#define HISTORY_TREEWALK_H

#include "history/git.h"

#define VMSCM_TREEWALK_TREE_MAX ((size_t)64 << 20) /* bytes of one tree object */

/* Called for a directory (blob NULL) before what is in it, and for a file (tree NULL). path is
 * relative to where the walk began, which is "". Non-zero ends the walk and is returned. */
typedef int (*vmscm_treewalk_each)(
    void *data, const char *path, const git_oid *blob, const git_oid *tree);

/* max: of entries; VMSCM_EDAMAGED if there are more. */
#define VMSCM_TREEWALK_REVISION_MAX 100000 /* far above what vmscm writes */
#define VMSCM_TREEWALK_NOTES_MAX (32 << 20)
int vmscm_treewalk_run(struct vmscm_gitdb *db, const git_oid *tree, size_t max,
    vmscm_treewalk_each each, void *data, struct vmscm_error *err);

/* VMSCM_EDAMAGED if it is missing, no tree, or too large. Free with git_tree_free. */
int vmscm_treewalk_lookup(git_tree **out, struct vmscm_gitdb *db, const git_oid *oid,
    struct vmscm_error *err);

/* An ordinary file, executable or not; git's links and submodules are none. */
bool vmscm_treewalk_is_file(git_filemode_t mode);

#endif
