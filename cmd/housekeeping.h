/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the repository does for itself after a command that added to it. */
#ifndef HOUSEKEEPING_H
#define HOUSEKEEPING_H

#include "cmd.h"
#include <stdbool.h>

/* Start 'vmscm gc --auto' in the background if it is due: it outlives this process, says nothing, and
 * a terminal's signals do not reach it. That it cannot be started is no failure. */
void housekeeping_start(struct ctx *ctx);

/* Start 'vmscm inspect --auto' likewise, for what was checked in, if inspect.auto says so or always; when
 * this returns, it or another is at it. Nothing where the program that inspects is not installed. */
void housekeeping_inspect(struct ctx *ctx, bool always);

#endif
