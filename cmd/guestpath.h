/* SPDX-License-Identifier: GPL-3.0-or-later */
/* REV:/PATH: a file of a revision's guest. No disk and no tag begins with a slash. */
#ifndef GUESTPATH_H
#define GUESTPATH_H

#include <stdbool.h>
#include <vmscm/error.h>

bool guestpath_is(const char *spec);

/* Cuts spec to the revision; *path, which begins with a slash, points into it. VMSCM_EUSAGE: it is none, or
 * longer than any path. */
int guestpath_split(const char **path, char *spec, struct vmscm_error *err);

#endif
