/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* A file name may hold escape codes or newlines; an error is one line on a terminal. To some terminals
 * U+0080 to U+009F, two bytes of UTF-8, are escape codes as well. */
static void sanitize(char *s)
{
    char *out = s;

    for (; *s; s++) {
        unsigned char c = (unsigned char)*s, next = (unsigned char)s[1];
        bool c1 = c == 0xc2 && next >= 0x80 && next <= 0x9f;
        *out++ = c < 0x20 || c == 0x7f || c1 ? '?' : *s;
        s += c1;
    }
    *out = '\0';
}

static void format(char *out, size_t size, const char *fmt, va_list ap)
{
    if (vsnprintf(out, size, fmt, ap) < 0)
        out[0] = '\0';
    sanitize(out);
}

int vmscm_error_set(struct vmscm_error *err, int code, const char *fmt, ...)
{
    va_list ap;

    if (!err)
        return code;
    err->code = code;
    err->hint[0] = '\0';
    va_start(ap, fmt);
    format(err->message, sizeof err->message, fmt, ap);
    va_end(ap);
    return code;
}

int vmscm_error_errno(struct vmscm_error *err, int errnum, const char *fmt, ...)
{
    int code = errnum == ENOMEM ? VMSCM_ENOMEM : VMSCM_EIO;
    char why[128];
    va_list ap;

    if (!err)
        return code;
    err->code = code;
    err->hint[0] = '\0';
    va_start(ap, fmt);
    format(err->message, sizeof err->message, fmt, ap);
    va_end(ap);
#if defined(__GLIBC__) && defined(_GNU_SOURCE)
    const char *text = strerror_r(errnum, why, sizeof why);
#else
    const char *text = strerror_r(errnum, why, sizeof why) == 0 ? why : "unknown error";
#endif
    size_t len = strlen(err->message);
    snprintf(err->message + len, sizeof err->message - len, ": %s", text);
    return code;
}

int vmscm_error_nomem(struct vmscm_error *err)
{
    return vmscm_error_set(err, VMSCM_ENOMEM, "out of memory");
}

int vmscm_error_prefix(struct vmscm_error *err, const char *fmt, ...)
{
    char prefix[VMSCM_ERROR_MESSAGE_MAX], rest[VMSCM_ERROR_MESSAGE_MAX];
    va_list ap;

    if (!err)
        return VMSCM_EIO;
    va_start(ap, fmt);
    format(prefix, sizeof prefix, fmt, ap);
    va_end(ap);
    memcpy(rest, err->message, sizeof rest);
    size_t len = strlen(prefix);
    if (len > sizeof prefix / 2)
        len = sizeof prefix / 2;
    snprintf(err->message, sizeof err->message, "%.*s: %.*s", (int)len, prefix,
        (int)(sizeof err->message - len - 3), rest);
    return err->code;
}

int vmscm_error_hint(struct vmscm_error *err, const char *fmt, ...)
{
    va_list ap;

    if (!err)
        return VMSCM_EIO;
    va_start(ap, fmt);
    format(err->hint, sizeof err->hint, fmt, ap);
    va_end(ap);
    return err->code;
}

void vmscm_error_clear(struct vmscm_error *err)
{
    if (!err)
        return;
    err->code = VMSCM_OK;
    err->message[0] = err->hint[0] = '\0';
}

int vmscm_error_copy(struct vmscm_error *dst, const struct vmscm_error *src)
{
    if (!src)
        return VMSCM_EIO;
    if (dst && dst != src)
        *dst = *src;
    return src->code;
}

int vmscm_error_exit_status(int code)
{
    switch (code) {
    case VMSCM_OK:
        return 0;
    case VMSCM_ENOTFOUND:
    case VMSCM_EDAMAGED:
        return 1;
    case VMSCM_EUSAGE:
        return 2;
    case VMSCM_EREFUSED:
    case VMSCM_ECONFLICT:
        return 4;
    default:
        return 3;
    }
}

const char *vmscm_error_name(int code)
{
    static const char *const names[] = {"ok", "not-found", "damaged", "usage", "io", "no-memory",
        "exists", "busy", "input", "unsupported", "refused", "conflict", "canceled", "tool"};

    if (code > 0 || -code >= (int)(sizeof names / sizeof names[0]))
        return "unknown";
    return names[-code];
}
