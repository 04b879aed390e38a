/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Memory that is there, or the program ends: a command holds little, and nothing half-done is lost
 * by ending (exit status 3, as VMSCM_ENOMEM). */
#ifndef MEMORY_H
#define MEMORY_H

#include <stddef.h>
#include <vmscm/visibility.h>

void *memory_zero(size_t size);
void *memory_grow(void *old, size_t count, size_t size);
char *memory_dup(const char *s);
char *memory_printf(const char *fmt, ...) VMSCM_PRINTF(1, 2);
void memory_die(void) __attribute__((noreturn));

#endif
