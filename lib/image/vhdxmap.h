/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where a VHDX image's bytes are, from its own block table: QEMU does not tell ([MS-VHDX] 2.5; and
 * `qemu-img map` calls all of it data), so a mostly empty disk would be read as long as a full one.
 */
#ifndef IMAGE_VHDXMAP_H
#define IMAGE_VHDXMAP_H

#include "image/layermap.h"

/* Of a probe that is not dirty (nothing in its log). Errors as of vmscm_layermap_read. */
int vmscm_vhdxmap_read(struct vmscm_layermap *layer, struct vmscm_error *err);

/* Where an item of the metadata of this GUID is in the image; *len: its length. Errors as above. */
int vmscm_vhdxmap_item(uint64_t *offset, uint32_t *len, const struct vmscm_layermap *layer,
    const uint8_t guid[16], struct vmscm_error *err);

#endif
