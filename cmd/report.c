/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "report.h"

#include "progress.h"
#include "text.h"
#include <stdarg.h>
#include <stdio.h>

int report_set(struct vmscm_error *err, int code, const char *fmt, ...)
{
    va_list ap;

    err->code = (enum vmscm_code)code;
    err->hint[0] = '\0';
    va_start(ap, fmt);
    vsnprintf(err->message, sizeof err->message, fmt, ap);
    va_end(ap);
    return code;
}

int report_hint(struct vmscm_error *err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(err->hint, sizeof err->hint, fmt, ap);
    va_end(ap);
    return err->code;
}

static void line(const char *prefix, const char *text)
{
    fputs(prefix, stderr);
    text_put(stderr, text);
    fputc('\n', stderr);
}

void report_more(const struct vmscm_error *err)
{
    if (*err->hint)
        line("hint: ", err->hint);
}

int report_error(const struct vmscm_error *err)
{
    progress_clear();
    line("vmscm: ", *err->message ? err->message : vmscm_error_name(err->code));
    report_more(err);
    return vmscm_error_exit_status(err->code);
}

void report_warning(const char *text)
{
    progress_clear();
    line("vmscm: warning: ", text);
}
