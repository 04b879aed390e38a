/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing an OVF descriptor (DSP0243 1.1) that VMware, VirtualBox and virt-v2v take. Pure. */
#ifndef MACHINE_OVFWRITE_H
#define MACHINE_OVFWRITE_H

#include "base/buf.h"
#include <vmscm/machine.h>

struct vmscm_ovfwrite_file {
    const char *name;
    uint64_t size; /* bytes */
};

struct vmscm_ovfwrite {
    const struct vmscm_machine *machine;
    const char *id;       /* of the VirtualSystem: a plain word */
    const struct vmscm_ovfwrite_file *disks; /* a streamOptimized vmdk for each disk of the machine */
    const struct vmscm_ovfwrite_file *nvram; /* NULL: none */
    const char *os_id;    /* of the operating system, as CIM numbers it; NULL: other, of 64 bits */
    const char *os_type;  /* VMware's word for it; NULL: otherGuest64 */
    const char *annotation; /* NULL: none */
    int new_identity;     /* leave MAC addresses out, so that new ones are made */
};

int vmscm_ovfwrite_encode(struct vmscm_buf *out, const struct vmscm_ovfwrite *ovf,
    struct vmscm_error *err);

/* Calls each with a line for everything that is written as something else than it is. */
int vmscm_ovfwrite_losses(const struct vmscm_machine *machine,
    int (*each)(void *data, const char *text), void *data);

#endif
