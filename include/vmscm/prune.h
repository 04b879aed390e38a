/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Retention: letting go of the data of old revisions by rules. A revision that is let go stays in
 * history, with its message, its comments and its machine's configuration; its disks' data are no
 * longer kept, and the next garbage collection gives their space back. The rules are in
 * vmscm-prune(1).
 */
#ifndef VMSCM_PRUNE_H
#define VMSCM_PRUNE_H

#include <stddef.h>
#include <stdint.h>
#include <vmscm/error.h>
#include <vmscm/revision.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VMSCM_PRUNE_UNLIMITED (-1) /* for the counts below: all of them */

/* By the calendar, but for the hours. */
struct vmscm_prune_span {
    unsigned years, months, days, hours; /* each at most 100,000 */
};

/* Why a revision is kept, or-ed together. */
enum vmscm_prune_reason {
    VMSCM_PRUNE_LAST = 1,
    VMSCM_PRUNE_HOURLY = 2,
    VMSCM_PRUNE_DAILY = 4,
    VMSCM_PRUNE_WEEKLY = 8,
    VMSCM_PRUNE_MONTHLY = 16,
    VMSCM_PRUNE_YEARLY = 32,
    VMSCM_PRUNE_WITHIN = 64,
    VMSCM_PRUNE_TAG = 128,     /* a tag names it */
    VMSCM_PRUNE_CURRENT = 256, /* some machine's newest */
    VMSCM_PRUNE_REF = 512,     /* a ref of another kind names it */
    VMSCM_PRUNE_THIN = 2048,   /* a thin checkout stands on it */
    VMSCM_PRUNE_SHARED = 1024, /* it is in the history of a machine that was not selected, or kept
                                  by another that was */
};

struct vmscm_prune_options {
    const char *const *machines; /* names, and patterns as vmscm_revision_machines has them */
    size_t machine_count;
    int all; /* 1: every machine; then there are no names */
    /* How many: 0, no such rule. */
    int last, hourly, daily, weekly, monthly, yearly;
    struct vmscm_prune_span within; /* of the newest revision; all 0: no such rule */
    const char *const *tags; /* keep what tags of these patterns (globs) name */
    size_t tag_count;
    int tagged;  /* 0: keep what any tag names; 1: the same, and count it as a rule; -1: tags of the
                    selected machines keep only by the patterns above */
    int dry_run; /* 1: only tell */
};

/* A revision of a selected machine that was not pruned before. */
struct vmscm_prune_item {
    const char *machine;
    const char *id; /* 40 hex digits */
    int64_t time;   /* the author's */
    int offset;
    const char *summary; /* first line of the message */
    unsigned kept;       /* enum vmscm_prune_reason; 0: it is let go */
};

/* Revisions of several machines are counted once. */
struct vmscm_prune_result {
    uint64_t machines; /* selected */
    uint64_t kept;
    uint64_t pruned;
    uint64_t before; /* pruned already */
};

/*
 * Apply the rules to each machine, and let go what none of them keeps. Kept whatever the rules say:
 * every machine's current revision, what a ref names (but see `tagged`), and the whole history of
 * machines that were not selected. Names made at the same time by others count.
 * each(data, item), if not NULL, is called for the revisions of one machine after the other, newest
 * first, once all is done; non-zero from it ends that and is returned.
 * Errors: VMSCM_EUSAGE: no machine, or no rule; VMSCM_ENOTFOUND: no machine of such a name;
 * VMSCM_EDAMAGED: a ref or a commit cannot be read, nothing was let go; VMSCM_EIO.
 */
VMSCM_API int vmscm_prune(struct vmscm_repo *repo, const struct vmscm_prune_options *options,
    int (*each)(void *data, const struct vmscm_prune_item *item), void *data,
    struct vmscm_prune_result *result, struct vmscm_error *err);

/* Take a revision back that was let go, while all of its data is still there. VMSCM_ENOTFOUND: it
 * was not pruned, or (the message says so) some of its data is gone. */
VMSCM_API int vmscm_prune_undo(struct vmscm_revision *rev, struct vmscm_error *err);

/* "1y5m7d2h": any of years, months, days and hours. VMSCM_EUSAGE. */
VMSCM_API int vmscm_prune_span_parse(struct vmscm_prune_span *out, const char *text,
    struct vmscm_error *err);

#ifdef __cplusplus
}
#endif
#endif
