/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/layermap.h"
#include "image/vhdxmap.h"

#include <errno.h>
#include <unistd.h>

#define SECTOR 512u
#define PIECE 16384u /* bytes of a table read at once */

int vmscm_layermap_bad(const struct vmscm_layermap *layer, const char *why, struct vmscm_error *err)
{
    return vmscm_error_set(err, VMSCM_EINPUT, "%s: malformed %s: %s", layer->probe->path,
        vmscm_probe_format_name(layer->probe->format), why);
}

static uint64_t cut(const struct vmscm_layermap *layer, uint64_t len)
{
    uint64_t left = layer->probe->size - layer->map->end;

    return len < left ? len : left;
}

static int add(struct vmscm_layermap *layer, enum vmscm_extentmap_kind kind, uint64_t offset,
    uint64_t len, struct vmscm_error *err)
{
    struct vmscm_extent e = {layer->map->end, len, kind, layer->file, offset};
    int rc = vmscm_extentmap_add(layer->map, &e, layer->probe->size, err);

    if (rc == VMSCM_EUNSUPPORTED) {
        vmscm_error_prefix(err, "%s", layer->probe->path);
        vmscm_error_hint(err, "merge it into its parent, with the program that made it");
    }
    return rc;
}

int vmscm_layermap_add(struct vmscm_layermap *layer, enum vmscm_extentmap_kind kind, uint64_t len,
    struct vmscm_error *err)
{
    len = cut(layer, len);
    return len ? add(layer, kind, 0, len, err) : 0;
}

int vmscm_layermap_add_present(struct vmscm_layermap *layer, uint64_t offset, uint64_t len,
    struct vmscm_error *err)
{
    int fd = layer->source.fd, rc;

    len = cut(layer, len);
    if ((rc = vmscm_probe_file_need(&layer->source, offset, len, "data block", err)))
        return rc;
    while (!rc && len) {
        uint64_t in_file = layer->source.offset + offset, n = len;
        off_t at = lseek(fd, (off_t)in_file, SEEK_DATA);
        bool hole = (at < 0 && errno == ENXIO) || (at >= 0 && (uint64_t)at > in_file);
        if (hole) {
            if (at >= 0 && (uint64_t)at - in_file < n)
                n = (uint64_t)at - in_file;
        } else if (at >= 0) {
            at = lseek(fd, (off_t)in_file, SEEK_HOLE);
            if (at >= 0 && (uint64_t)at > in_file && (uint64_t)at - in_file < n)
                n = (uint64_t)at - in_file;
        }
        rc = hole ? add(layer, VMSCM_EXTENT_ZERO, 0, n, err)
                  : add(layer, VMSCM_EXTENT_FILE, offset, n, err);
        offset += n;
        len -= n;
    }
    return rc;
}

int vmscm_layermap_add_bits(struct vmscm_layermap *layer, uint64_t offset, const uint8_t *bits,
    size_t count, bool high, struct vmscm_error *err)
{
    int rc = 0;

    for (size_t i = 0, n; i < count && !rc; i += n) {
        bool here = bits[i / 8] >> (high ? 7 - i % 8 : i % 8) & 1;
        for (n = 1; i + n < count; n++)
            if ((bits[(i + n) / 8] >> (high ? 7 - (i + n) % 8 : (i + n) % 8) & 1) != here)
                break;
        uint64_t len = (uint64_t)n * SECTOR;
        rc = here ? vmscm_layermap_add_present(layer, offset + (uint64_t)i * SECTOR, len, err)
                  : vmscm_layermap_add(layer, VMSCM_EXTENT_BELOW, len, err);
    }
    return rc;
}

int vmscm_layermap_walk(struct vmscm_layermap *layer, uint64_t offset, uint64_t count, size_t width,
    int (*each)(void *data, uint64_t index, const uint8_t *entry, struct vmscm_error *err), void *data,
    struct vmscm_error *err)
{
    uint8_t piece[PIECE];
    const uint64_t per_piece = sizeof piece / width;
    int rc = 0;

    for (uint64_t index = 0; index < count && layer->map->end < layer->probe->size && !rc;) {
        uint64_t n = count - index < per_piece ? count - index : per_piece;
        rc = vmscm_probe_file_read(
            &layer->source, piece, (size_t)n * width, offset + index * width, "block table", err);
        for (uint64_t i = 0; i < n && !rc && layer->map->end < layer->probe->size; i++)
            rc = each(data, index + i, piece + i * width, err);
        index += n;
    }
    if (!rc && layer->map->end < layer->probe->size)
        rc = vmscm_layermap_bad(layer, "its block table is too small for the disk", err);
    return rc;
}

int vmscm_layermap_read(struct vmscm_layermap *layer, struct vmscm_error *err)
{
    if (layer->probe->format == VMSCM_PROBE_VHDX && layer->probe->dirty) {
        vmscm_error_set(err, VMSCM_EINPUT,
            "%s: was not closed cleanly, and its log has writes that are not applied",
            layer->probe->path);
        return vmscm_error_hint(err, "let its machine shut down, then export it again");
    }
    switch (layer->probe->format) {
    case VMSCM_PROBE_RAW:
        return vmscm_layermap_add_present(layer, 0, layer->probe->size, err);
    case VMSCM_PROBE_VDI:
        return vmscm_layermap_vdi_read(layer, err);
    case VMSCM_PROBE_VPC:
        return vmscm_layermap_vpc_read(layer, err);
    case VMSCM_PROBE_VHDX:
        return vmscm_vhdxmap_read(layer, err);
    case VMSCM_PROBE_PARALLELS:
        return vmscm_layermap_parallels_read(layer, err);
    default:
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED,
            "%s: a %s image cannot be in a chain of differencing images", layer->probe->path,
            vmscm_probe_format_name(layer->probe->format));
    }
}

int vmscm_layermap_chain(struct vmscm_extentmap *out, const struct vmscm_probe *probe,
    const struct vmscm_probe_source *sources, struct vmscm_error *err)
{
    const struct vmscm_probe *chain[VMSCM_PROBE_DEPTH_MAX];
    struct vmscm_extentmap below = {0};
    size_t depth = 0;
    int rc = 0;

    for (; probe; probe = probe->backing) {
        if (depth == VMSCM_PROBE_DEPTH_MAX)
            return vmscm_error_set(
                err, VMSCM_EREFUSED, "%s: too deep a backing chain", chain[0]->path);
        chain[depth++] = probe;
    }
    while (depth-- && !rc) {
        struct vmscm_extentmap own = {0}, seen = {0};
        struct vmscm_layermap layer = {&own, chain[depth], sources[depth], (unsigned)depth};
        if (!(rc = vmscm_layermap_read(&layer, err)))
            rc = vmscm_extentmap_over(&seen, &own, chain[depth]->backing ? &below : NULL,
                chain[depth]->size, err);
        vmscm_extentmap_release(&own);
        vmscm_extentmap_release(&below);
        below = seen;
    }
    *out = below;
    return rc;
}
