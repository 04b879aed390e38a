/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/vhdxmap.h"
#include "base/endian.h"

#include <stdlib.h>
#include <string.h>

#define REGION_TABLE ((uint64_t)192 << 10)
#define REGION_TABLE_LEN (64u << 10)
#define REGIONS_MAX 2047u
#define ITEMS_MAX 2047u
#define BLOCK_MIN (1u << 20)
#define BLOCK_MAX (256u << 20)
#define HAS_PARENT 2u
#define SECTOR 512u
#define STATE_NOT_PRESENT 0u
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

struct table {
    struct vmscm_layermap *layer;
    uint32_t block;
    bool child;
    uint64_t ratio;
    uint64_t bat, entries;
    uint8_t *bits; /* of one block; NULL: no child */
};

/* The bytes of an image's tables. */
static int get(const struct vmscm_layermap *layer, void *data, size_t len, uint64_t offset,
    struct vmscm_error *err)
{
    return vmscm_probe_file_read(&layer->source, data, len, offset, "metadata", err);
}

static int find_regions(struct region *bat, struct region *metadata,
    const struct vmscm_layermap *layer, struct vmscm_error *err)
{
    uint8_t *table = malloc(REGION_TABLE_LEN);
    int rc;

    if (!table)
        return vmscm_error_nomem(err);
    rc = get(layer, table, REGION_TABLE_LEN, REGION_TABLE, err);
    if (!rc && (memcmp(table, "regi", 4) != 0 || vmscm_get_le32(table + 8) > REGIONS_MAX))
        rc = vmscm_layermap_bad(layer, "region table", err);
    for (uint32_t i = 0; !rc && i < vmscm_get_le32(table + 8); i++) {
        const uint8_t *entry = table + 16 + (size_t)i * 32;
        struct region found = {vmscm_get_le64(entry + 16), vmscm_get_le32(entry + 24)};
        if (memcmp(entry, region_bat, 16) == 0)
            *bat = found;
        else if (memcmp(entry, region_metadata, 16) == 0)
            *metadata = found;
    }
    if (!rc && (!bat->len || !metadata->len))
        rc = vmscm_layermap_bad(layer, "a region is missing", err);
    free(table);
    return rc;
}

static int find_item(uint64_t *offset, uint32_t *len, const struct vmscm_layermap *layer,
    const struct region *region, const uint8_t guid[16], struct vmscm_error *err)
{
    uint8_t entry[32];
    int rc = get(layer, entry, sizeof entry, region->offset, err);

    if (rc)
        return rc;
    uint32_t count = vmscm_get_le16(entry + 10);
    if (memcmp(entry, "metadata", 8) != 0 || count > ITEMS_MAX)
        return vmscm_layermap_bad(layer, "metadata table", err);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t at = region->offset + 32 + (uint64_t)i * sizeof entry;
        if ((rc = get(layer, entry, sizeof entry, at, err)))
            return rc;
        if (memcmp(entry, guid, 16) != 0)
            continue;
        *offset = region->offset + vmscm_get_le32(entry + 16);
        *len = vmscm_get_le32(entry + 20);
        return 0;
    }
    return vmscm_layermap_bad(layer, "metadata is missing", err);
}

int vmscm_vhdxmap_item(uint64_t *offset, uint32_t *len, const struct vmscm_layermap *layer,
    const uint8_t guid[16], struct vmscm_error *err)
{
    struct region bat = {0, 0}, metadata = {0, 0};
    int rc = find_regions(&bat, &metadata, layer, err);

    return rc ? rc : find_item(offset, len, layer, &metadata, guid, err);
}

static int find_block_size(struct table *t, const struct region *region, struct vmscm_error *err)
{
    uint8_t value[8];
    uint64_t at;
    uint32_t len;
    int rc;

    if ((rc = find_item(&at, &len, t->layer, region, file_parameters, err)) ||
        (rc = get(t->layer, value, sizeof value, at, err)))
        return rc;
    t->block = vmscm_get_le32(value);
    t->child = vmscm_get_le32(value + 4) & HAS_PARENT;
    if (t->block < BLOCK_MIN || t->block > BLOCK_MAX || (t->block & (t->block - 1)) ||
        t->child != t->layer->probe->link.child)
        return vmscm_layermap_bad(t->layer, "file parameters", err);
    return 0;
}

/* A block of which some sectors are the parent's: which, says the bitmap of all blocks around it. */
static int add_partial(struct table *t, uint64_t index, uint64_t offset, struct vmscm_error *err)
{
    const uint64_t chunk = index / (t->ratio + 1), in_chunk = index % (t->ratio + 1);
    const uint64_t sectors = t->block / SECTOR;
    uint8_t entry[8];
    uint64_t bitmap;
    int rc;

    uint64_t at = chunk * (t->ratio + 1) + t->ratio;
    if (at >= t->entries)
        return vmscm_layermap_bad(t->layer, "its block table is too small for the disk", err);
    if ((rc = get(t->layer, entry, sizeof entry, t->bat + at * 8, err)))
        return rc;
    bitmap = vmscm_get_le64(entry);
    if ((bitmap & 7) != STATE_PRESENT)
        return vmscm_layermap_bad(t->layer, "a block's sector bitmap is missing", err);
    bitmap = (bitmap & OFFSET_MASK) + in_chunk * sectors / 8;
    if ((rc = get(t->layer, t->bits, (size_t)sectors / 8, bitmap, err)))
        return rc;
    return vmscm_layermap_add_bits(t->layer, offset, t->bits, (size_t)sectors, false, err);
}

static int each_block(void *data, uint64_t index, const uint8_t *entry, struct vmscm_error *err)
{
    struct table *t = data;
    uint64_t e = vmscm_get_le64(entry);
    unsigned state = e & 7;

    if (index % (t->ratio + 1) == t->ratio)
        return 0;
    if (state == STATE_PRESENT)
        return vmscm_layermap_add_present(t->layer, e & OFFSET_MASK, t->block, err);
    if (state == STATE_PARTIAL && t->child)
        return add_partial(t, index, e & OFFSET_MASK, err);
    if (state == STATE_PARTIAL)
        return vmscm_layermap_bad(
            t->layer, "a block needs a parent that the image does not have", err);
    return vmscm_layermap_add(t->layer,
        state == STATE_NOT_PRESENT && t->child ? VMSCM_EXTENT_BELOW : VMSCM_EXTENT_ZERO, t->block,
        err);
}

int vmscm_vhdxmap_read(struct vmscm_layermap *layer, struct vmscm_error *err)
{
    struct region bat = {0, 0}, metadata = {0, 0};
    struct table t = {.layer = layer};
    int rc;

    if ((rc = find_regions(&bat, &metadata, layer, err)) ||
        (rc = find_block_size(&t, &metadata, err)))
        return rc;
    /* After so many data blocks comes the entry of a bitmap block, which only a child uses. */
    t.ratio = (UINT64_C(1) << 23) * SECTOR / t.block;
    t.bat = bat.offset;
    t.entries = bat.len / 8;
    if (t.child && !(t.bits = malloc(t.block / SECTOR / 8)))
        return vmscm_error_nomem(err);
    rc = vmscm_layermap_walk(layer, bat.offset, t.entries, 8, each_block, &t, err);
    free(t.bits);
    return rc;
}
