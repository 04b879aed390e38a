/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/endian.h"
#include "image/layermap.h"

#include <string.h>

#define HEADER 64u

struct table {
    struct vmscm_layermap *layer;
    uint64_t cluster, unit;
};

static int each_cluster(void *data, uint64_t index, const uint8_t *entry, struct vmscm_error *err)
{
    const struct table *t = data;
    uint64_t offset = vmscm_get_le32(entry) * t->unit;

    (void)index;
    return offset ? vmscm_layermap_add_present(t->layer, offset, t->cluster, err)
                  : vmscm_layermap_add(t->layer, VMSCM_EXTENT_BELOW, t->cluster, err);
}

int vmscm_layermap_parallels_read(struct vmscm_layermap *layer, struct vmscm_error *err)
{
    uint8_t b[HEADER];
    struct table t = {.layer = layer};
    int rc = vmscm_probe_file_read(&layer->source, b, sizeof b, 0, "header", err);

    if (rc)
        return rc;
    t.cluster = (uint64_t)vmscm_get_le32(b + 28) * 512;
    t.unit = memcmp(b, "WithoutFreeSpace", 16) == 0 ? 512 : t.cluster;
    if (!t.cluster)
        return vmscm_layermap_bad(layer, "its cluster size", err);
    return vmscm_layermap_walk(layer, HEADER, vmscm_get_le32(b + 32), 4, each_cluster, &t, err);
}
