/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/endian.h"
#include "image/layermap.h"

#define HEADER 512u
#define BLOCK ((uint64_t)1 << 20)
#define ALLOCATED_NEVER UINT32_C(0xffffffff) /* what the parent has there */
#define DISCARDED UINT32_C(0xfffffffe)       /* zeros */

struct table {
    struct vmscm_layermap *layer;
    uint64_t data;
};

static int each_block(void *data, uint64_t index, const uint8_t *entry, struct vmscm_error *err)
{
    const struct table *t = data;
    uint32_t block = vmscm_get_le32(entry);

    (void)index;
    if (block == ALLOCATED_NEVER)
        return vmscm_layermap_add(t->layer, VMSCM_EXTENT_BELOW, BLOCK, err);
    if (block == DISCARDED)
        return vmscm_layermap_add(t->layer, VMSCM_EXTENT_ZERO, BLOCK, err);
    return vmscm_layermap_add_present(t->layer, t->data + block * BLOCK, BLOCK, err);
}

int vmscm_layermap_vdi_read(struct vmscm_layermap *layer, struct vmscm_error *err)
{
    uint8_t b[HEADER];
    struct table t = {layer, 0};
    int rc = vmscm_probe_file_read(&layer->source, b, sizeof b, 0, "header", err);

    if (rc)
        return rc;
    t.data = vmscm_get_le32(b + 0x158);
    return vmscm_layermap_walk(
        layer, vmscm_get_le32(b + 0x154), vmscm_get_le32(b + 0x180), 4, each_block, &t, err);
}
