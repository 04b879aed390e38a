/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Hyper-V's machines, from the files of machine/hypervtree.h, and from the scripts that we write for it: see
 * machine/hypervscript.h. IDE and SCSI disks and network adapters are taken; drives for CD-ROMs and floppies
 * are left out. Pure.
 */
#ifndef MACHINE_HYPERV_H
#define MACHINE_HYPERV_H

#include "base/error.h"
#include "machine/hypervtree.h"
#include <vmscm/machine.h>

/* The older kind of network adapter, which others know by its chip; the newer one is no real one, and has no
 * model. */
#define VMSCM_HYPERV_LEGACY_NIC "tulip"

/* Whether a file that begins so is one: XML, or .vmcx. text: NUL-terminated. */
bool vmscm_hyperv_match(const char *text, size_t len);

/* *sources: each disk's file, without its folders; parallel to the machine's disks, whose sizes and formats
 * are not filled in. Free each and the array. VMSCM_EINPUT: malformed; VMSCM_EREFUSED: a document type;
 * VMSCM_EUNSUPPORTED: a .vmcx that we cannot read, or a disk that is in no file. */
int vmscm_hyperv_parse(struct vmscm_machine **out, char ***sources, const void *data, size_t len,
    struct vmscm_error *err);

/* Whether a .vmcx that cannot be read names a file, in any case and whatever structure. */
bool vmscm_hyperv_names(const void *data, size_t len, const char *name);

#endif
