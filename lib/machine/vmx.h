/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * VMware's .vmx files to a machine: lines KEY = "VALUE", keys in any case, |XX for a byte, the first of two
 * lines of one key counts; what is not present is left out. VMware documents the keys one by one only; these
 * are the ones its own programs write. CD-ROM and floppy drives are left out.
 */
#ifndef MACHINE_VMX_H
#define MACHINE_VMX_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <vmscm/machine.h>

#define VMSCM_VMX_MAX (1 << 20) /* bytes */

/* What we write of the machine that VMware has no words for: see machine/hint.h. */
#define VMSCM_VMX_AS "vmscm.as"
#define VMSCM_VMX_IS "vmscm.is"

struct vmscm_vmx {
    struct vmscm_machine *machine; /* its disks' size and format are not filled in */
    char **sources; /* each disk's file, as it is written: parallel to the machine's disks */
    char *nvram;    /* the file, or NULL */
};

/* Whether this is the beginning of one. text: NUL-terminated. */
bool vmscm_vmx_match(const char *text);

/* KEY = "VALUE" or KEY = VALUE, in the line itself. False: it is neither. */
bool vmscm_vmx_split(char **key, char **value, char *line);

/* VMSCM_EINPUT: a line that is none, numbers out of range, too much of something. */
int vmscm_vmx_parse(struct vmscm_vmx *out, const void *text, size_t len, struct vmscm_error *err);
void vmscm_vmx_release(struct vmscm_vmx *vmx);

#endif
