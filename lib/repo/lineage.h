/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The histories of several machines in memory: dates and parents, each commit read once. Second
 * parents are parents like the first.
 */
#ifndef REPO_LINEAGE_H
#define REPO_LINEAGE_H

#include "base/vec.h"
#include "history/gitdb.h"
#include "store/idset.h"

#define VMSCM_LINEAGE_NONE UINT32_MAX

struct vmscm_lineage_node {
    char id[VMSCM_GITDB_ID];
    int offset; /* of the author's time, in minutes */
    int64_t time;
    uint32_t parent, parent_count; /* in edges */
    uint32_t children;             /* while a history is put in order */
    uint32_t mark;                 /* likewise, and below */
    unsigned flags;                /* the caller's */
};

/* Zero-initialise. */
struct vmscm_lineage {
    VMSCM_VEC(struct vmscm_lineage_node) nodes;
    VMSCM_VEC(uint32_t) edges;
    struct vmscm_idset index; /* of ids, padded with zeros: 1 + the node */
    uint32_t marks;
};

/* Read a commit and all that led to it; *node: which one it is. VMSCM_EDAMAGED: one is missing. */
int vmscm_lineage_read(struct vmscm_lineage *lineage, uint32_t *node, struct vmscm_gitdb *db,
    const char *id, struct vmscm_error *err);

/* VMSCM_LINEAGE_NONE: it was not read. */
uint32_t vmscm_lineage_find(const struct vmscm_lineage *lineage, const char *id);

/* The node and all that led to it, in an array for the caller to free: by date, newest first, and of
 * the same second a child before its parents. */
int vmscm_lineage_history(struct vmscm_lineage *lineage, uint32_t **list, size_t *count,
    uint32_t node, struct vmscm_error *err);

/* Set flags on the node and all that led to it. All at and above one that has them must have them. */
int vmscm_lineage_spread(struct vmscm_lineage *lineage, uint32_t node, unsigned flags,
    struct vmscm_error *err);

void vmscm_lineage_release(struct vmscm_lineage *lineage);

#endif
