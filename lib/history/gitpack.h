/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing git's packs. Not for other rooms. */
#ifndef HISTORY_GITPACK_H
#define HISTORY_GITPACK_H

#include "history/git.h"

#define VMSCM_GITPACK_NAME 12

struct vmscm_gitpack_item {
    git_oid oid;
    char name[VMSCM_GITPACK_NAME]; /* the end of its name: those of like names may be alike */
};

/* Put objects into a new pack, which is durable and in its place when it returns. Every object is
 * read and compared with its id. progress may be NULL; non-zero from it is returned. *stem,
 * "pack-0123...", is the caller's; *bytes are those of the pack and its index. */
int vmscm_gitpack_write(char **stem, uint64_t *bytes, struct vmscm_gitdb *db,
    const struct vmscm_gitpack_item *items, size_t count, unsigned jobs,
    int (*progress)(void *data, uint64_t done, uint64_t total), void *data,
    struct vmscm_error *err);

/* A database of one pack alone. Free with git_odb_free. */
int vmscm_gitpack_open(git_odb **out, const struct vmscm_gitdb *db, const char *below,
    const char *stem, struct vmscm_error *err);

#endif
