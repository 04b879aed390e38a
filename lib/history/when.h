/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The DATE of @{DATE}: a date as ident.h reads them (a bare day is the end of that day), "now",
 * "yesterday" (24 hours ago, as in git), or "2 days ago", "1 hour 30 minutes ago" (seconds to years;
 * months and years by the calendar). Not for other rooms.
 */
#ifndef HISTORY_WHEN_H
#define HISTORY_WHEN_H

#include "base/error.h"
#include <stdint.h>

/* Seconds since 1970. VMSCM_EUSAGE. */
int vmscm_when_parse(int64_t *out, const char *text, struct vmscm_error *err);

#endif
