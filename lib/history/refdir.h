/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The files of refs and reflogs, which are named like the refs. Not for other rooms. */
#ifndef HISTORY_REFDIR_H
#define HISTORY_REFDIR_H

#include "history/git.h"

/* Every file below dir (relative to the git directory, like the names) whose name starts with
 * prefix, in no order; file is its name in the directory dirfd. Lock files and those that begin
 * with a dot are none. Nothing there, nothing called. What cannot be looked at is an error: a ref
 * must not be taken for one that does not exist. Non-zero from each ends the walk and is
 * returned. */
int vmscm_refdir_walk(const struct vmscm_gitdb *db, const char *dir, const char *prefix,
    int (*each)(void *data, int dirfd, const char *file, const char *name), void *data,
    struct vmscm_error *err);

#endif
