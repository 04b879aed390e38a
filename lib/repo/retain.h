/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The rules of retention, as restic's forget has them, over the revisions of one machine. Pure.
 *
 * Revisions are looked at newest first. A rule with a count keeps the first of each hour, day, week,
 * month or year it meets, as long as its count lasts, and the oldest of all if there is some left
 * then. Hours, days and so on are those of the author's own clock: of the time with its offset.
 */
#ifndef REPO_RETAIN_H
#define REPO_RETAIN_H

#include <stddef.h>
#include <stdint.h>
#include <vmscm/prune.h>

struct vmscm_retain_item {
    int64_t time;  /* seconds since 1970 */
    int offset;    /* minutes east of UTC */
    unsigned kept; /* out: enum vmscm_prune_reason */
};

/* items: newest first. now: a revision that is later does not count as the newest for `within`. */
void vmscm_retain_apply(struct vmscm_retain_item *items, size_t count,
    const struct vmscm_prune_options *options, int64_t now);

/* Whether there is anything that keeps a revision because someone asked for it. */
int vmscm_retain_has_rule(const struct vmscm_prune_options *options);

#endif
