/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The manual, and what stands in for it where it is not installed. */
#ifndef MANUAL_H
#define MANUAL_H

#include "cmd.h"
#include <stdbool.h>

/* Show a page with man(1); false if there is none, or no man. */
bool manual_show(const char *page);
/* A command's page (NULL: vmscm's own), or else what -h prints. */
void manual_command(struct ctx *ctx, const struct cmd *cmd);

#endif
