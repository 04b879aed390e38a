/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What data of new revisions another repository may need. One thread at a time. */
#ifndef REMOTE_SELECT_H
#define REMOTE_SELECT_H

#include "history/novel.h"
#include "history/pruned.h"
#include "remote/outgoing.h"
#include "store/idset.h"

/* The leaves and chunks of new revisions into outgoing, but those of revisions pruned here. What the known
 * ones that they follow have at the same places is only allowed, not wanted. */
int vmscm_select_new(struct vmscm_outgoing *out, struct vmscm_repo *repo,
    const struct vmscm_novel *novel, const struct vmscm_pruned *pruned, struct vmscm_error *err);

/* All that a revision consists of is allowed. */
int vmscm_select_allow(struct vmscm_outgoing *out, struct vmscm_repo *repo, const char *commit,
    struct vmscm_error *err);

/* The leaves of all new revisions; of one. */
int vmscm_select_leaves(struct vmscm_idset *leaves, struct vmscm_repo *repo,
    const struct vmscm_novel *novel, struct vmscm_error *err);
int vmscm_select_leaves_of(struct vmscm_idset *leaves, struct vmscm_repo *repo, const char *commit,
    struct vmscm_error *err);

#endif
