/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "No such machine", "no such tag", with the names that the user may have meant. Not for other
 * rooms. */
#ifndef HISTORY_NEAREST_H
#define HISTORY_NEAREST_H

#include "history/gitdb.h"

/* Both set the error and return VMSCM_ENOTFOUND (or why the names could not be listed). */
int vmscm_nearest_machine(struct vmscm_gitdb *db, const char *name, struct vmscm_error *err);
int vmscm_nearest_tag(struct vmscm_gitdb *db, const char *machine, const char *tag,
    struct vmscm_error *err);

#endif
