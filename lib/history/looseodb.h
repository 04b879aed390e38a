/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reads git's loose objects in libgit2's place. As of 1.9 libgit2 never comes back from one that was cut
 * short (libgit2/libgit2#7342), and writes past the end of its memory for one that says it is shorter
 * than it is (#7177). Writing stays with libgit2.
 */
#ifndef HISTORY_LOOSEODB_H
#define HISTORY_LOOSEODB_H

#include "history/git.h"

/* From now on odb, whose directory of objects this is, reads loose objects so. Packs come first. */
int vmscm_looseodb_guard(git_odb *odb, const char *objects, struct vmscm_error *err);

#endif
