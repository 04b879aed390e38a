/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a repair takes lost data from: another repository, or a disk image of any format. Neither is
 * believed: what it gives counts if it has the hash that is looked for. What cannot be read of it is
 * passed over.
 */
#ifndef REPO_SOURCE_H
#define REPO_SOURCE_H

#include "repo/lost.h"
#include "repo/repairing.h"

struct vmscm_source;

/* path: a repository's directory, or an image, which is probed as at check-in. */
int vmscm_source_open(struct vmscm_source **out, const char *path,
    const struct vmscm_repairing *r, struct vmscm_error *err);
void vmscm_source_close(struct vmscm_source *source); /* NULL is fine */

/* As it was given; borrowed. */
const char *vmscm_source_path(const struct vmscm_source *source);

/* The repository it is, borrowed; NULL for an image. */
struct vmscm_repo *vmscm_source_repo(const struct vmscm_source *source);

/* Take what it has of what is lost: records like those of a check-in, durable when this returns; `there`
 * is set of each that was found. */
int vmscm_source_restore(struct vmscm_source *source, struct vmscm_repairing *r,
    struct vmscm_lost *lost, struct vmscm_error *err);

#endif
