/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzz target of lib/image/layermap: the tables of a differencing vdi, vpc or parallels image, and what
 * is seen of it on top of another. As for vhdxmap, nothing in it is taken for granted but the disk's size.
 *
 *   byte 0      format; with its highest bit it is no differencing image
 *   bytes 1-2   size of the disk, in units of 128 KiB
 *   byte 3      and of 512 bytes
 *   pieces      of the image, as in pieces.h
 */
#include "image/layermap.h"
#include "memfile.h"
#include "pieces.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* All of the disk, and bytes that the file has. */
static void check(const struct vmscm_extentmap *map, uint64_t end, bool below)
{
    struct vmscm_extent e;

    for (uint64_t at = 0; at < map->end; at += e.length) {
        vmscm_extentmap_find(map, at, &e);
        if (e.start != at || !e.length || e.length > map->end - at ||
            e.kind == VMSCM_EXTENT_INDIRECT || (e.kind == VMSCM_EXTENT_BELOW && !below) ||
            (e.kind == VMSCM_EXTENT_FILE && (e.offset > end || e.length > end - e.offset)))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum vmscm_probe_format formats[] = {
        VMSCM_PROBE_VDI, VMSCM_PROBE_VPC, VMSCM_PROBE_PARALLELS, VMSCM_PROBE_RAW};
    static char path[] = "image";
    static int fd = -1;
    struct vmscm_probe probe = {.path = path};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_extentmap map = {0}, seen = {0};
    uint64_t end;

    if (size < 4)
        return 0;
    probe.format = formats[data[0] & 3];
    probe.link.child = !(data[0] >> 7);
    probe.size = ((uint64_t)vmscm_get_le16(data + 1) << 17) + ((uint64_t)data[3] << 9);
    if (fd < 0)
        memfile_set(&fd, NULL, 0);
    end = (uint64_t)pieces_write(fd, 0, data + 4, size - 4);
    struct vmscm_layermap layer = {&map, &probe, {fd, path, 0, end}, 7};
    if (vmscm_layermap_read(&layer, &err)) {
        if (!err.message[0])
            abort();
    } else {
        if (map.end != probe.size || vmscm_extentmap_over(&seen, &map, &map, probe.size, &err))
            abort();
        check(&map, end, true);
        check(&seen, end, true);
    }
    vmscm_extentmap_release(&map);
    vmscm_extentmap_release(&seen);
    return 0;
}
