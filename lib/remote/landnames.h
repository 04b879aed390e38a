/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which refs that are to be made cannot be beside others, since git keeps them as files: "a" and "a/b". One
 * thread at a time. */
#ifndef REMOTE_LANDNAMES_H
#define REMOTE_LANDNAMES_H

#include "remote/land.h"

/* Refuse, by their `why`, updates that make a ref whose name clashes with one that is there and stays, or
 * with one that an update before it makes. What was refused already counts as not done. */
int vmscm_landnames_check(struct vmscm_land *land, struct vmscm_gitdb *refs, struct vmscm_error *err);

#endif
