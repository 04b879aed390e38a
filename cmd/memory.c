/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vmscm/error.h>

void memory_die(void)
{
    fputs("vmscm: out of memory\n", stderr);
    _exit(vmscm_error_exit_status(VMSCM_ENOMEM));
}

void *memory_zero(size_t size)
{
    void *p = calloc(1, size ? size : 1);

    if (!p)
        memory_die();
    return p;
}

void *memory_grow(void *old, size_t count, size_t size)
{
    void *p = reallocarray(old, count ? count : 1, size);

    if (!p)
        memory_die();
    return p;
}

char *memory_dup(const char *s)
{
    char *p = strdup(s);

    if (!p)
        memory_die();
    return p;
}

char *memory_printf(const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&s, fmt, ap) < 0)
        memory_die();
    va_end(ap);
    return s;
}
