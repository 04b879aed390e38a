/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A table on standard output, its columns aligned by the width that text has on a terminal. */
#ifndef TABLE_H
#define TABLE_H

#include <vmscm/visibility.h>

struct table;

/* One column a heading; "" has none, and one that begins with '>' stands right. NULL ends. */
struct table *table_new(const char *const *headings);
/* The next cell, row by row. What others wrote may be passed as it is. */
void table_cell(struct table *table, const char *fmt, ...) VMSCM_PRINTF(2, 3);
/* Print it, each line after `indent`; headings only if there is one that is not empty. */
void table_print(const struct table *table, const char *indent);
void table_free(struct table *table); /* NULL is fine */

#endif
