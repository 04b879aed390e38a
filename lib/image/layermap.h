/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where the bytes are that one image of a chain holds itself, of formats whose chains QEMU does not read:
 * vdi, vpc, vhdx, parallels, and raw below them. What the image below has is VMSCM_EXTENT_BELOW.
 *
 * Sources, besides those of image/probe.h: of vpc's and vhdx's sector bitmaps, whose bits begin with the
 * highest of a byte and the lowest, "Virtual Hard Disk Image Format Specification" and [MS-VHDX] 2.5.1.2.
 */
#ifndef IMAGE_LAYERMAP_H
#define IMAGE_LAYERMAP_H

#include "image/extentmap.h"
#include "image/probe_format.h"

/* One image while its map is made. */
struct vmscm_layermap {
    struct vmscm_extentmap *map;
    const struct vmscm_probe *probe;
    struct vmscm_probe_source source; /* the image, open */
    unsigned file;                    /* its number in the map */
};

/* The whole map. The probe has seen the image before, but it may be another one by now: nothing but the
 * disk's size is taken for granted. VMSCM_EINPUT: malformed, or its log has writes that are not applied;
 * VMSCM_EUNSUPPORTED: another format, or too many extents. */
int vmscm_layermap_read(struct vmscm_layermap *layer, struct vmscm_error *err);

/* What is seen of a chain (probe and its backing files), of whose images the sources are, in the same order,
 * each one's number in it being its file's. *out is empty. Errors as above. */
int vmscm_layermap_chain(struct vmscm_extentmap *out, const struct vmscm_probe *probe,
    const struct vmscm_probe_source *sources, struct vmscm_error *err);

/* The formats, each in a file of its own. */
int vmscm_layermap_vdi_read(struct vmscm_layermap *layer, struct vmscm_error *err);
int vmscm_layermap_vpc_read(struct vmscm_layermap *layer, struct vmscm_error *err);
int vmscm_layermap_parallels_read(struct vmscm_layermap *layer, struct vmscm_error *err);

/* What they share. Lengths are cut where the disk ends. */

/* The next len bytes are of this kind, but not in a file. */
int vmscm_layermap_add(struct vmscm_layermap *layer, enum vmscm_extentmap_kind kind, uint64_t len,
    struct vmscm_error *err);
/* They are at offset of the image, whose holes are zeros: what is present need not have been written. */
int vmscm_layermap_add_present(struct vmscm_layermap *layer, uint64_t offset, uint64_t len,
    struct vmscm_error *err);
/* The next count sectors are at offset of the image if their bit is set, else below; high: the highest bit of
 * a byte is the first. */
int vmscm_layermap_add_bits(struct vmscm_layermap *layer, uint64_t offset, const uint8_t *bits,
    size_t count, bool high, struct vmscm_error *err);

/* Calls each with the entries of a table, read piece by piece, until the disk's end. */
int vmscm_layermap_walk(struct vmscm_layermap *layer, uint64_t offset, uint64_t count, size_t width,
    int (*each)(void *data, uint64_t index, const uint8_t *entry, struct vmscm_error *err), void *data,
    struct vmscm_error *err);

int vmscm_layermap_bad(const struct vmscm_layermap *layer, const char *why, struct vmscm_error *err);

#endif
