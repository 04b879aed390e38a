/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The progress line on standard error, and what else an operation tells while it runs. */
#ifndef PROGRESS_H
#define PROGRESS_H

#include "cmd.h"
#include <vmscm/events.h>

/* The callbacks for one operation; from here on it can be interrupted. Static. */
const struct vmscm_events *progress_events(const struct ctx *ctx);
/* Take the line away, if there is one. */
void progress_clear(void);

#endif
