/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A revision read from history: what <vmscm/revision.h> hands out, and how this room makes and
 * reads one.
 */
#ifndef REPO_SNAPSHOT_H
#define REPO_SNAPSHOT_H

#include "format/map.h"
#include "history/gitdb.h"
#include "history/pruned.h"
#include "repo/handle.h"
#include "store/lease.h"

struct vmscm_revision {
    struct vmscm_repo *repo;
    struct vmscm_gitdb_info info;
    char *machine_name; /* NULL: looked up by id and in no machine's history */
    char *tag;          /* it was looked up by, or NULL */
    int name_known;     /* machine_name was looked for */
    struct vmscm_machine *machine; /* NULL until asked for */
    struct vmscm_pruned_note note; /* likewise; rule NULL if it was not pruned */
};

/* By id; machine_name (may be NULL) is copied. */
int vmscm_snapshot_open(struct vmscm_revision **out, struct vmscm_repo *repo, const char *id,
    const char *machine_name, struct vmscm_error *err);

/* The revision's data is about to be read, which may take long: garbage collection is to leave it
 * alone until the lease is closed, though no ref may lead to it any more. NULL for who may not write
 * there: he goes without. */
struct vmscm_lease *vmscm_snapshot_hold(const struct vmscm_revision *rev);

/* The machine of a commit, checked; the caller frees it with vmscm_model_free. */
int vmscm_snapshot_machine(struct vmscm_machine **out, struct vmscm_repo *repo, const char *id,
    struct vmscm_error *err);

/* Whether its disks' data is kept: VMSCM_ENOTFOUND, with a hint, if it was pruned. Who is about to
 * point a ref at it asks under the commit lock. */
int vmscm_snapshot_kept(struct vmscm_repo *repo, const char *id, struct vmscm_error *err);
/* The same for who wants to read them: where it cannot be told, reading will. */
int vmscm_snapshot_readable(struct vmscm_repo *repo, const char *id, struct vmscm_error *err);

/* The map of a disk, whose size is checked against the machine's. */
int vmscm_snapshot_map(struct vmscm_map *map, struct vmscm_repo *repo, const char *id,
    const struct vmscm_machine_disk *disk, struct vmscm_error *err);

#endif
