/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Mending packs of git's, which plain git makes: one whose objects are not all good gets another index, if it
 * is whole itself; else what is good in it becomes files, one an object, and it is moved away. Without
 * an index that can be followed, nothing in it can be told. */
#ifndef HISTORY_GITPACKMEND_H
#define HISTORY_GITPACKMEND_H

#include "history/gitmend.h"

/* git_dir: the git directory, which nobody in this process has open: what libgit2 knows of a pack, it
 * keeps as long as someone has. Of mend, the sources are not used. */
int vmscm_gitpackmend_run(const struct vmscm_gitmend *mend, const char *git_dir,
    struct vmscm_error *err);

#endif
