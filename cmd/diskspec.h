/* SPDX-License-Identifier: GPL-3.0-or-later */
/* REV[:DISK], as commands on disks take it. */
#ifndef DISKSPEC_H
#define DISKSPEC_H

#include <vmscm/revision.h>

/*
 * A tag is written the same way, so the whole is tried as a revision first; *disk, into spec, which
 * is cut, is what follows the last colon if it was none, else NULL.
 */
int diskspec_resolve(struct vmscm_revision **out, const char **disk, struct vmscm_repo *repo,
    char *spec, struct vmscm_error *err);

#endif
