/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The files of two revisions' guests, side by side: all of their metadata, and whether content
 * differs where metadata cannot tell. Both are looked into at once.
 */
#ifndef FILETREE_H
#define FILETREE_H

#include "cmd.h"
#include <stdbool.h>
#include <stdint.h>
#include <vmscm/revision.h>

struct filetree_file {
    char *path;
    char *target; /* of a link; "" */
    uint32_t mode;
    uint64_t uid, gid, size;
    int64_t mtime;
    char *stamp; /* when it was last changed in any way, and its inode, as text */
    char *sum; /* of its content, if it was asked for; "": it cannot be read; else NULL */
};

struct filetree {
    struct filetree_file *files; /* in the order of their paths' bytes */
    size_t count;
};

/* Reads both. What is a file of the same size on both sides, and does not have the same inode and
 * times, has its content read. Release both in any case. device: as for vmscm ls; NULL: the
 * operating system's. */
int filetree_read(struct filetree trees[2], struct ctx *ctx, struct vmscm_revision *const revs[2],
    const char *device, struct vmscm_error *err);
void filetree_release(struct filetree *tree);

/* Calls each(data, before, after) for every path, where one may be NULL, in their order; a non-zero
 * return ends it and is returned. */
int filetree_each(const struct filetree trees[2],
    int (*each)(void *data, const struct filetree_file *before, const struct filetree_file *after),
    void *data);

/* Whether content, target or kind differ. */
bool filetree_differs(const struct filetree_file *before, const struct filetree_file *after);

#endif
