/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Hyper-V's VHDX. Two headers, of which the newer valid one counts; a region table that tells where
 * the block table (BAT) and the metadata are. Numbers are little-endian, checksums CRC-32C.
 */
#include "base/endian.h"
#include "base/str.h"
#include "base/utf16.h"
#include "codec/crc32c.h"
#include "image/probe_format.h"

#include <ctype.h>
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
    BITMAP_BLOCK = 1 << 20,
    PARAMETER_FIXED = 1,
    PARAMETER_PARENT = 2,
    STATE_PRESENT = 6,
    STATE_PARTIAL = 7,
    DATA_WRITE_GUID = 32, /* in a header: of the state that the disk's data is in */
    LOG_GUID = 48,
    LOCATOR_HEADER = 20,
    LOCATOR_ENTRY = 12,
    LOCATOR_MAX = 64,     /* entries */
    LOCATOR_TEXT = 2048,  /* bytes of one */
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
    bool child;
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

/* Whether the log holds writes that are not in the file yet, and which state it is. */
static int read_headers(struct vmscm_probe_image *image, struct vmscm_error *err)
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
    image->probe->dirty = memcmp(now + LOG_GUID, none, sizeof none) != 0;
    image->probe->link.has_id = true;
    memcpy(image->probe->link.id, now + DATA_WRITE_GUID, 16);
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

/* The items of the metadata region, each in values[item] (its first 16 bytes); and where the parent locator
 * is. */
static int read_metadata(uint8_t values[ITEMS][16], bool found[ITEMS], struct region *locator,
    const struct region *region, const struct vmscm_probe_image *image, struct vmscm_error *err)
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
        if (k == PARENT) {
            locator->offset = region->offset + offset;
            locator->len = vmscm_get_le32(entry + 20);
            if (locator->len > region->len - offset)
                return bad(image, "its parent locator", err);
        }
        if ((rc = vmscm_probe_file_read(&image->file, values[k], items[k].len,
                 region->offset + offset, "metadata", err)))
            return rc;
    }
    for (size_t k = 0; k < PARENT; k++)
        if (!found[k])
            return bad(image, "metadata is missing", err);
    return 0;
}

/* "{83ed0ec1-24c8-49a6-a959-5e4bd1288015}" to the bytes of a GUID in the file. */
static bool parse_guid(uint8_t out[16], const char *text)
{
    static const uint8_t order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    char digits[33];
    uint8_t plain[16];
    size_t n = 0;

    if (strlen(text) != 38 || text[0] != '{' || text[37] != '}')
        return false;
    for (const char *p = text + 1; *p != '}'; p++)
        if (*p != '-' && n < 32)
            digits[n++] = (char)tolower((unsigned char)*p);
    digits[n] = '\0';
    if (n != 32 || !vmscm_str_unhex(plain, 16, digits))
        return false;
    for (size_t i = 0; i < 16; i++)
        out[order[i]] = plain[i];
    return true;
}

/* A key or value of the parent locator. */
static int read_text(struct vmscm_buf *out, uint8_t bytes[LOCATOR_TEXT], uint32_t offset,
    uint16_t len, const struct region *locator, const struct vmscm_probe_image *image,
    struct vmscm_error *err)
{
    int rc;

    vmscm_buf_release(out);
    if (len > LOCATOR_TEXT || offset > locator->len || len > locator->len - offset)
        return bad(image, "its parent locator", err);
    rc = vmscm_probe_file_read(
        &image->file, bytes, len, locator->offset + offset, "parent locator", err);
    return rc ? rc : vmscm_utf16_decode(out, bytes, len, false, err);
}

/* Which state of which file this one is the difference to ([MS-VHDX] 2.6.2.6). */
static int read_locator(struct vmscm_probe_image *image, const struct region *locator,
    struct vmscm_error *err)
{
    static const uint8_t type[16] =
        "\xb7\xef\x4a\xb0\x9e\xd1\x81\x4a\xb7\x89\x25\xb8\xe9\x44\x59\x13";
    uint8_t head[LOCATOR_HEADER], entry[LOCATOR_ENTRY], bytes[LOCATOR_TEXT];
    struct vmscm_buf key = VMSCM_BUF_INIT, value = VMSCM_BUF_INIT;
    bool linked = false;
    int rc;

    if (locator->len < LOCATOR_HEADER)
        return bad(image, "it has no parent locator", err);
    if ((rc = vmscm_probe_file_read(
             &image->file, head, sizeof head, locator->offset, "parent locator", err)))
        return rc;
    uint16_t count = vmscm_get_le16(head + 18);
    if (memcmp(head, type, 16) != 0 || count > LOCATOR_MAX ||
        locator->len - LOCATOR_HEADER < count * (uint32_t)LOCATOR_ENTRY)
        return bad(image, "its parent locator", err);
    for (uint32_t i = 0; i < count && !rc; i++) {
        uint64_t at = locator->offset + LOCATOR_HEADER + i * (uint64_t)LOCATOR_ENTRY;
        if ((rc = vmscm_probe_file_read(
                 &image->file, entry, sizeof entry, at, "parent locator", err)) ||
            (rc = read_text(&key, bytes, vmscm_get_le32(entry), vmscm_get_le16(entry + 8), locator,
                 image, err)) ||
            (rc = read_text(&value, bytes, vmscm_get_le32(entry + 4), vmscm_get_le16(entry + 10),
                 locator, image, err)))
            break;
        if (strcmp(vmscm_buf_str(&key), "parent_linkage") == 0)
            linked = parse_guid(image->probe->link.parent, vmscm_buf_str(&value));
        else if (strcmp(vmscm_buf_str(&key), "relative_path") == 0 ||
            (!image->probe->link.name &&
                (strcmp(vmscm_buf_str(&key), "absolute_win32_path") == 0 ||
                    strcmp(vmscm_buf_str(&key), "volume_path") == 0)))
            rc = vmscm_probe_file_parent_name(
                image->probe, bytes, vmscm_get_le16(entry + 10), false, err);
    }
    if (!rc && !linked)
        rc = bad(image, "its parent locator does not say which parent", err);
    vmscm_buf_release(&key);
    vmscm_buf_release(&value);
    return rc;
}

static int each_block(void *data, uint64_t index, const uint8_t *entry, struct vmscm_error *err)
{
    const struct map *map = data;
    uint64_t e = vmscm_get_le64(entry), guest;
    unsigned state = e & 7;

    if (index % (map->ratio + 1) == map->ratio) /* a bitmap block, which only a child has */
        return map->child && state == STATE_PRESENT
            ? vmscm_probe_file_need(map->file, e & BAT_OFFSET, BITMAP_BLOCK, "sector bitmap", err)
            : 0;
    guest = (index - index / (map->ratio + 1)) * map->block;
    if (guest >= map->size || state < STATE_PRESENT)
        return 0;
    if (state == STATE_PARTIAL && !map->child)
        return vmscm_error_set(err, VMSCM_EINPUT,
            "%s: malformed VHDX: a block needs a parent that the image does not have",
            map->file->path);
    return vmscm_probe_file_need(map->file, e & BAT_OFFSET,
        map->size - guest < map->block ? map->size - guest : map->block, "data block", err);
}

int vmscm_probe_vhdx_read(struct vmscm_probe_image *image, struct vmscm_error *err)
{
    const char *path = image->file.path;
    struct region bat = {0}, metadata = {0}, locator = {0};
    struct map map = {.file = &image->file};
    uint8_t values[ITEMS][16] = {{0}};
    bool found[ITEMS] = {false};
    uint32_t parameters, sector;
    uint64_t blocks, entries;
    int rc;

    if ((rc = read_headers(image, err)) ||
        (rc = read_regions(&bat, &metadata, image, err)) ||
        (rc = read_metadata(values, found, &locator, &metadata, image, err)))
        return rc;
    map.block = vmscm_get_le32(values[FILE_PARAMETERS]);
    parameters = vmscm_get_le32(values[FILE_PARAMETERS] + 4);
    map.size = vmscm_get_le64(values[VIRTUAL_SIZE]);
    sector = vmscm_get_le32(values[LOGICAL_SECTOR]);
    map.child = parameters & PARAMETER_PARENT;
    if (map.child &&
        ((rc = vmscm_probe_file_child(image, "VHDX", err)) ||
            (rc = read_locator(image, &locator, err))))
        return rc;
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
    entries = !blocks ? 0
        : map.child   ? ((blocks - 1) / map.ratio + 1) * (map.ratio + 1)
                      : blocks + (blocks - 1) / map.ratio;
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
