/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ctrl-C, and being told to end, in the middle of an operation that cleans up after itself. */
#ifndef INTERRUPT_H
#define INTERRUPT_H

#include <stdbool.h>

/* From here on the first SIGINT, SIGTERM or SIGHUP only sets a flag; the next kills at once. */
void interrupt_catch(void);
bool interrupt_pending(void);
/* If one came: end by it, so that the shell sees why. */
void interrupt_raise(void);

#endif
