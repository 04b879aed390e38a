/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The notes that boot traces are kept as. Thread safety: as the repository's. */
#ifndef REPO_TRACE_H
#define REPO_TRACE_H

#include "format/tracenote.h"
#include "repo/handle.h"

/* The one that was recorded last for the disks of a commit; *note is released in any case. VMSCM_ENOTFOUND:
 * there is none. */
int vmscm_trace_find(struct vmscm_tracenote *note, struct vmscm_repo *repo, const char *commit,
    struct vmscm_error *err);

#endif
