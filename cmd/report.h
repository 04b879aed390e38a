/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Errors and warnings: how a command makes one, and how the user sees it. */
#ifndef REPORT_H
#define REPORT_H

#include <vmscm/error.h>

/* Fill in an error and return its code: return report_set(err, VMSCM_EUSAGE, "%s: ...", name); */
int report_set(struct vmscm_error *err, int code, const char *fmt, ...) VMSCM_PRINTF(3, 4);
int report_hint(struct vmscm_error *err, const char *fmt, ...) VMSCM_PRINTF(2, 3);

/* "vmscm: WHAT: WHY" and the hint, on standard error; returns the exit status. */
int report_error(const struct vmscm_error *err);
void report_warning(const char *text);
/* Just the hint, if there is one. */
void report_more(const struct vmscm_error *err);

#endif
