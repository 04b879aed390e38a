/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which names revisions have, at one moment: machines whose tip they are, and tags. */
#ifndef REPO_NAMES_H
#define REPO_NAMES_H

#include "history/gitdb.h"

struct vmscm_names;

/* Takes time and memory as there are refs. */
int vmscm_names_read(struct vmscm_names **out, struct vmscm_gitdb *git, struct vmscm_error *err);
void vmscm_names_free(struct vmscm_names *names); /* NULL is fine */

/* each(data, machine, tag) for every name of revision `id`, machines (tag NULL) first, each sorted.
 * Non-zero ends the walk and is returned. */
int vmscm_names_of(const struct vmscm_names *names, const char *id,
    int (*each)(void *data, const char *machine, const char *tag), void *data);

#endif
