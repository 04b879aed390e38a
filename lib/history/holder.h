/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which machine a revision belongs to. One thread at a time. */
#ifndef HISTORY_HOLDER_H
#define HISTORY_HOLDER_H

#include "history/gitdb.h"

/* A machine whose history holds the commit, tips first; VMSCM_ENOTFOUND. *name is the caller's. */
int vmscm_holder_find(char **name, struct vmscm_gitdb *db, const char *id, struct vmscm_error *err);

#endif
