/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The PowerShell script that makes a machine for Hyper-V. It begins with what the machine is, as
 * assignments of constants, one a line, and ends with commands that are always the same. That first part
 * is read again; no script is ever run here. Pure.
 */
#ifndef MACHINE_HYPERVSCRIPT_H
#define MACHINE_HYPERVSCRIPT_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <vmscm/machine.h>

#define VMSCM_HYPERVSCRIPT_MAGIC "# A machine for Hyper-V, written by vmscm." /* the first line */
#define VMSCM_HYPERVSCRIPT_MAX (1u << 20) /* bytes */
#define VMSCM_HYPERVSCRIPT_IDE 4u         /* places of a machine that has BIOS */
#define VMSCM_HYPERVSCRIPT_CONTROLLERS 4u /* SCSI */
#define VMSCM_HYPERVSCRIPT_PLACES 64u     /* of one */

/* Whether a file that begins so is one of ours. text: NUL-terminated. */
bool vmscm_hypervscript_match(const char *text);

/* *sources: each disk's file; parallel to the machine's disks. Free each and the array. VMSCM_EINPUT: it has
 * what we do not write. */
int vmscm_hypervscript_parse(struct vmscm_machine **out, char ***sources, const void *text,
    size_t len, struct vmscm_error *err);

#endif
