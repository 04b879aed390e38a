/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing a .vmx that VMware's programs take; see machine/vmx.h. Pure. */
#ifndef MACHINE_VMXWRITE_H
#define MACHINE_VMXWRITE_H

#include "base/buf.h"
#include "machine/description.h"

/* From the machine alone. VMSCM_EUNSUPPORTED: more disks than there are places. */
int vmscm_vmxwrite_encode(struct vmscm_buf *out, const struct vmscm_description *description,
    struct vmscm_error *err);

/* The .vmx that the machine once came with, with the images at their new places; nothing is put out if it is
 * not, or no longer, of this machine. */
int vmscm_vmxwrite_adapt(struct vmscm_buf *out, const void *text, size_t len,
    const struct vmscm_description *description, struct vmscm_error *err);

#endif
