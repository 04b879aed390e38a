/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "color.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void color_decide(struct ctx *ctx)
{
    const char *when = ctx->common.color, *no = getenv("NO_COLOR"), *term = getenv("TERM");

    if (when && strcmp(when, "auto") != 0)
        ctx->color = strcmp(when, "always") == 0;
    else
        ctx->color = !(no && *no) && isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0;
}

const char *color_get(const struct ctx *ctx, enum color color)
{
    static const char *const codes[] = {"\033[m", "\033[33m", "\033[1;36m", "\033[1;33m",
        "\033[32m", "\033[31m"};

    return ctx->color ? codes[color] : "";
}
