/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a lazy repository lacks, from the remote that has it: requests of operation 3 of
 * vmscm-format-remote(5), over one connection that is made when something is needed for the first time.
 *
 * Threading: any thread, one at a time; it uses a repository handle of its own.
 */
#ifndef REMOTE_PROMISOR_H
#define REMOTE_PROMISOR_H

#include "repo/handle.h"
#include <vmscm/events.h>

/* The repository lacks what a remote has, and reaches it from now on; nothing if it lacks nothing. events
 * (may be NULL) live as long as the repository; progress is not told. */
int vmscm_promisor_attach(struct vmscm_repo *repo, const struct vmscm_events *events,
    struct vmscm_error *err);

#endif
