/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A revision in two lines, for lists: what is inside it, and what changed in it. They are made from facts
 * (inspect.h), from the machine's configuration and from its disks' maps; no disk is read, and nothing is
 * brought from elsewhere. What was made once is kept in the repository's catalog, if that can be written.
 *
 * Thread safety: as the repository's.
 */
#ifndef VMSCM_BRIEF_H
#define VMSCM_BRIEF_H

#include <vmscm/error.h>
#include <vmscm/revision.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Makes such lines for revisions of one repository, which has to outlive it: fastest in the order of log. */
struct vmscm_brief;

/* Errors: VMSCM_ENOMEM. Without a catalog it only takes longer. */
VMSCM_API int vmscm_brief_open(struct vmscm_brief **out, struct vmscm_repo *repo,
    struct vmscm_error *err);
VMSCM_API void vmscm_brief_close(struct vmscm_brief *brief); /* NULL is fine */

/*
 * *inside: as vmscm_inspect_summary gives it; NULL: the revision was not inspected. *changes: what differs
 * from the revision that it goes on from, its first parent, "12 packages upgraded, user oracle added,
 * 40.0 MiB changed"; "nothing"; NULL: it goes on from none, or from one that is not here. What is damaged
 * is not known, and NULL: for fsck to tell. Either may be NULL if it is not asked for. Both are borrowed
 * till the next call. They have what guests say: clean them before they are printed.
 * Errors: VMSCM_EIO, VMSCM_ENOMEM.
 */
VMSCM_API int vmscm_brief_get(const char **inside, const char **changes, struct vmscm_brief *brief,
    struct vmscm_revision *rev, struct vmscm_error *err);

#ifdef __cplusplus
}
#endif
#endif
