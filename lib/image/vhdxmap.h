/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where a VHDX image's bytes are, from its own block table: QEMU does not tell ([MS-VHDX] 2.5; and
 * `qemu-img map` calls all of it data), so a mostly empty disk would be read as long as a full one.
 */
#ifndef IMAGE_VHDXMAP_H
#define IMAGE_VHDXMAP_H

#include "image/extentmap.h"
#include "image/probe.h"

/* fd: the image, of a probe that is not dirty (nothing in its log) and has no parent; file: its
 * number in the map. VMSCM_EINPUT: malformed; VMSCM_EUNSUPPORTED: too many extents. */
int vmscm_vhdxmap_read(struct vmscm_extentmap *map, const struct vmscm_probe *probe, int fd,
    unsigned file, struct vmscm_error *err);

#endif
