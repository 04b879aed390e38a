/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Checking what is in a repository beside its history: packs, their indexes, and what is left over. */
#ifndef REPO_FSCKPACKS_H
#define REPO_FSCKPACKS_H

#include "repo/findings.h"
#include "repo/handle.h"
#include "store/idset.h"

/* Structure of all packs and multi-pack indexes. */
int vmscm_fsckpacks_structure(struct vmscm_repo *repo, struct vmscm_findings *findings,
    struct vmscm_error *err);

/* What is known of packs and indexes that cannot be used, without looking at them all. */
void vmscm_fsckpacks_known(struct vmscm_repo *repo, struct vmscm_findings *findings);

/* Every byte of them, with this many threads. bad: gets the ids that are damaged somewhere. */
int vmscm_fsckpacks_bytes(struct vmscm_repo *repo, unsigned jobs,
    const struct vmscm_events *events, struct vmscm_findings *findings, struct vmscm_idset *bad,
    struct vmscm_error *err);

/* Notes of what is in directories of which no revision needs anything. */
int vmscm_fsckpacks_leftovers(const struct vmscm_repo *repo, struct vmscm_findings *findings,
    struct vmscm_error *err);

#endif
