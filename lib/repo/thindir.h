/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How the repository learns of a thin checkout. */
#ifndef REPO_THINDIR_H
#define REPO_THINDIR_H

#include "repo/handle.h"
#include "repo/workfile.h"

/* Have thin->base kept for a checkout at dir, an absolute path: sets thin->pin. VMSCM_ENOTFOUND: it is
 * not there, or was pruned. */
int vmscm_thindir_pin(struct vmscm_workfile_thin *thin, struct vmscm_repo *repo, const char *dir,
    struct vmscm_error *err);

#endif
