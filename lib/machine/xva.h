/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ova.xml of XVA archives, as XenServer and XCP-ng write them (xapi-project.github.io, "VM import/export",
 * and the fields of its classes): an XML-RPC value, a struct with the members version and
 * objects, an array of structs of class, id and snapshot, the object's fields. Pure.
 */
#ifndef MACHINE_XVA_H
#define MACHINE_XVA_H

#include "base/error.h"
#include <stddef.h>
#include <vmscm/machine.h>

#define VMSCM_XVA_MAX (8u << 20) /* bytes of an ova.xml */

/* What we write among a VM's other_config: see machine/hint.h. */
#define VMSCM_XVA_AS "vmscm.as"
#define VMSCM_XVA_IS "vmscm.is"

/* The VM, or the one of this name or id (NULL: its only one that is no snapshot). *sources: the id of each
 * disk's VDI, which is the name of its folder in the archive; parallel to the machine's disks, whose sizes
 * are filled in, formats not. Free each and the array.
 * VMSCM_EINPUT: no such document, or one that contradicts itself; VMSCM_EUSAGE: which of several VMs, or it
 * is not there; VMSCM_EREFUSED: a document type. */
int vmscm_xva_parse(struct vmscm_machine **out, char ***sources, const char *system,
    const void *xml, size_t len, struct vmscm_error *err);

#endif
