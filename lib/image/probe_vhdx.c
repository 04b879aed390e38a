/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Hyper-V's VHDX. Two headers, of which the newer valid one counts; a region table that tells where
 * the block table (BAT) and the metadata are. Numbers are little-endian, checksums CRC-32C.
 */
#include "base/endian.h"
#include "codec/crc32c.h"
#include "image/probe_format.h"

#include <inttypes.h>
#include <string.h>

enum {
    HEADER = 4096,
    HEADER_1 = 64 << 10,
    HEADER_2 = 128 << 10,
    REGIONS = 192 << 10,
    REGIONS_LEN = 64 << 10,
    REGIONS_MAX = 2047,
    METADATA_LEN = 64 << 10, /* of its table; the items follow */
    METADATA_MAX = 2047,
    REGION_REQUIRED = 1,
    METADATA_REQUIRED = 4,
    BLOCK_MIN = 1 << 20,
    BLOCK_MAX = 256 << 20,
    PARAMETER_FIXED = 1,
    PARAMETER_PARENT = 2,
    STATE_PRESENT = 6,
    STATE_PARTIAL = 7,
};

#define SIZE_MAX_BYTES (UINT64_C(64) << 40)
#define BAT_OFFSET UINT64_C(0xfffffffffff00000)

/* GUIDs as they are in the file. */
static const uint8_t region_bat[16] =
    "\x66\x77\xc2\x2d\x23\xf6\x00\x42\x9d\x64\x11\x5e\x9b\xfd\x4a\x08";
static const uint8_t region_metadata[16] =
    "\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e";

enum item {
    FILE_PARAMETERS,
    VIRTUAL_SIZE,
    PAGE_83,
    LOGICAL_SECTOR,
    PHYSICAL_SECTOR,
    PARENT,
    ITEMS,
};

struct item_kind {
    uint8_t guid[16];
    uint32_t len;
};

static const struct item_kind items[ITEMS] = {
    [FILE_PARAMETERS] = {"\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b", 8},
    [VIRTUAL_SIZE] = {"\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8", 8},
    [PAGE_83] = {"\xab\x12\xca\xbe\xe6\xb2\x23\x45\x93\xef\xc3\x09\xe0\x00\xc7\x46", 16},
    [LOGICAL_SECTOR] = {"\x1d\xbf\x41\x81\x6f\xa9\x09\x47\xba\x47\xf2\x33\xa8\xfa\xab\x5f", 4},
    [PHYSICAL_SECTOR] = {"\xc7\x48\xa3\xcd\x5d\x44\x71\x44\x9c\xc9\xe9\x88\x52\x51\xc5\x56", 4},
    [PARENT] = {"\x2d\x5f\xd3\xa8\x0b\xb3\x4d\x45\xab\xf7\xd3\xd8\x48\x34\xab\x0c", 0},
};

struct region {
    uint64_t offset;
    uint32_t len; /* 0: not found */
};

struct map {
    const struct vmscm_probe_source *file;
    uint64_t size;
    uint64_t block;
    uint64_t ratio; /* data blocks between two bitmap blocks */
};

bool vmscm_probe_vhdx_match(const struct vmscm_probe_head *head)
{
    return memcmp(head->first, "vhdxfile", 8) == 0;
}

static int bad(const struct vmscm_probe_image *image, const char *why, struct vmscm_error *err)
{
    return vmscm_error_set(err, VMSCM_EINPUT, "%s: malformed VHDX: %s", image->file.path, why);
}

/* CRC-32C over data with its checksum field, at 4, taken as zero. */
static bool checksum_fits(const uint8_t *data, size_t len)
{
    static const uint8_t zeros[4];
    uint32_t crc = vmscm_crc32c(vmscm_crc32c(0, data, 4), zeros, 4);

    return vmscm_crc32c(crc, data + 8, len - 8) == vmscm_get_le32(data + 4);
}

static bool header_fits(const uint8_t *b)
{
    return memcmp(b, "head", 4) == 0 && vmscm_get_le16(b + 66) == 1 && checksum_fits(b, HEADER);
}

/* Whether the log holds writes that are not in the file yet. */
static int read_headers(bool *dirty, const struct vmscm_probe_image *image, struct vmscm_error *err)
{
    static const uint8_t none[16];
    uint8_t a[HEADER], b[HEADER];
    const uint8_t *now;
    bool a_fits, b_fits;
    int rc;

    if ((rc = vmscm_probe_file_read(&image->file, a, sizeof a, HEADER_1, "first header", err)) ||
        (rc = vmscm_probe_file_read(&image->file, b, sizeof b, HEADER_2, "second header", err)))
        return rc;
    a_fits = header_fits(a);
    b_fits = header_fits(b);
    if (!a_fits && !b_fits)
        return bad(image, "neither header is valid", err);
    if (a_fits && b_fits) {
        uint64_t x = vmscm_get_le64(a + 8), y = vmscm_get_le64(b + 8);
        if (x == y && memcmp(a, b, HEADER) != 0)
            return bad(image, "its headers disagree", err);
        now = x >= y ? a : b;
    } else {
        now = a_fits ? a : b;
    }
    *dirty = memcmp(now + 48, none, sizeof none) != 0;
    return 0;
}

static int read_regions(struct region *bat, struct region *metadata,
    const struct vmscm_probe_image *image, struct vmscm_error *err)
{
    uint8_t *table = malloc(REGIONS_LEN);
    uint32_t count;
    int rc;

    if (!table)
        return vmscm_error_nomem(err);
    if ((rc = vmscm_probe_file_read(
             &image->file, table, REGIONS_LEN, REGIONS, "region table", err)))
        goto out;
    count = vmscm_get_le32(table + 8);
    if (memcmp(table, "regi", 4) != 0 || count > REGIONS_MAX ||
        !checksum_fits(table, REGIONS_LEN)) {
        rc = bad(image, "its region table is damaged", err);
        goto out;
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *entry = table + 16 + (size_t)i * 32;
        struct region *region = memcmp(entry, region_bat, 16) == 0 ? bat
            : memcmp(entry, region_metadata, 16) == 0              ? metadata
                                                                   : NULL;

        if (!region && vmscm_get_le32(entry + 28) & REGION_REQUIRED) {
            rc = vmscm_error_set(err, VMSCM_EREFUSED,
                "%s: has a VHDX region of an unknown kind that must be understood",
                image->file.path);
            goto out;
        }
        if (!region)
            continue;
        if (region->len || vmscm_get_le32(entry + 24) == 0) {
            rc = bad(image, "its region table", err);
            goto out;
        }
        region->offset = vmscm_get_le64(entry + 16);
        region->len = vmscm_get_le32(entry + 24);
        if ((rc = vmscm_probe_file_need(
                 &image->file, region->offset, region->len, "region", err)))
            goto out;
    }
    if (!bat->len || !metadata->len)
        rc = bad(image, "a region is missing", err);
out:
    free(table);
    return rc;
}

/* The items of the metadata region, each in values[item] (its first 16 bytes). */
static int read_metadata(uint8_t values[ITEMS][16], bool found[ITEMS], const struct region *region,
    const struct vmscm_probe_image *image, struct vmscm_error *err)
{
    uint8_t head[32], entry[32];
    uint16_t count;
    int rc;

    if (region->len < METADATA_LEN)
        return bad(image, "its metadata region is too small", err);
    if ((rc = vmscm_probe_file_read(
             &image->file, head, sizeof head, region->offset, "metadata", err)))
        return rc;
    count = vmscm_get_le16(head + 10);
    if (memcmp(head, "metadata", 8) != 0 || count > METADATA_MAX)
        return bad(image, "its metadata table is damaged", err);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t offset;
        size_t k = 0;

        if ((rc = vmscm_probe_file_read(&image->file, entry, sizeof entry,
                 region->offset + 32 + i * sizeof entry, "metadata", err)))
            return rc;
        while (k < ITEMS && memcmp(entry, items[k].guid, 16) != 0)
            k++;
        if (k == ITEMS) {
            if (vmscm_get_le32(entry + 24) & METADATA_REQUIRED)
                return vmscm_error_set(err, VMSCM_EREFUSED,
                    "%s: has VHDX metadata of an unknown kind that must be understood",
                    image->file.path);
            continue;
        }
        offset = vmscm_get_le32(entry + 16);
        if (found[k] || offset > region->len || items[k].len > region->len - offset)
            return bad(image, "its metadata table", err);
        found[k] = true;
        if ((rc = vmscm_probe_file_read(&image->file, values[k], items[k].len,
                 region->offset + offset, "metadata", err)))
            return rc;
    }
    for (size_t k = 0; k < PARENT; k++)
        if (!found[k])
            return bad(image, "metadata is missing", err);
    return 0;
}

static int each_block(void *data, uint64_t index, const uint8_t *entry, struct vmscm_error *err)
{
    const struct map *map = data;
    uint64_t e = vmscm_get_le64(entry), guest;
    unsigned state = e & 7;

    if (index % (map->ratio + 1) == map->ratio) /* a bitmap block, which only a child has */
        return 0;
    guest = (index - index / (map->ratio + 1)) * map->block;
    if (guest >= map->size || state < STATE_PRESENT)
        return 0;
    if (state == STATE_PARTIAL)
        return vmscm_error_set(err, VMSCM_EINPUT,
            "%s: malformed VHDX: a block needs a parent that the image does not have",
            map->file->path);
    return vmscm_probe_file_need(map->file, e & BAT_OFFSET,
        map->size - guest < map->block ? map->size - guest : map->block, "data block", err);
}

int vmscm_probe_vhdx_read(struct vmscm_probe_image *image, struct vmscm_error *err)
{
    const char *path = image->file.path;
    struct region bat = {0}, metadata = {0};
    struct map map = {.file = &image->file};
    uint8_t values[ITEMS][16] = {{0}};
    bool found[ITEMS] = {false};
    uint32_t parameters, sector;
    uint64_t blocks, entries;
    int rc;

    if ((rc = read_headers(&image->probe->dirty, image, err)) ||
        (rc = read_regions(&bat, &metadata, image, err)) ||
        (rc = read_metadata(values, found, &metadata, image, err)))
        return rc;
    map.block = vmscm_get_le32(values[FILE_PARAMETERS]);
    parameters = vmscm_get_le32(values[FILE_PARAMETERS] + 4);
    map.size = vmscm_get_le64(values[VIRTUAL_SIZE]);
    sector = vmscm_get_le32(values[LOGICAL_SECTOR]);
    if (parameters & PARAMETER_PARENT)
        return vmscm_probe_file_differencing(path, "VHDX", err);
    if (sector != 512)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED,
            "%s: VHDX sectors of %" PRIu32 " bytes are not supported", path, sector);
    if (map.block < BLOCK_MIN || map.block > BLOCK_MAX || map.block & (map.block - 1))
        return bad(image, "block size out of range", err);
    if (map.size > SIZE_MAX_BYTES)
        return bad(image, "its virtual size is too large", err);
    if (map.size % sector)
        return bad(image, "its virtual size is not whole sectors", err);
    map.ratio = (UINT64_C(1) << 23) * sector / map.block;
    blocks = map.size / map.block + (map.size % map.block != 0);
    entries = blocks ? blocks + (blocks - 1) / map.ratio : 0;
    if (entries > bat.len / 8)
        return bad(image, "its block table is too small for the disk", err);
    image->probe->size = map.size;
    /* With writes still in the log, the table is not yet what it will be. */
    if (!image->probe->dirty &&
        (rc = vmscm_probe_file_table(
             &image->file, bat.offset, entries, 8, each_block, &map, "block table", err)))
        return rc;
    if ((rc = vmscm_probe_file_option(image->probe, err, "subformat", "%s",
             parameters & PARAMETER_FIXED ? "fixed" : "dynamic")))
        return rc;
    return vmscm_probe_file_option(image->probe, err, "block_size", "%" PRIu64, map.block);
}
