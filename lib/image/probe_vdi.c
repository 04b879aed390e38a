/* SPDX-License-Identifier: GPL-3.0-or-later */
/* VirtualBox's VDI, version 1.1. Numbers are little-endian. */
#include "base/endian.h"
#include "image/probe_format.h"

#include <inttypes.h>
#include <string.h>

enum {
    HEADER = 512,
    BLOCK = 1 << 20,
    TYPE_DYNAMIC = 1,
    TYPE_STATIC = 2,
    TYPE_DIFFERENCING = 4,
};

#define SIGNATURE UINT32_C(0xbeda107f)
#define VERSION_1_1 UINT32_C(0x00010001)
#define BLOCK_DISCARDED UINT32_C(0xfffffffe) /* and 0xffffffff, never allocated */
#define BLOCKS_MAX UINT32_C(0x1fffff80)      /* QEMU's bound */

struct map {
    const struct vmscm_probe_source *file;
    uint64_t data;
    uint64_t size;
};

bool vmscm_probe_vdi_match(const struct vmscm_probe_head *head)
{
    return vmscm_get_le32(head->first + 0x40) == SIGNATURE;
}

static int each_block(void *data, uint64_t index, const uint8_t *entry, struct vmscm_error *err)
{
    const struct map *map = data;
    uint32_t block = vmscm_get_le32(entry);
    uint64_t guest = index * BLOCK;

    if (block >= BLOCK_DISCARDED || guest >= map->size)
        return 0;
    return vmscm_probe_file_need(map->file, map->data + (uint64_t)block * BLOCK,
        map->size - guest < BLOCK ? map->size - guest : BLOCK, "data block", err);
}

static bool is_zero(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i])
            return false;
    return true;
}

int vmscm_probe_vdi_read(struct vmscm_probe_image *image, struct vmscm_error *err)
{
    const char *path = image->file.path;
    uint8_t b[HEADER];
    struct map map = {.file = &image->file};
    uint32_t version, type, bitmap, data, sector, block, extra, blocks;
    int rc;

    if ((rc = vmscm_probe_file_read(&image->file, b, sizeof b, 0, "header", err)))
        return rc;
    version = vmscm_get_le32(b + 0x44);
    type = vmscm_get_le32(b + 0x4c);
    bitmap = vmscm_get_le32(b + 0x154);
    data = vmscm_get_le32(b + 0x158);
    sector = vmscm_get_le32(b + 0x168);
    map.size = vmscm_get_le64(b + 0x170);
    block = vmscm_get_le32(b + 0x178);
    extra = vmscm_get_le32(b + 0x17c); /* before each block; QEMU does not look */
    blocks = vmscm_get_le32(b + 0x180);
    if (version != VERSION_1_1)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED,
            "%s: VDI version %" PRIu32 ".%" PRIu32 " is not supported", path, version >> 16,
            version & 0xffff);
    image->probe->link.has_id = true;
    memcpy(image->probe->link.id, b + 0x188, 16);
    memcpy(image->probe->link.parent, b + 0x1a8, 16);
    /* The UUIDs of a parent: of the image it links to, and of the state that it was in. */
    if (((type != TYPE_DYNAMIC && type != TYPE_STATIC) || !is_zero(b + 0x1a8, 32)) &&
        (rc = vmscm_probe_file_child(image, "VDI", err)))
        return rc;
    if (image->probe->link.child && type != TYPE_DIFFERENCING)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED,
            "%s: a VDI of type %" PRIu32 " is not supported", path, type);
    if (sector != 512 || block != BLOCK || extra)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED,
            "%s: VDI sectors of %" PRIu32 " and blocks of %" PRIu32 " + %" PRIu32
            " bytes are not supported",
            path, sector, block, extra);
    if (bitmap % 512 || data % 512)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED,
            "%s: VDI tables that are not aligned are not supported", path);
    if (blocks > BLOCKS_MAX || map.size > (uint64_t)BLOCKS_MAX * BLOCK)
        return vmscm_error_set(
            err, VMSCM_EINPUT, "%s: malformed VDI: its virtual size is too large", path);
    if (map.size > (uint64_t)blocks * BLOCK)
        return vmscm_error_set(
            err, VMSCM_EINPUT, "%s: malformed VDI: its block map is too small for the disk", path);
    map.data = data;
    map.size = (map.size + 511) & ~UINT64_C(511); /* as QEMU does */
    if ((rc = vmscm_probe_file_table(
             &image->file, bitmap, blocks, 4, each_block, &map, "block map", err)))
        return rc;
    image->probe->size = map.size;
    return vmscm_probe_file_option(
        image->probe, err, "static", "%s", type == TYPE_STATIC ? "on" : "off");
}
