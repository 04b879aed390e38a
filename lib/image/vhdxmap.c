/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/vhdxmap.h"
#include "base/endian.h"
#include "sys/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REGION_TABLE ((uint64_t)192 << 10)
#define REGION_TABLE_LEN (64u << 10)
#define REGIONS_MAX 2047u
#define ITEMS_MAX 2047u
#define BLOCK_MIN (1u << 20)
#define BLOCK_MAX (256u << 20)
#define HAS_PARENT 2u
#define SECTOR 512u
#define TABLE_PIECE 8192u /* entries read at once */
#define STATE_PRESENT 6u
#define STATE_PARTIAL 7u
#define OFFSET_MASK UINT64_C(0xfffffffffff00000)

/* GUIDs as they are in the file. */
static const uint8_t region_bat[16] = {
    0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42, 0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08};
static const uint8_t region_metadata[16] = {
    0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b, 0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e};
static const uint8_t file_parameters[16] = {
    0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d, 0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b};

struct region {
    uint64_t offset;
    uint32_t len; /* 0: not there */
};

static int bad(const struct vmscm_probe *probe, const char *why, struct vmscm_error *err)
{
    return vmscm_error_set(err, VMSCM_EINPUT, "%s: malformed VHDX: %s", probe->path, why);
}

static int find_regions(struct region *bat, struct region *metadata,
    const struct vmscm_probe *probe, int fd, struct vmscm_error *err)
{
    uint8_t *table = malloc(REGION_TABLE_LEN);
    int rc;

    if (!table)
        return vmscm_error_nomem(err);
    rc = vmscm_file_pread(fd, table, REGION_TABLE_LEN, REGION_TABLE, probe->path, err);
    if (!rc && (memcmp(table, "regi", 4) != 0 || vmscm_get_le32(table + 8) > REGIONS_MAX))
        rc = bad(probe, "region table", err);
    for (uint32_t i = 0; !rc && i < vmscm_get_le32(table + 8); i++) {
        const uint8_t *entry = table + 16 + (size_t)i * 32;
        struct region found = {vmscm_get_le64(entry + 16), vmscm_get_le32(entry + 24)};
        if (memcmp(entry, region_bat, 16) == 0)
            *bat = found;
        else if (memcmp(entry, region_metadata, 16) == 0)
            *metadata = found;
    }
    if (!rc && (!bat->len || !metadata->len))
        rc = bad(probe, "a region is missing", err);
    free(table);
    return rc;
}

static int find_block_size(uint64_t *block, const struct region *region,
    const struct vmscm_probe *probe, int fd, struct vmscm_error *err)
{
    uint8_t entry[32], value[8];
    int rc = vmscm_file_pread(fd, entry, sizeof entry, region->offset, probe->path, err);

    if (rc)
        return rc;
    uint32_t count = vmscm_get_le16(entry + 10);
    if (memcmp(entry, "metadata", 8) != 0 || count > ITEMS_MAX)
        return bad(probe, "metadata table", err);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t at = region->offset + 32 + (uint64_t)i * sizeof entry;
        if ((rc = vmscm_file_pread(fd, entry, sizeof entry, at, probe->path, err)))
            return rc;
        if (memcmp(entry, file_parameters, 16) != 0)
            continue;
        at = region->offset + vmscm_get_le32(entry + 16);
        if ((rc = vmscm_file_pread(fd, value, sizeof value, at, probe->path, err)))
            return rc;
        *block = vmscm_get_le32(value);
        if (*block < BLOCK_MIN || *block > BLOCK_MAX || (*block & (*block - 1)) ||
            (vmscm_get_le32(value + 4) & HAS_PARENT))
            return bad(probe, "file parameters", err);
        return 0;
    }
    return bad(probe, "metadata is missing", err);
}

/* A block's len bytes at offset of the file, whose holes read as zeros: a block that is present need
 * not have been written. */
static int add_present(struct vmscm_extentmap *map, const struct vmscm_probe *probe, int fd,
    unsigned file, uint64_t offset, uint64_t len, struct vmscm_error *err)
{
    int rc = 0;

    if (offset > INT64_MAX - len)
        return bad(probe, "a block is where no file reaches", err);
    while (!rc && len) {
        struct vmscm_extent e = {map->end, len, VMSCM_EXTENT_FILE, file, offset};
        off_t at = lseek(fd, (off_t)offset, SEEK_DATA);
        if (at < 0 && errno == ENXIO) {
            e.kind = VMSCM_EXTENT_ZERO;
        } else if (at >= 0 && (uint64_t)at > offset) {
            e.kind = VMSCM_EXTENT_ZERO;
            if ((uint64_t)at - offset < len)
                e.length = (uint64_t)at - offset;
        } else if (at >= 0) {
            at = lseek(fd, (off_t)offset, SEEK_HOLE);
            if (at >= 0 && (uint64_t)at > offset && (uint64_t)at - offset < len)
                e.length = (uint64_t)at - offset;
        }
        rc = vmscm_extentmap_add(map, &e, probe->size, err);
        offset += e.length;
        len -= e.length;
    }
    return rc;
}

static int add_block(struct vmscm_extentmap *map, const struct vmscm_probe *probe, uint64_t block,
    uint64_t entry, int fd, unsigned file, struct vmscm_error *err)
{
    struct vmscm_extent e = {.start = map->end, .kind = VMSCM_EXTENT_ZERO};
    unsigned state = entry & 7;

    e.length = probe->size - e.start < block ? probe->size - e.start : block;
    if (state == STATE_PARTIAL)
        return bad(probe, "a block needs a parent that the image does not have", err);
    if (state == STATE_PRESENT)
        return add_present(map, probe, fd, file, entry & OFFSET_MASK, e.length, err);
    return vmscm_extentmap_add(map, &e, probe->size, err);
}

int vmscm_vhdxmap_read(struct vmscm_extentmap *map, const struct vmscm_probe *probe, int fd,
    unsigned file, struct vmscm_error *err)
{
    struct region bat = {0, 0}, metadata = {0, 0};
    uint64_t block = 0, index = 0, have = 0;
    uint8_t *table = NULL;
    int rc;

    if ((rc = find_regions(&bat, &metadata, probe, fd, err)) ||
        (rc = find_block_size(&block, &metadata, probe, fd, err)))
        return rc;
    /* After so many data blocks comes the entry of a bitmap block, which only a child uses. */
    const uint64_t ratio = (UINT64_C(1) << 23) * SECTOR / block;
    table = malloc(TABLE_PIECE * 8);
    if (!table)
        return vmscm_error_nomem(err);
    for (; !rc && map->end < probe->size; index++) {
        if (index >= bat.len / 8) {
            rc = bad(probe, "its block table is too small for the disk", err);
            break;
        }
        if (index == have) {
            uint64_t n = bat.len / 8 - have < TABLE_PIECE ? bat.len / 8 - have : TABLE_PIECE;
            rc = vmscm_file_pread(
                fd, table, (size_t)n * 8, bat.offset + have * 8, probe->path, err);
            if (rc)
                break;
            have += n;
        }
        if (index % (ratio + 1) != ratio)
            rc = add_block(map, probe, block,
                vmscm_get_le64(table + index % TABLE_PIECE * 8), fd, file, err);
    }
    free(table);
    return rc;
}
