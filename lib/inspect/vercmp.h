/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which of two versions is newer. Pure.
 *
 * The order is dpkg's, deb-version(7), [EPOCH:]UPSTREAM[-REVISION], in which dotted numbers compare part by
 * part; what Alpine writes "_alpha", "_beta", "_pre" or "_rc", which no Debian version has, is before the
 * end, as a tilde. RPM's is another one, rpm-version(7), [EPOCH:]VERSION[-RELEASE]: separators do not count,
 * and numbers are newer than letters.
 */
#ifndef INSPECT_VERCMP_H
#define INSPECT_VERCMP_H

#include <stdbool.h>

/* Below 0, 0 or above 0. Any text is a version; the epoch is 0 where there is none. */
int vmscm_vercmp(const char *a, const char *b);

int vmscm_vercmp_rpm(const char *a, const char *b);

/* Whether a version is `prefix`, or goes on from it with another part: 12.5 of 12, but not 120. */
bool vmscm_vercmp_within(const char *version, const char *prefix);

#endif
