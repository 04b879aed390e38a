/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which machines and tags a user names: "MACHINE", a pattern, "MACHINE:TAG", each with "+" before it if
 * something may be lost by it. Pure. */
#ifndef REMOTE_WANTED_H
#define REMOTE_WANTED_H

#include "base/error.h"
#include <stdbool.h>
#include <vmscm/remote.h>

/* VMSCM_EUSAGE: one of the names can be none. */
int vmscm_wanted_check(const struct vmscm_remote_options *options, struct vmscm_error *err);

/* Whether a machine (tag NULL) or tag is among those named; *force: it may lose something. Where none are
 * named, every machine is. Tags of machines that are named are, if options say so. named, if not NULL, has
 * an element for each name, which is set to true. */
bool vmscm_wanted_match(const struct vmscm_remote_options *options, const char *machine,
    const char *tag, bool *force, bool *named);

/* A name without its "+", which is a pattern or not. */
const char *vmscm_wanted_text(const char *name, bool *pattern);

#endif
