/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * All that a repository tells a reader, as a list of facts: names and where they lead, and of each
 * revision its comments, message, author, parents, machine, files and the hashes of its disks.
 */
#ifndef DURABILITY_FACTS_H
#define DURABILITY_FACTS_H

#include <stddef.h>

struct fact {
    char *question; /* "machines", "tags", "name SPEC", "revision ID" or "comments ID" */
    char *answer;
};

struct facts {
    struct fact *items;
    size_t count;
};

/* Of a repository that is whole. 0; on failure, 1 and why (at least 1000 bytes). */
int facts_collect(struct facts *out, char *why, const char *path);
void facts_release(struct facts *facts);

/*
 * Checks the repository with fsck --full and asks again. If fsck says that all is well, each
 * answer must be the same as before; if not, each must be the same or an error. What no hash covers
 * is weaker: lists may be others once fsck reported something, and so may be the past by NAME@{N}, which may
 * also have gone without a report. Returns 0 if all is well, 1 if fsck or opening the repository reported
 * something, 2 if the promise is broken, with why.
 */
int facts_check(const struct facts *facts, char *why, const char *path);

#endif
