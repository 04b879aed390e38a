/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzz target of lib/image/vhdxmap. The probe has seen an image before, but it may be another file by then;
 * so nothing in it is taken for granted but the disk's size.
 *
 *   bytes 0-1   size of the disk, in units of 128 KiB
 *   byte 2      and of 512 bytes; with its highest bit it is a differencing image
 *   pieces      of the image, as in pieces.h
 */
#include "image/vhdxmap.h"
#include "memfile.h"
#include "pieces.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char path[] = "image";
    static int fd = -1;
    struct vmscm_probe probe = {.format = VMSCM_PROBE_VHDX, .path = path};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_extentmap map = {0};
    struct vmscm_extent e;
    uint64_t end;

    if (size < 3)
        return 0;
    probe.size = ((uint64_t)vmscm_get_le16(data) << 17) + ((uint64_t)(data[2] & 127) << 9);
    probe.link.child = data[2] >> 7;
    if (fd < 0)
        memfile_set(&fd, NULL, 0);
    end = (uint64_t)pieces_write(fd, 0, data + 3, size - 3);
    struct vmscm_layermap layer = {&map, &probe, {fd, path, 0, end}, 7};
    if (vmscm_vhdxmap_read(&layer, &err)) {
        if (!err.message[0])
            abort();
    } else if (map.end != probe.size) {
        abort();
    }
    /* All of the disk, and bytes that the file has. */
    for (uint64_t at = 0; at < map.end; at += e.length) {
        vmscm_extentmap_find(&map, at, &e);
        if (e.start != at || !e.length || e.length > map.end - at)
            abort();
        if (e.kind == VMSCM_EXTENT_INDIRECT ||
            (e.kind == VMSCM_EXTENT_BELOW && !probe.link.child) ||
            (e.kind == VMSCM_EXTENT_FILE &&
                (e.file != 7 || e.offset > end || e.length > end - e.offset)))
            abort();
    }
    vmscm_extentmap_release(&map);
    return 0;
}
