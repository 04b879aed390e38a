/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Colours on standard output. */
#ifndef COLOR_H
#define COLOR_H

#include "cmd.h"

enum color { COLOR_OFF, COLOR_ID, COLOR_MACHINE, COLOR_TAG, COLOR_GOOD, COLOR_BAD };

/* Decide ctx->color: --color, then NO_COLOR, then whether standard output is a terminal. To be
 * called before a pager takes its place. */
void color_decide(struct ctx *ctx);
/* The escape sequence, or "" where colours are off. Static. */
const char *color_get(const struct ctx *ctx, enum color color);

#endif
