/* SPDX-License-Identifier: GPL-3.0-or-later */
/* --format: a line for each result, in which "%(field)" stands for a value, and "%%" for a percent
 * sign. */
#ifndef ROWFORMAT_H
#define ROWFORMAT_H

#include <stdbool.h>
#include <vmscm/error.h>

/* fields: the names there are; NULL ends. VMSCM_EUSAGE: another is meant, or it is no format, or
 * --json was given, too. */
int rowformat_check(const char *format, const char *const *fields, bool json, struct vmscm_error *err);

/* Whether this field is in it: some take time to find out. Of one that was checked. */
bool rowformat_has(const char *format, const char *field);

/* values: one for each field, NULL is "". What others wrote is made safe to print. Of one that was
 * checked. */
void rowformat_print(const char *format, const char *const *fields, const char *const *values);

#endif
