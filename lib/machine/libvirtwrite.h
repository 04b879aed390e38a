/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing a libvirt domain (https://libvirt.org/formatdomain.html) of qcow2 images. Pure. */
#ifndef MACHINE_LIBVIRTWRITE_H
#define MACHINE_LIBVIRTWRITE_H

#include "base/buf.h"
#include "machine/description.h"

/* From the machine alone. */
int vmscm_libvirtwrite_encode(struct vmscm_buf *out, const struct vmscm_description *description,
    struct vmscm_error *err);

/* The domain XML that the machine once came with, with the images at their new places; nothing is put out
 * if it is not, or no longer, of this machine. */
int vmscm_libvirtwrite_adapt(struct vmscm_buf *out, const void *xml, size_t len,
    const struct vmscm_description *description, struct vmscm_error *err);

#endif
