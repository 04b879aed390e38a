/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A check-in's place in history: what it builds on, and recording it. The order makes it safe: all data is
 * durable before; then, under the shared commit lock, a last look that nothing relied on is gone, the
 * git objects, and the ref.
 */
#ifndef REPO_RECORD_H
#define REPO_RECORD_H

#include <vmscm/checkin.h>

#include "image/probe.h"
#include "repo/handle.h"
#include "repo/intake.h"
#include "repo/known.h"
#include "repo/scan.h"
#include "repo/thin.h"

/* One check-in under way. */
struct vmscm_record {
    struct vmscm_repo *repo;
    const char *name;
    const struct vmscm_checkin_disk *sources;
    size_t count;
    const struct vmscm_intake *intake; /* NULL: there is none */
    const struct vmscm_checkin_options *options;
    const struct vmscm_events *events;

    char *ref;
    char tip[VMSCM_GITDB_ID];    /* "" if the machine is new */
    char parent[VMSCM_GITDB_ID]; /* "" if none */
    struct vmscm_probe **probes;
    struct vmscm_thin *thin; /* what each source is over */
    struct vmscm_machine *machine;
    size_t *order; /* which source each of its disks is */
    struct vmscm_buf xml; /* of --config */
    struct vmscm_scan_disk *disks;
    struct vmscm_map *bases;   /* what the parent has of each; of size 0 if nothing */
    struct vmscm_known *known; /* of each disk */
    bool whole;                /* what is known is not to be relied on */
    struct vmscm_promises *promises; /* what is had elsewhere and may be built on; NULL: nothing */
    struct vmscm_lease *lease; /* on the packs it makes, until they are recorded */
    bool again;                /* the tip may be this check-in's already: see vmscm_record_base */
};

/* Find the tip, and what is to be its successor's parent. VMSCM_ECONFLICT, VMSCM_EEXIST: not on what the
 * caller expects. */
int vmscm_record_base(struct vmscm_record *c, struct vmscm_error *err);

/* Write the commit and move the ref; on whatever the tip is, also when it moves meanwhile, if no
 * particular base is asked for. VMSCM_EBUSY: something relied on is gone. */
int vmscm_record_on_tip(struct vmscm_record *c, struct vmscm_checkin_result *result,
    struct vmscm_error *err);

#endif
