/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the repository does for itself after a command that added to it. */
#ifndef HOUSEKEEPING_H
#define HOUSEKEEPING_H

#include "cmd.h"

/* Start 'vmscm gc --auto' in the background if it is due: it outlives this process, says nothing, and
 * a terminal's signals do not reach it. That it cannot be started is no failure. */
void housekeeping_start(struct ctx *ctx);

#endif
