/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inspecting revisions one after the other, each content once, one process at a time in a repository. */
#ifndef INSPECTING_H
#define INSPECTING_H

#include "inspection.h"
#include "json.h"
#include <stdbool.h>
#include <vmscm/inspect.h>
#include <vmscm/search.h>

struct inspecting {
    struct ctx *ctx;
    struct inspection_options how;
    bool force;     /* also what is known */
    json_t *json;   /* where each is told; NULL: as text, unless quiet */
    bool failed;    /* one could not be inspected, which was recorded */
    struct vmscm_inspect_turn *turn;
    char (*done)[VMSCM_ID_HEX + 1]; /* keys of this run */
    size_t done_count;
};

/* Tell what is in a revision; seconds it took, or below 0: it was known. */
void inspecting_tell(struct inspecting *w, struct vmscm_revision *rev, const char *facts,
    double seconds);

/* Inspect it, unless it is known or was had in this run. Waits till no other process inspects. */
int inspecting_one(struct inspecting *w, struct vmscm_revision *rev, struct vmscm_error *err);

/* All that is so, the newest first, but what was pruned. */
int inspecting_all(struct inspecting *w, enum vmscm_pending which, struct vmscm_error *err);

/* What is pending, till nothing is, also what comes meanwhile; at the lowest priority. Nothing if another
 * process is at it, there is little memory, or nothing can be inspected here. begun: called once it is sure
 * that this or another process is at it. */
int inspecting_background(struct inspecting *w, void (*begun)(void), struct vmscm_error *err);

/* Till no other process inspects, or all of revs are known. *left: one of them is not; without revs,
 * something is pending. */
int inspecting_wait(struct inspecting *w, struct vmscm_revision **revs, size_t count, bool *left,
    struct vmscm_error *err);

void inspecting_release(struct inspecting *w);

#endif
