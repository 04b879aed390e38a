/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/endian.h"
#include "image/layermap.h"

#include <stdlib.h>
#include <string.h>

#define FOOTER 512u
#define HEADER 1024u
#define SECTOR 512u
#define BLOCK_MAX (256u << 20)
#define UNALLOCATED UINT32_C(0xffffffff)

struct table {
    struct vmscm_layermap *layer;
    uint32_t block;
    uint32_t bitmap; /* bytes before a block's data: a bit a sector, in whole sectors */
    uint8_t *bits;   /* of one block */
};

static int each_block(void *data, uint64_t index, const uint8_t *entry, struct vmscm_error *err)
{
    const struct table *t = data;
    struct vmscm_layermap *layer = t->layer;
    uint64_t at = (uint64_t)vmscm_get_be32(entry) * SECTOR;
    int rc;

    (void)index;
    if (vmscm_get_be32(entry) == UNALLOCATED)
        return vmscm_layermap_add(layer, VMSCM_EXTENT_BELOW, t->block, err);
    /* All of a block that is there is the disk's, unless the bitmap can say that it is the parent's. */
    if (!layer->probe->link.child)
        return vmscm_layermap_add_present(layer, at + t->bitmap, t->block, err);
    rc = vmscm_probe_file_read(
        &layer->source, t->bits, t->block / SECTOR / 8, at, "sector bitmap", err);
    return rc ? rc
              : vmscm_layermap_add_bits(
                    layer, at + t->bitmap, t->bits, t->block / SECTOR, true, err);
}

int vmscm_layermap_vpc_read(struct vmscm_layermap *layer, struct vmscm_error *err)
{
    uint8_t footer[FOOTER], b[HEADER];
    struct table t = {.layer = layer};
    int rc = vmscm_probe_file_read(&layer->source, footer, sizeof footer, 0, "footer", err);

    if (rc)
        return rc;
    if (memcmp(footer, "conectix", 8) != 0) /* fixed: the footer is only at the end */
        return vmscm_layermap_add_present(layer, 0, layer->probe->size, err);
    if ((rc = vmscm_probe_file_read(&layer->source, b, sizeof b, vmscm_get_be64(footer + 16),
             "dynamic disk header", err)))
        return rc;
    t.block = vmscm_get_be32(b + 32);
    if (t.block < 8 * SECTOR || t.block > BLOCK_MAX || t.block & (t.block - 1))
        return vmscm_layermap_bad(layer, "its block size", err);
    t.bitmap = (t.block / SECTOR / 8 + SECTOR - 1) / SECTOR * SECTOR;
    if (!(t.bits = malloc(t.block / SECTOR / 8)))
        return vmscm_error_nomem(err);
    rc = vmscm_layermap_walk(
        layer, vmscm_get_be64(b + 16), vmscm_get_be32(b + 28), 4, each_block, &t, err);
    free(t.bits);
    return rc;
}
