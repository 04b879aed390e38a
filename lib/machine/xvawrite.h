/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing ova.xml of an XVA archive; see machine/xva.h. Pure. */
#ifndef MACHINE_XVAWRITE_H
#define MACHINE_XVAWRITE_H

#include "base/buf.h"
#include "machine/description.h"

/* description->files are the disks' VDIs: their folders in the archive. */
int vmscm_xvawrite_encode(struct vmscm_buf *out, const struct vmscm_description *description,
    struct vmscm_error *err);

#endif
