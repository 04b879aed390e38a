/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where an image's bytes are, as `qemu-img map --output=json` tells: one extent a line, parsed as
 * it comes, since a large image may have millions.
 */
#ifndef IMAGE_QEMUMAP_H
#define IMAGE_QEMUMAP_H

#include "image/changes.h"
#include "image/extentmap.h"
#include "image/probe.h"
#include <vmscm/events.h>

/* What a layer of the chain is to the map. */
struct vmscm_qemumap_layer {
    bool direct;   /* its host offsets are those of one file */
    unsigned file; /* which one */
};

/* The whole disk's map. Layers are the chain's, the image itself first. VMSCM_EINPUT: what QEMU
 * says is not a map of probe->size bytes; VMSCM_EUNSUPPORTED: too many extents;
 * VMSCM_ETOOL; VMSCM_ECANCELED. */
int vmscm_qemumap_read(struct vmscm_extentmap *map, const struct vmscm_probe *probe,
    const struct vmscm_qemumap_layer *layers, size_t layer_count,
    const struct vmscm_events *events, struct vmscm_error *err);

/* What the top `depth` layers of the chain hold themselves: all that may differ from what is below
 * them. VMSCM_EUNSUPPORTED: too many extents, or a QEMU before 6.1, which does not tell; else as
 * above. */
int vmscm_qemumap_changes(struct vmscm_changes *changes, const struct vmscm_probe *probe,
    unsigned depth, const struct vmscm_events *events, struct vmscm_error *err);

/* One line of it, without its newline, appended to map. */
int vmscm_qemumap_line(struct vmscm_extentmap *map, const char *line, size_t len, uint64_t size,
    const struct vmscm_qemumap_layer *layers, size_t layer_count, struct vmscm_error *err);

#endif
