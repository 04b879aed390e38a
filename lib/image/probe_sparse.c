/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A sparse vmdk extent ("hosted sparse", KDMV): header, grain directory, grain tables, grains; and
 * the stream-optimized kind, whose grains are compressed and whose real header may be a footer.
 * Numbers are little-endian and count sectors of 512 bytes.
 */
#include "base/endian.h"
#include "image/probe_format.h"

#include <inttypes.h>
#include <string.h>

enum {
    SECTOR = 512,
    FLAG_REDUNDANT = 1 << 1,
    FLAG_ZEROED = 1 << 2,
    FLAG_COMPRESSED = 1 << 16,
    FLAG_MARKERS = 1 << 17,
    MARKER_FOOTER = 3,
    GRAIN_MARKER = 12,
    ENTRIES_MAX = 512,             /* of a grain table */
    GRAIN_MAX = 0x200000,          /* sectors; QEMU's bound */
    DIRECTORY_MAX = 4 << 20,       /* entries: more than 32-bit sector numbers could use */
};

#define AT_END UINT64_MAX
#define CAPACITY_MAX (VMSCM_PROBE_SIZE_MAX / SECTOR)

struct header {
    uint32_t version;
    uint32_t flags;
    uint64_t capacity;
    uint64_t grain;
    uint64_t descriptor;
    uint64_t descriptor_sectors;
    uint32_t entries; /* in a grain table */
    uint64_t redundant;
    uint64_t directory;
    uint64_t overhead;
    uint8_t unclean;
    uint16_t compression;
};

struct walk {
    const struct vmscm_probe_source *file;
    const struct header *h;
    struct vmscm_probe_tables tables;
    uint64_t first;      /* sector that the current grain table begins at */
    uint64_t last_grain; /* compressed: the one at the highest offset; 0: none */
};

static int bad(const struct vmscm_probe_source *file, const char *why, struct vmscm_error *err)
{
    return vmscm_error_set(err, VMSCM_EINPUT, "%s: malformed vmdk: %s", file->path, why);
}

static void decode(struct header *h, const uint8_t *b)
{
    h->version = vmscm_get_le32(b + 4);
    h->flags = vmscm_get_le32(b + 8);
    h->capacity = vmscm_get_le64(b + 12);
    h->grain = vmscm_get_le64(b + 20);
    h->descriptor = vmscm_get_le64(b + 28);
    h->descriptor_sectors = vmscm_get_le64(b + 36);
    h->entries = vmscm_get_le32(b + 44);
    h->redundant = vmscm_get_le64(b + 48);
    h->directory = vmscm_get_le64(b + 56);
    h->overhead = vmscm_get_le64(b + 64);
    h->unclean = b[72];
    h->compression = vmscm_get_le16(b + 77);
}

static bool is_zero(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i])
            return false;
    return true;
}

/* The footer of a streamed image takes the header's place: it knows where the directory went. */
static int read_footer(struct header *h, const struct vmscm_probe_source *file,
    struct vmscm_error *err)
{
    uint8_t b[3 * SECTOR];
    struct header footer;
    int rc;

    if (file->size < 4 * SECTOR || file->size % SECTOR)
        return vmscm_error_set(err, VMSCM_EINPUT,
            "%s: truncated: its footer should be at the end of whole sectors", file->path);
    if ((rc = vmscm_probe_file_read(file, b, sizeof b, file->size - sizeof b, "footer", err)))
        return rc;
    if (vmscm_get_le32(b + 8) != 0 || vmscm_get_le32(b + 12) != MARKER_FOOTER ||
        memcmp(b + SECTOR, "KDMV", 4) != 0 || !is_zero(b + 2 * SECTOR, 16))
        return vmscm_error_set(err, VMSCM_EINPUT,
            "%s: truncated or malformed vmdk: no footer at its end", file->path);
    decode(&footer, b + SECTOR);
    if (footer.version != h->version || footer.flags != h->flags ||
        footer.capacity != h->capacity || footer.grain != h->grain ||
        footer.entries != h->entries || footer.compression != h->compression)
        return bad(file, "its header and footer disagree", err);
    if (footer.directory == AT_END)
        return bad(file, "its footer does not tell where the grain directory is", err);
    footer.descriptor = h->descriptor;
    footer.descriptor_sectors = h->descriptor_sectors;
    *h = footer;
    return 0;
}

static int check_header(const struct header *h, const struct vmscm_probe_source *file,
    struct vmscm_error *err)
{
    if (h->version < 1 || h->version > 3)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED,
            "%s: vmdk version %" PRIu32 " is not supported", file->path, h->version);
    if (h->compression > 1)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED,
            "%s: vmdk compression method %u is not supported", file->path,
            (unsigned)h->compression);
    if ((h->compression != 0) != ((h->flags & FLAG_COMPRESSED) != 0))
        return bad(file, "its compression flag and method disagree", err);
    if (h->compression && !(h->flags & FLAG_MARKERS))
        return bad(file, "compressed, but without markers", err);
    if (h->capacity == 0 || h->capacity > CAPACITY_MAX)
        return bad(file, "its virtual size is out of range", err);
    if (h->grain == 0 || h->grain > GRAIN_MAX || h->grain & (h->grain - 1))
        return bad(file, "its grain size is out of range", err);
    if (h->entries == 0 || h->entries > ENTRIES_MAX)
        return bad(file, "its grain tables' size is out of range", err);
    return 0;
}

static int each_grain(void *data, uint64_t index, const uint8_t *entry, struct vmscm_error *err)
{
    struct walk *w = data;
    uint64_t at = vmscm_get_le32(entry), sector = w->first + index * w->h->grain, need;

    if (at == 0 || sector >= w->h->capacity || (at == 1 && w->h->flags & FLAG_ZEROED))
        return 0;
    if (w->h->compression) {
        if (at > w->last_grain)
            w->last_grain = at;
        need = GRAIN_MARKER;
    } else {
        need = w->h->capacity - sector < w->h->grain ? w->h->capacity - sector : w->h->grain;
        need *= SECTOR;
    }
    return vmscm_probe_file_need(w->file, at * SECTOR, need, "grain", err);
}

static int each_table(void *data, uint64_t index, const uint8_t *entry, struct vmscm_error *err)
{
    struct walk *w = data;
    struct vmscm_probe_table *table;
    uint32_t at = vmscm_get_le32(entry);
    int rc;

    if (at == 0)
        return 0;
    if ((rc = vmscm_vec_add(&w->tables.list, &table, err)))
        return rc;
    table->offset = (uint64_t)at * SECTOR;
    table->index = index;
    return 0;
}

/* Every grain lies within the file; of compressed ones, the last tells its length. */
static int check_grains(const struct header *h, const struct vmscm_probe_source *file,
    struct vmscm_error *err)
{
    struct walk w = {.file = file, .h = h};
    const uint64_t per_table = h->entries * h->grain; /* at most 2^30 */
    uint64_t tables = h->capacity / per_table + (h->capacity % per_table != 0);
    uint8_t marker[GRAIN_MARKER];
    int rc;

    if (tables > DIRECTORY_MAX)
        return bad(file, "its grain directory is too large", err);
    if (h->directory > file->size / SECTOR || h->overhead > file->size / SECTOR ||
        (h->flags & FLAG_REDUNDANT && h->redundant > file->size / SECTOR))
        return vmscm_error_set(err, VMSCM_EINPUT,
            "%s: truncated: its metadata is past the end of the file", file->path);
    if (h->flags & FLAG_REDUNDANT &&
        (rc = vmscm_probe_file_need(file, h->redundant * SECTOR, tables * 4,
             "redundant grain directory", err)))
        return rc;
    if ((rc = vmscm_probe_file_table(file, h->directory * SECTOR, tables, 4, each_table, &w,
             "grain directory", err)))
        goto out;
    if (!vmscm_probe_file_sort(&w.tables)) {
        rc = bad(file, "a grain table is used twice", err);
        goto out;
    }
    for (size_t i = 0; i < w.tables.list.len; i++) {
        w.first = w.tables.list.items[i].index * per_table;
        if ((rc = vmscm_probe_file_table(file, w.tables.list.items[i].offset, h->entries, 4,
                 each_grain, &w, "grain table", err)))
            goto out;
    }
    if (w.last_grain) {
        if ((rc = vmscm_probe_file_read(
                 file, marker, sizeof marker, w.last_grain * SECTOR, "grain", err)))
            goto out;
        rc = vmscm_probe_file_need(file, w.last_grain * SECTOR + GRAIN_MARKER,
            vmscm_get_le32(marker + 8), "compressed grain", err);
    }
out:
    vmscm_vec_release(&w.tables.list);
    return rc;
}

int vmscm_probe_sparse_read(struct vmscm_probe_sparse *out, const struct vmscm_probe_source *file,
    struct vmscm_error *err)
{
    uint8_t b[SECTOR];
    struct header h;
    int rc;

    if ((rc = vmscm_probe_file_read(file, b, sizeof b, 0, "header", err)))
        return rc;
    if (memcmp(b, "KDMV", 4) != 0)
        return bad(file, "not a sparse extent", err);
    if (memcmp(b + 73, "\n \r\n", 4) != 0)
        return bad(file, "damaged as by a transfer in text mode", err);
    decode(&h, b);
    if ((h.directory == AT_END && (rc = read_footer(&h, file, err))) ||
        (rc = check_header(&h, file, err)) || (rc = check_grains(&h, file, err)))
        return rc;
    if (h.descriptor > file->size / SECTOR || h.descriptor_sectors > file->size / SECTOR)
        return vmscm_error_set(err, VMSCM_EINPUT,
            "%s: truncated: its descriptor is past the end of the file", file->path);
    out->sectors = h.capacity;
    out->descriptor = h.descriptor * SECTOR;
    out->descriptor_sectors = h.descriptor_sectors;
    out->compressed = h.compression != 0;
    out->zeroed = (h.flags & FLAG_ZEROED) != 0;
    out->dirty = h.unclean != 0;
    return 0;
}
