/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing objects to files of their own, whatever else has them: what has one may be damaged. Not for
 * other rooms. */
#ifndef HISTORY_GITLOOSE_H
#define HISTORY_GITLOOSE_H

#include "history/git.h"

/* Of a git directory. Free with git_odb_free. */
int vmscm_gitloose_open(git_odb **out, const char *git_dir, struct vmscm_error *err);

/* Write an object that was read from another database; it and its name last. */
int vmscm_gitloose_write(git_odb *loose, const char *git_dir, git_odb_object *object,
    struct vmscm_error *err);

#endif
