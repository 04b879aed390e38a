/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The pager, as git's: VMSCM_PAGER, core.pager, PAGER, less; only on a terminal. */
#ifndef PAGER_H
#define PAGER_H

#include "cmd.h"
#include <stdbool.h>

/* From here on standard output, and standard error if it is a terminal, go through the pager. Does
 * nothing where none is wanted, or it cannot be started. */
void pager_start(struct ctx *ctx);
bool pager_running(void);
/* Close both, and wait until the user has left it. */
void pager_finish(void);

#endif
