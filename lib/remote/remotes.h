/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which other repositories are known by name. */
#ifndef REMOTE_REMOTES_H
#define REMOTE_REMOTES_H

#include "repo/handle.h"

/* What a user means: the name of a remote, or a URL, of which *name is then NULL; without a word, the
 * remote "origin", or the only one. Both are the caller's. VMSCM_ENOTFOUND. */
int vmscm_remotes_resolve(char **name, char **url, struct vmscm_repo *repo, const char *word,
    struct vmscm_error *err);

#endif
