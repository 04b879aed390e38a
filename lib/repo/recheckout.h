/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Checking out over a checkout of another revision. Before anything of it changes, .vmscm-checkout
 * becomes .vmscm-partial/was, and the disks' files go into .vmscm-partial/ID/; from then on the
 * directory is an interrupted checkout of the new revision like any other, and claims to be no
 * revision until that one is whole.
 */
#ifndef REPO_RECHECKOUT_H
#define REPO_RECHECKOUT_H

#include "format/map.h"
#include "repo/snapshot.h"
#include "repo/workfile.h"

struct vmscm_recheckout;

/* What is to be done about a disk, whose old files are in its staging directory. */
enum vmscm_recheckout_how {
    VMSCM_RECHECKOUT_ANEW,    /* nothing can be kept: remove them */
    VMSCM_RECHECKOUT_KEEP,    /* they are the disk */
    VMSCM_RECHECKOUT_UPDATE,  /* raw: the file holds what the old map says */
    VMSCM_RECHECKOUT_COMPARE, /* raw: the file may hold anything */
};

/* The checkout in dir. VMSCM_ENOTFOUND: there is none; VMSCM_EREFUSED: of another repository, or
 * damaged. */
int vmscm_recheckout_open(struct vmscm_recheckout **out, struct vmscm_repo *repo, const char *dir,
    struct vmscm_error *err);
void vmscm_recheckout_close(struct vmscm_recheckout *re); /* NULL is fine */

/* --format and -o of the checkout, as struct vmscm_workfile's request has them; NULL: not given.
 * Borrowed. */
const char *vmscm_recheckout_format(const struct vmscm_recheckout *re);
const char *vmscm_recheckout_options(const struct vmscm_recheckout *re);

/* Whether it is a thin one. */
bool vmscm_recheckout_is_thin(const struct vmscm_recheckout *re);

/* VMSCM_EREFUSED if something would be lost: files that were changed, or files that are in the way
 * of rev's. force: only VMSCM_EBUSY, if a disk is in use, which is looked at first. */
int vmscm_recheckout_check(struct vmscm_recheckout *re, struct vmscm_revision *rev, bool force,
    struct vmscm_error *err);

/* Move everything to its place in partial, which has its state file already. */
int vmscm_recheckout_begin(struct vmscm_recheckout *re, const char *partial,
    struct vmscm_error *err);

/* The same for one that was killed while it did that; nothing if there is no such. */
int vmscm_recheckout_resume(struct vmscm_repo *repo, const char *dir, const char *partial,
    struct vmscm_error *err);

/* How to get a disk of rev, with map `map`, as file `name` of this format; after the check.
 * same_request: --format and -o are those of the checkout. *old: its map before, for the caller to
 * release; empty if it is not known. */
int vmscm_recheckout_plan(struct vmscm_recheckout *re, enum vmscm_recheckout_how *how,
    struct vmscm_map *old, const struct vmscm_machine_disk *disk, const struct vmscm_map *map,
    const char *format, const char *name, bool same_request, struct vmscm_error *err);

#endif
