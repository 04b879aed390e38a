/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parallels' expandable image, both its versions. Numbers are little-endian. */
#include "base/endian.h"
#include "image/probe_format.h"

#include <inttypes.h>
#include <string.h>

enum {
    HEADER = 64,
    VERSION = 2,
    CLUSTER_MAX = 256 << 20, /* larger ones are read, but not made again */
};

#define IN_USE UINT32_C(0x746f6e59)
#define ENTRIES_MAX (UINT32_C(1) << 29) /* QEMU's bound */
#define TRACKS_MAX (INT32_MAX / 513)    /* QEMU's bound of the cluster size, in sectors */

struct map {
    const struct vmscm_probe_source *file;
    uint64_t size;
    uint64_t cluster;
    uint64_t unit; /* of entries: bytes */
};

static bool is_old(const uint8_t *b)
{
    return memcmp(b, "WithoutFreeSpace", 16) == 0;
}

static bool is_extended(const uint8_t *b)
{
    return memcmp(b, "WithouFreSpacExt", 16) == 0;
}

bool vmscm_probe_parallels_match(const struct vmscm_probe_head *head)
{
    return is_old(head->first) || is_extended(head->first);
}

static int each_cluster(void *data, uint64_t index, const uint8_t *entry, struct vmscm_error *err)
{
    const struct map *map = data;
    uint64_t offset = vmscm_get_le32(entry) * map->unit, guest = index * map->cluster;

    if (!offset || guest >= map->size)
        return 0;
    return vmscm_probe_file_need(map->file, offset,
        map->size - guest < map->cluster ? map->size - guest : map->cluster, "data cluster", err);
}

int vmscm_probe_parallels_read(struct vmscm_probe_image *image, struct vmscm_error *err)
{
    const char *path = image->file.path;
    struct map map = {.file = &image->file};
    uint8_t b[HEADER];
    uint32_t version, tracks, entries;
    uint64_t sectors;
    int rc;

    if ((rc = vmscm_probe_file_read(&image->file, b, sizeof b, 0, "header", err)))
        return rc;
    version = vmscm_get_le32(b + 16);
    tracks = vmscm_get_le32(b + 28);
    entries = vmscm_get_le32(b + 32);
    sectors = vmscm_get_le64(b + 36);
    if (version != VERSION)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED,
            "%s: Parallels image version %" PRIu32 " is not supported", path, version);
    if (is_old(b))
        sectors &= UINT32_MAX; /* the upper half was not there yet */
    if (tracks == 0 || tracks > TRACKS_MAX)
        return vmscm_error_set(
            err, VMSCM_EINPUT, "%s: malformed Parallels image: cluster size out of range", path);
    if (sectors > VMSCM_PROBE_SIZE_MAX / 512)
        return vmscm_error_set(err, VMSCM_EINPUT,
            "%s: malformed Parallels image: its virtual size is too large", path);
    map.size = sectors * 512;
    map.cluster = (uint64_t)tracks * 512;
    map.unit = is_old(b) ? 512 : map.cluster;
    if (entries > ENTRIES_MAX || entries * map.cluster < map.size)
        return vmscm_error_set(err, VMSCM_EINPUT,
            "%s: malformed Parallels image: its table does not fit the disk", path);
    if ((rc = vmscm_probe_file_table(
             &image->file, HEADER, entries, 4, each_cluster, &map, "cluster table", err)))
        return rc;
    image->probe->size = map.size;
    image->probe->dirty = vmscm_get_le32(b + 44) == IN_USE;
    if (map.cluster > CLUSTER_MAX)
        return 0;
    return vmscm_probe_file_option(image->probe, err, "cluster_size", "%" PRIu64, map.cluster);
}
