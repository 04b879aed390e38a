/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Records of logins, wtmp(5) and lastlog, as glibc writes them on x86: 384 and 292 bytes,
 * little-endian. Pure.
 */
#ifndef UTMP_H
#define UTMP_H

#include "facts.h"

#define UTMP_SIZE 384
#define LASTLOG_SIZE 292

/* Records of wtmp, size bytes that begin with a whole one: when users of system were last here,
 * when it was last booted and shut down, as far as that is later than what system says already. */
void utmp_read(json_t *system, const char *bytes, size_t size);

/* One record of lastlog: when, seconds since 1970; 0: never. */
int64_t utmp_lastlog(const char *bytes);

/* "last_login" of a user, unless a later one is known. */
void utmp_put_login(json_t *user, int64_t seconds);

#endif
