/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Garbage collection of the git directory: what no root leads to is removed, what is kept goes into
 * packs when it lies about in many files. One collector at a time; the caller sees to that.
 *
 *   vmscm_gitgc_prepare   beside readers and writers: marks, writes packs
 *   vmscm_gitgc_sweep     with locks/commit held exclusively: removes; short
 *   vmscm_gitgc_finish    beside readers and writers: removes what is in the packs as well
 *
 * Whoever writes git objects holds locks/commit shared from before the first one until a ref leads
 * to it; so in the sweep what no root leads to is garbage. Killed at any point, or after any
 * failure, all that a root leads to is there, and the next collection takes the rest. A reader
 * (libgit2, plain git) that misses an object looks for new packs before it gives up, and they are
 * there before anything goes.
 *
 * Threading: one thread at a time per struct vmscm_gitgc.
 */
#ifndef HISTORY_GITGC_H
#define HISTORY_GITGC_H

#include "history/roots.h"

#define VMSCM_GITGC_LOOSE_MAX 2000  /* a few hundred revisions */
#define VMSCM_GITGC_PACKS_MAX 20
#define VMSCM_GITGC_DEAD_PERCENT 10

struct vmscm_gitgc_options {
    bool dry_run;          /* change nothing, only count */
    bool aggressive;       /* one pack of everything, without garbage, whatever the numbers */
    size_t loose_max;      /* more loose objects than this are packed */
    size_t packs_max;      /* more packs than this become one */
    unsigned dead_percent; /* a pack of which so many objects are garbage is written anew */
    unsigned jobs;         /* threads that look for deltas; 0: one a core */
    /* While marking, total is 0. Non-zero is returned from prepare. NULL: nobody asks. */
    int (*progress)(void *data, uint64_t done, uint64_t total);
    void *data;
};

#define VMSCM_GITGC_OPTIONS_INIT                                                                   \
    {                                                                                              \
        .loose_max = VMSCM_GITGC_LOOSE_MAX, .packs_max = VMSCM_GITGC_PACKS_MAX,                    \
        .dead_percent = VMSCM_GITGC_DEAD_PERCENT                                                   \
    }

struct vmscm_gitgc_counts {
    uint64_t objects;  /* that roots lead to */
    uint64_t removed;  /* garbage objects that went: loose ones, and those in packs that went */
    uint64_t packed;   /* objects that went into the new pack */
    uint64_t packs;    /* packs that went */
    uint64_t freed;    /* bytes of the files that went; of what is in packs, in a dry run, a guess */
    uint64_t written;  /* bytes of the new pack and its index; 0 in a dry run */
    uint64_t garbage;  /* garbage objects that stay, in packs that are not worth writing anew */
    struct vmscm_error packing; /* code set: what should be packed was not, for want of space or
                                   memory; all else is done */
};

struct vmscm_gitgc;

/* Mark from the roots, and pack. Nothing goes, and no lock is needed. VMSCM_EDAMAGED: an object that
 * a root leads to is missing or damaged; the message names root and object. options NULL:
 * VMSCM_GITGC_OPTIONS_INIT. */
int vmscm_gitgc_prepare(struct vmscm_gitgc **out, struct vmscm_gitdb *db,
    const struct vmscm_roots *roots, const struct vmscm_gitgc_options *options,
    struct vmscm_error *err);

/* Mark what the roots of now add, and remove all garbage that was there when prepare looked.
 * VMSCM_EDAMAGED as above, and nothing was removed. counts are added to as things go. In a dry run
 * only counted; no lock is needed then. */
int vmscm_gitgc_sweep(struct vmscm_gitgc *gc, const struct vmscm_roots *now,
    struct vmscm_gitgc_counts *counts, struct vmscm_error *err);

/* Remove loose objects that are in packs, and make what went stay gone. Call it after a sweep that
 * succeeded. */
int vmscm_gitgc_finish(
    struct vmscm_gitgc *gc, struct vmscm_gitgc_counts *counts, struct vmscm_error *err);

void vmscm_gitgc_free(struct vmscm_gitgc *gc); /* NULL allowed */

#endif
