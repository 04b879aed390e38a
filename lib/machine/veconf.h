/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * OpenVZ's and Virtuozzo's configuration of a container (ctid.conf(5) of vzctl), CTID.conf: lines
 * KEY="VALUE", as a shell has them, though none is ever asked. Pure.
 */
#ifndef MACHINE_VECONF_H
#define MACHINE_VECONF_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <vmscm/machine.h>

#define VMSCM_VECONF_MAX (1u << 20) /* bytes */

/* Whether this is one. text: NUL-terminated. */
bool vmscm_veconf_match(const char *text);

/* What it says of name, architecture, CPUs, memory and NICs, into the machine; what it does not say, or not
 * as it should be, stays. VMSCM_EINPUT: more than 256 NICs. */
int vmscm_veconf_parse(struct vmscm_machine *machine, const void *text, size_t len,
    struct vmscm_error *err);

#endif
