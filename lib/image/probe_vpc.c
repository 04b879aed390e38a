/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Virtual PC's and Hyper-V's VHD, which QEMU calls vpc. A dynamic disk begins and ends with the
 * footer; a fixed one only ends with it. Numbers are big-endian.
 */
#include "base/endian.h"
#include "image/probe_format.h"

#include <inttypes.h>
#include <string.h>

enum {
    FOOTER = 512,
    DYNAMIC_HEADER = 1024,
    CHECKSUM = 64, /* its offset in the footer */
    TYPE_FIXED = 2,
    TYPE_DYNAMIC = 3,
    TYPE_DIFFERENCING = 4,
};

enum {
    UNIQUE_ID = 68,      /* in the footer */
    PARENT_ID = 40,      /* in the dynamic disk header, as what follows */
    PARENT_NAME = 64,    /* UTF-16, big-endian */
    PARENT_NAME_LEN = 512,
};

#define UNALLOCATED UINT32_C(0xffffffff)
#define SECTORS_MAX UINT64_C(0xff000000)               /* 2040 GiB */
#define GEOMETRY_MAX (UINT64_C(65535) * 16 * 255)      /* the largest geometry: size unknown */
#define ENTRIES_MAX (UINT32_C(16) << 20)               /* of the block table: 64 MiB of it */

struct map {
    const struct vmscm_probe_source *file;
    uint64_t size;
    uint64_t block;
    uint64_t bitmap;
};

bool vmscm_probe_vpc_match(const struct vmscm_probe_head *head)
{
    return memcmp(head->first, "conectix", 8) == 0 || memcmp(head->last, "conectix", 8) == 0;
}

/* The size the guest sees. Virtual PC and old QEMU go by the geometry, others by the footer's
 * current size; which of them made the image is all that tells. The table is that of QEMU. */
static uint64_t guest_sectors(const uint8_t *footer)
{
    static const char by_size[][5] = {"win ", "qem2", "d2v ", "tap\0", "CTXS"};
    uint64_t sectors = (uint64_t)vmscm_get_be16(footer + 56) * footer[58] * footer[59];
    uint64_t current = vmscm_get_be64(footer + 48) / 512;

    if (sectors == GEOMETRY_MAX)
        return current;
    for (size_t i = 0; i < sizeof by_size / sizeof by_size[0]; i++)
        if (memcmp(footer + 28, by_size[i], 4) == 0)
            return current;
    return sectors;
}

static int each_block(void *data, uint64_t index, const uint8_t *entry, struct vmscm_error *err)
{
    const struct map *map = data;
    uint32_t sector = vmscm_get_be32(entry);

    if (sector == UNALLOCATED || index * map->block >= map->size)
        return 0;
    return vmscm_probe_file_need(
        map->file, (uint64_t)sector * 512, map->bitmap + map->block, "data block", err);
}

static int read_dynamic(struct vmscm_probe_image *image, const uint8_t *footer, uint64_t size,
    struct vmscm_error *err)
{
    const char *path = image->file.path;
    struct map map = {.file = &image->file, .size = size};
    uint8_t b[DYNAMIC_HEADER];
    uint32_t entries, block;
    int rc;

    if ((rc = vmscm_probe_file_read(
             &image->file, b, sizeof b, vmscm_get_be64(footer + 16), "dynamic disk header", err)))
        return rc;
    if (memcmp(b, "cxsparse", 8) != 0)
        return vmscm_error_set(
            err, VMSCM_EINPUT, "%s: malformed VHD: no dynamic disk header", path);
    entries = vmscm_get_be32(b + 28);
    block = vmscm_get_be32(b + 32);
    if (block < 512 || block & (block - 1))
        return vmscm_error_set(
            err, VMSCM_EINPUT, "%s: malformed VHD: block size %" PRIu32, path, block);
    if ((uint64_t)entries * block < size)
        return vmscm_error_set(
            err, VMSCM_EINPUT, "%s: malformed VHD: block table too small for the disk", path);
    if (entries > ENTRIES_MAX)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED,
            "%s: a VHD of %" PRIu32 " blocks is not supported", path, entries);
    if (image->probe->link.child) {
        memcpy(image->probe->link.parent, b + PARENT_ID, 16);
        if ((rc = vmscm_probe_file_parent_name(
                 image->probe, b + PARENT_NAME, PARENT_NAME_LEN, true, err)))
            return rc;
    }
    map.block = block;
    map.bitmap = (block / (512 * 8) + 511) & ~UINT64_C(511); /* a bit a sector, whole sectors */
    if ((rc = vmscm_probe_file_table(&image->file, vmscm_get_be64(b + 16), entries, 4,
             each_block, &map, "block table", err)))
        return rc;
    return vmscm_probe_file_option(image->probe, err, "subformat", "dynamic");
}

int vmscm_probe_vpc_read(struct vmscm_probe_image *image, struct vmscm_error *err)
{
    const char *path = image->file.path;
    uint8_t footer[FOOTER];
    bool at_start;
    uint32_t type, sum = 0;
    uint64_t sectors;
    int rc;

    if ((rc = vmscm_probe_file_read(&image->file, footer, FOOTER, 0, "footer", err)))
        return rc;
    at_start = memcmp(footer, "conectix", 8) == 0;
    if (!at_start && (rc = vmscm_probe_file_read(&image->file, footer, FOOTER,
                          image->file.size - FOOTER, "footer", err)))
        return rc;
    for (size_t i = 0; i < FOOTER; i++)
        if (i < CHECKSUM || i >= CHECKSUM + 4)
            sum += footer[i];
    if (~sum != vmscm_get_be32(footer + CHECKSUM)) {
        rc = vmscm_error_set(err, VMSCM_EINPUT, "%s: malformed VHD: its footer is damaged", path);
        vmscm_error_hint(err, "if it is a raw disk that only looks like a VHD: --format raw");
        return rc;
    }
    type = vmscm_get_be32(footer + 60);
    image->probe->link.has_id = true;
    memcpy(image->probe->link.id, footer + UNIQUE_ID, 16);
    if (type == TYPE_DIFFERENCING) {
        if ((rc = vmscm_probe_file_child(image, "VHD", err)))
            return rc;
        type = TYPE_DYNAMIC;
    }
    if (type != (at_start ? TYPE_DYNAMIC : TYPE_FIXED))
        return vmscm_error_set(err, VMSCM_EINPUT,
            "%s: malformed VHD: disk type %" PRIu32 " with the footer at the %s", path, type,
            at_start ? "start" : "end");
    sectors = guest_sectors(footer);
    if (sectors > SECTORS_MAX)
        return vmscm_error_set(
            err, VMSCM_EINPUT, "%s: malformed VHD: its virtual size is too large", path);
    image->probe->size = sectors * 512;
    if (at_start)
        return read_dynamic(image, footer, sectors * 512, err);
    if (sectors * 512 > image->file.size - FOOTER)
        return vmscm_error_set(err, VMSCM_EINPUT,
            "%s: truncated: a disk of %" PRIu64 " bytes in a file of %" PRIu64, path,
            sectors * 512, image->file.size);
    return vmscm_probe_file_option(image->probe, err, "subformat", "fixed");
}
