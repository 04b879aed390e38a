/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Garbage collection: giving back the space of what no revision needs, and keeping what stays in few
 * files. It may run beside any number of readers and writers in other processes. The order in which it
 * does things, and what each point leaves behind if it is killed there, is in vmscm-durability(7).
 */
#ifndef VMSCM_GC_H
#define VMSCM_GC_H

#include <stdint.h>
#include <vmscm/error.h>
#include <vmscm/events.h>
#include <vmscm/repo.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VMSCM_GC_DEFAULT (-1) /* for a threshold: as configured */

struct vmscm_gc_options {
    int dry_run;    /* only tell what would be done */
    int aggressive; /* write everything anew, at a high level of compression */
    int automatic;  /* only merge small packs, and pack git's loose objects if there are many:
                       nothing is looked at, and nothing lost */
    unsigned jobs;  /* 0: core.jobs, or one a core */
    int threshold;  /* write a pack anew if more than this percentage of it is garbage; 0 to 100, or
                       VMSCM_GC_DEFAULT: gc.threshold, or 25 */
    const char *grace; /* how long packs stay in the trash: seconds, or with "m", "h", "d", "w"; NULL:
                          gc.grace, or an hour. "0": they are removed in the same run, after a second
                          look */
};

struct vmscm_gc_result {
    uint64_t packs;          /* before */
    uint64_t pack_bytes;
    uint64_t needed_bytes;   /* of these, as far as plain bytes tell; not when automatic */
    uint64_t dropped_packs;  /* nothing in them was needed */
    uint64_t repacked_packs; /* what was needed of them, or all, is in new packs */
    uint64_t moved_bytes;    /* of both kinds: into the trash */
    uint64_t written_bytes;  /* new packs */
    uint64_t freed_bytes;    /* removed from the trash */
    uint64_t trash_bytes;    /* that stay there for now */
    uint64_t reflog_entries; /* expired */
    uint64_t history_objects; /* removed from the git directory */
    uint64_t history_bytes; /* freed there, less what was written */
};

/* events and result may be NULL. With dry_run, the result tells what would be.
 *
 * VMSCM_EBUSY: another gc or a repair is running. VMSCM_EDAMAGED: something that is needed is missing
 * or damaged, and nothing was removed. VMSCM_EIO with no space left: what was done so far is kept.
 * Not for two threads with one repository. */
VMSCM_API int vmscm_gc(struct vmscm_repo *repo, const struct vmscm_gc_options *options,
    const struct vmscm_events *events, struct vmscm_gc_result *result, struct vmscm_error *err);

/* *due: check-ins made several small packs since the last gc, or many git objects are files of their own;
 * and gc.auto is not false. */
VMSCM_API int vmscm_gc_is_due(int *due, struct vmscm_repo *repo, struct vmscm_error *err);

#ifdef __cplusplus
}
#endif
#endif
