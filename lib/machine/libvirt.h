/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A libvirt domain (https://libvirt.org/formatdomain.html) to a machine: CPUs, memory, firmware,
 * machine type, disks' targets, buses and source files, NICs. No network, no external entities, no
 * entity expansion, bounded size. CD-ROM and floppy drives are left out.
 */
#ifndef MACHINE_LIBVIRT_H
#define MACHINE_LIBVIRT_H

#include "base/error.h"
#include <stddef.h>
#include <vmscm/machine.h>

#define VMSCM_LIBVIRT_MAX (4 << 20) /* bytes of a domain XML */

/* Of a machine that we wrote: <metadata><machine><as/><is/></machine></metadata>, see machine/hint.h. */
#define VMSCM_LIBVIRT_NAMESPACE "urn:vmscm:machine"

/* Where each disk of the domain was: parallel to the machine's disks; NULL where the source is not
 * a file. Free each and the array. */
int vmscm_libvirt_parse(struct vmscm_machine **out, char ***sources, const void *xml, size_t len,
    struct vmscm_error *err);

/* Where the domain's NVRAM was; *path stays NULL if it has none. The caller's. */
int vmscm_libvirt_nvram(char **path, const void *xml, size_t len, struct vmscm_error *err);

/* The name of one of the formats that a parsed disk can have, as a constant; NULL for NULL. */
const char *vmscm_libvirt_format(const char *format);

#endif
