/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Making visible what came: all of it is looked at, then moved from the quarantine, and under locks/commit
 * looked at once more where it is, and the refs set, each by compare-and-swap. Pushes that come and
 * fetches land in the same way.
 *
 * Threading: one thread at a time.
 */
#ifndef REMOTE_LAND_H
#define REMOTE_LAND_H

#include "base/vec.h"
#include "bucket/publish.h"
#include "remote/closure.h"

struct vmscm_land_update {
    char *ref;                   /* whole */
    char before[VMSCM_GITDB_ID]; /* what it is expected to be; "": not there */
    char after[VMSCM_GITDB_ID];  /* "": it is to go */
    bool force;                  /* `after` need not follow from `before` */
    bool merge;                  /* notes: the union of both */
    bool rests;                  /* only if the update before it was done, which promises its data */
    bool changed;                /* out */
    bool tried;                  /* for who undoes it: it was begun, with the ref being `was` */
    char was[VMSCM_GITDB_ID];
    struct vmscm_error why;      /* out; code 0: done */
};

#define VMSCM_LAND_BARE_MAX (1u << 20) /* that a peer may name */

struct vmscm_land_id {
    char id[VMSCM_GITDB_ID];
};

/* Zero-initialise. */
struct vmscm_land {
    struct vmscm_receive *receive;
    VMSCM_VEC(struct vmscm_land_update) updates;
    VMSCM_VEC(struct vmscm_land_id) bare; /* revisions that come without data, sorted when it is used */
    bool lazy;          /* data is not looked at: it stays where it comes from */
    bool atomic;        /* all updates or none */
    const char *reason; /* for reflogs */
    struct vmscm_publish *publish; /* NULL; else the repository is a mirror, and changes by this alone */
};

int vmscm_land_add(struct vmscm_land *land, struct vmscm_land_update **out, const char *ref,
    struct vmscm_error *err);
int vmscm_land_add_bare(struct vmscm_land *land, const char *id, struct vmscm_error *err);

/* Whether all that the updates need is there: closure's callbacks tell what is not. closure is set up as
 * its user needs it, with receive. VMSCM_EINPUT: what came is not what it must be. */
int vmscm_land_look(struct vmscm_land *land, struct vmscm_closure *closure, struct vmscm_error *err);

/* Do it. 0 even if no update was done: each says. VMSCM_EBUSY: something that was there is gone. */
int vmscm_land_run(struct vmscm_land *land, struct vmscm_error *err);

void vmscm_land_release(struct vmscm_land *land);

#endif
