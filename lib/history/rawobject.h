/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading git's objects without parsing more of them than is asked for. Not for other rooms. */
#ifndef HISTORY_RAWOBJECT_H
#define HISTORY_RAWOBJECT_H

#include "history/git.h"

#define VMSCM_RAWOBJECT_MAX ((size_t)64 << 20) /* bytes; far above what vmscm writes */

/* VMSCM_EDAMAGED: missing, of another type, too large, or not what its id says. Free with
 * git_odb_object_free. */
int vmscm_rawobject_read(git_odb_object **out, struct vmscm_gitdb *db, const git_oid *oid,
    git_object_t type, struct vmscm_error *err);

/* VMSCM_EDAMAGED: missing, or cannot be read. */
int vmscm_rawobject_type(git_object_t *type, struct vmscm_gitdb *db, const git_oid *oid,
    struct vmscm_error *err);

/* The id of "KEYWORD ID\n" at *text, which is then passed; false if there is no such line. */
bool vmscm_rawobject_take_id(git_oid *oid, const char *keyword, const char **text, const char *end);

#endif
