/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "machine/xmltext.h"

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

static const char *entity_of(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&apos;";
    case '\n':
        return "&#10;";
    default:
        return NULL;
    }
}

static int escape(struct vmscm_buf *out, const char *text, struct vmscm_error *err)
{
    int rc = 0;

    while (*text && !rc) {
        size_t plain = strcspn(text, "&<>\"'\n");
        if (plain)
            rc = vmscm_buf_append(out, text, plain, err);
        text += plain;
        if (*text && !rc)
            rc = vmscm_buf_puts(out, entity_of(*text++), err);
    }
    return rc;
}

void vmscm_xmltext_put(struct vmscm_xmltext *to, ...)
{
    va_list args;
    const char *piece;

    va_start(args, to);
    for (bool plain = true; !to->rc && (piece = va_arg(args, const char *)); plain = !plain)
        to->rc = plain ? vmscm_buf_puts(to->out, piece, to->err)
                       : escape(to->out, piece, to->err);
    va_end(args);
}
