/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qcow2, versions 2 and 3. Numbers are big-endian. */
#include "base/endian.h"
#include "image/probe_format.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum {
    V2_HEADER = 72,
    V3_HEADER = 104,
    CLUSTER_BITS_MIN = 9,
    CLUSTER_BITS_MAX = 21,
    L1_BYTES_MAX = 32 << 20,
    REFCOUNT_TABLE_BYTES_MAX = 8 << 20,
    SNAPSHOTS_MAX = 65536,
    SNAPSHOT_HEADER = 40,
    NAME_MAX_BYTES = 1023,
};

#define INCOMPATIBLE_DIRTY (UINT64_C(1) << 0)
#define INCOMPATIBLE_CORRUPT (UINT64_C(1) << 1)
#define INCOMPATIBLE_DATA_FILE (UINT64_C(1) << 2)
#define INCOMPATIBLE_COMPRESSION (UINT64_C(1) << 3)
#define INCOMPATIBLE_EXTENDED_L2 (UINT64_C(1) << 4)
#define INCOMPATIBLE_KNOWN UINT64_C(0x1f)
#define COMPATIBLE_LAZY_REFCOUNTS (UINT64_C(1) << 0)
#define AUTOCLEAR_BITMAPS (UINT64_C(1) << 0)

#define EXTENSION_BACKING_FORMAT UINT32_C(0xe2792aca)
#define EXTENSION_DATA_FILE UINT32_C(0x44415441)
#define EXTENSION_BITMAPS UINT32_C(0x23852875)
#define EXTENSION_CRYPTO UINT32_C(0x0537be77)

#define ENTRY_OFFSET UINT64_C(0x00fffffffffffe00)
#define L2_COMPRESSED (UINT64_C(1) << 62)
#define L2_ZERO UINT64_C(1)

struct header {
    uint32_t version;
    uint64_t backing_offset;
    uint32_t backing_len;
    uint32_t cluster_bits;
    uint64_t size;
    uint32_t l1_size;
    uint64_t l1_offset;
    uint64_t refcount_offset;
    uint32_t refcount_clusters;
    uint32_t snapshots;
    uint64_t snapshots_offset;
    uint64_t incompatible;
    uint64_t compatible;
    uint64_t autoclear;
    uint32_t refcount_order;
    uint32_t len;
    uint8_t compression; /* 0 zlib, 1 zstd */
    char *data_file;     /* from the extension; owned */
};

bool vmscm_probe_qcow2_match(const struct vmscm_probe_head *head)
{
    /* Version 1 is another format, and told apart by whoever lists the foreign ones. */
    return memcmp(head->first, "QFI\xfb", 4) == 0 && vmscm_get_be32(head->first + 4) != 1;
}

static int bad(const struct vmscm_probe_image *image, const char *why, struct vmscm_error *err)
{
    return vmscm_error_set(err, VMSCM_EINPUT, "%s: malformed qcow2: %s", image->file.path, why);
}

static int read_fields(struct header *h, const struct vmscm_probe_image *image,
    struct vmscm_error *err)
{
    uint8_t b[V3_HEADER] = {0};
    int rc;

    if ((rc = vmscm_probe_file_read(&image->file, b, V2_HEADER, 0, "header", err)))
        return rc;
    h->version = vmscm_get_be32(b + 4);
    if (h->version != 2 && h->version != 3)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED,
            "%s: qcow2 version %" PRIu32 " is not supported", image->file.path, h->version);
    h->backing_offset = vmscm_get_be64(b + 8);
    h->backing_len = vmscm_get_be32(b + 16);
    h->cluster_bits = vmscm_get_be32(b + 20);
    h->size = vmscm_get_be64(b + 24);
    if (vmscm_get_be32(b + 32) != 0)
        return vmscm_error_set(err, VMSCM_EREFUSED, "%s: is encrypted", image->file.path);
    h->l1_size = vmscm_get_be32(b + 36);
    h->l1_offset = vmscm_get_be64(b + 40);
    h->refcount_offset = vmscm_get_be64(b + 48);
    h->refcount_clusters = vmscm_get_be32(b + 56);
    h->snapshots = vmscm_get_be32(b + 60);
    h->snapshots_offset = vmscm_get_be64(b + 64);
    if (h->cluster_bits < CLUSTER_BITS_MIN || h->cluster_bits > CLUSTER_BITS_MAX)
        return bad(image, "cluster size out of range", err);
    h->len = V2_HEADER;
    h->refcount_order = 4;
    if (h->version == 2)
        return 0;
    if ((rc = vmscm_probe_file_read(&image->file, b, V3_HEADER, 0, "header", err)))
        return rc;
    h->incompatible = vmscm_get_be64(b + 72);
    h->compatible = vmscm_get_be64(b + 80);
    h->autoclear = vmscm_get_be64(b + 88);
    h->refcount_order = vmscm_get_be32(b + 96);
    h->len = vmscm_get_be32(b + 100);
    if (h->len < V3_HEADER || h->len > UINT32_C(1) << h->cluster_bits)
        return bad(image, "header length out of range", err);
    if ((rc = vmscm_probe_file_need(&image->file, 0, h->len, "header", err)))
        return rc;
    if (h->len > V3_HEADER) {
        rc = vmscm_probe_file_read(&image->file, &h->compression, 1, V3_HEADER, "header", err);
        if (rc)
            return rc;
    }
    return 0;
}

static int check_features(const struct header *h, const struct vmscm_probe_image *image,
    struct vmscm_error *err)
{
    uint64_t unknown = h->incompatible & ~INCOMPATIBLE_KNOWN;

    if (unknown)
        return vmscm_error_set(err, VMSCM_EREFUSED,
            "%s: uses unknown incompatible qcow2 features (0x%" PRIx64 ")", image->file.path,
            unknown);
    if (h->compression > 1)
        return vmscm_error_set(err, VMSCM_EREFUSED,
            "%s: uses an unknown qcow2 compression type (%u)", image->file.path,
            (unsigned)h->compression);
    if ((h->compression != 0) != ((h->incompatible & INCOMPATIBLE_COMPRESSION) != 0))
        return bad(image, "compression type and feature bit disagree", err);
    if (h->incompatible & INCOMPATIBLE_EXTENDED_L2 && h->cluster_bits < 14)
        return bad(image, "clusters too small for extended L2 entries", err);
    if (h->refcount_order > 6)
        return bad(image, "refcount width out of range", err);
    return 0;
}

/* A string of the header: no NUL inside. */
static int header_string(char **out, const struct vmscm_probe_image *image, uint64_t offset,
    uint32_t len, const char *what, struct vmscm_error *err)
{
    char *text = calloc(1, (size_t)len + 1);
    int rc;

    if (!text)
        return vmscm_error_nomem(err);
    rc = vmscm_probe_file_read(&image->file, text, len, offset, what, err);
    if (!rc && (len == 0 || strlen(text) != len))
        rc = vmscm_error_set(
            err, VMSCM_EINPUT, "%s: malformed qcow2: its %s", image->file.path, what);
    if (rc) {
        free(text);
        return rc;
    }
    *out = text;
    return 0;
}

/* Only speed hangs on bitmaps: what is wrong with them makes them stale, no more. */
static int read_bitmaps(const struct header *h, const struct vmscm_probe_image *image,
    uint64_t at, uint32_t len, struct vmscm_error *err)
{
    struct vmscm_probe_bitmaps *bitmaps = &image->probe->bitmaps;
    uint8_t b[24];
    int rc;

    bitmaps->stale = len != sizeof b || !(h->autoclear & AUTOCLEAR_BITMAPS);
    if (len != sizeof b)
        return 0;
    if ((rc = vmscm_probe_file_read(&image->file, b, sizeof b, at, "bitmaps", err)))
        return rc;
    bitmaps->count = vmscm_get_be32(b);
    bitmaps->bytes = vmscm_get_be64(b + 8);
    bitmaps->offset = vmscm_get_be64(b + 16);
    if (vmscm_probe_file_need(&image->file, bitmaps->offset, bitmaps->bytes, "bitmaps", NULL))
        bitmaps->stale = true;
    return 0;
}

static int read_extensions(struct header *h, struct vmscm_probe_image *image,
    struct vmscm_error *err)
{
    const uint64_t end =
        h->backing_offset ? h->backing_offset : UINT64_C(1) << h->cluster_bits;
    uint64_t at = h->len;
    int rc;

    while (at < end) {
        uint8_t b[8];
        uint32_t magic, len;

        if (end - at < 8)
            return bad(image, "header extensions run into what follows", err);
        if ((rc = vmscm_probe_file_read(&image->file, b, 8, at, "header extension", err)))
            return rc;
        magic = vmscm_get_be32(b);
        len = vmscm_get_be32(b + 4);
        at += 8;
        if (magic == 0)
            break;
        if (len > end - at)
            return bad(image, "header extension too long", err);
        if ((rc = vmscm_probe_file_need(&image->file, at, len, "header extension", err)))
            return rc;
        if (magic == EXTENSION_CRYPTO)
            return vmscm_error_set(err, VMSCM_EREFUSED, "%s: is encrypted", image->file.path);
        if (magic == EXTENSION_BACKING_FORMAT && len) {
            if (image->backing_format || len > 15)
                return bad(image, "backing format", err);
            if ((rc = header_string(
                     &image->backing_format, image, at, len, "backing format", err)))
                return rc;
        } else if (magic == EXTENSION_DATA_FILE) {
            if (h->data_file || len > NAME_MAX_BYTES)
                return bad(image, "data file's name", err);
            if ((rc = header_string(&h->data_file, image, at, len, "data file's name", err)))
                return rc;
        } else if (magic == EXTENSION_BITMAPS && (rc = read_bitmaps(h, image, at, len, err))) {
            return rc;
        }
        at += (uint64_t)(len + 7 - (len + 7) % 8); /* len is below 2 MiB here */
    }
    return 0;
}

static int read_backing(const struct header *h, struct vmscm_probe_image *image,
    struct vmscm_error *err)
{
    const uint64_t cluster = UINT64_C(1) << h->cluster_bits;
    char *name = NULL;
    int rc;

    if (!h->backing_offset || !h->backing_len) {
        /* A format without a file means nothing. */
        free(image->backing_format);
        image->backing_format = NULL;
        return 0;
    }
    if (h->backing_len > NAME_MAX_BYTES || h->backing_len > cluster - h->backing_offset)
        return bad(image, "backing file's name too long", err);
    if ((rc = header_string(
             &name, image, h->backing_offset, h->backing_len, "backing file's name", err)))
        return rc;
    if (image->over && strcmp(name, image->over) == 0) {
        image->probe->over = true;
        free(image->backing_format);
        image->backing_format = NULL;
    } else {
        rc = vmscm_probe_file_link(&image->backing, image, name, "backing file", false, err);
    }
    free(name);
    return rc;
}

/* A table at a cluster's start, of a bounded number of bytes, within the file. */
static int check_table(const struct header *h, const struct vmscm_probe_image *image,
    uint64_t offset, uint64_t bytes, uint64_t max, const char *what, struct vmscm_error *err)
{
    if (bytes > max)
        return vmscm_error_set(
            err, VMSCM_EINPUT, "%s: malformed qcow2: its %s is too large", image->file.path, what);
    if (offset & ((UINT64_C(1) << h->cluster_bits) - 1))
        return vmscm_error_set(err, VMSCM_EINPUT,
            "%s: malformed qcow2: its %s is not aligned", image->file.path, what);
    return vmscm_probe_file_need(&image->file, offset, bytes, what, err);
}

/* The walk from the L1 table to every cluster. */
struct walk {
    struct vmscm_probe_image *image;
    const struct header *h;
    const struct vmscm_probe_source *data; /* where clusters are: the image or its data file */
    bool extended;
    uint64_t l2_entries; /* in a table */
    struct vmscm_probe_tables tables;
    uint64_t guest;      /* address that the current L2 table begins at */
};

static int each_cluster(void *data, uint64_t index, const uint8_t *entry, struct vmscm_error *err)
{
    struct walk *w = data;
    const uint32_t bits = w->h->cluster_bits;
    const uint64_t cluster = UINT64_C(1) << bits;
    uint64_t e = vmscm_get_be64(entry), guest = w->guest + (index << bits), offset, need;

    if (guest >= w->h->size)
        return 0;
    if (e & L2_COMPRESSED) {
        const uint32_t shift = 62 - (bits - 8);
        uint64_t sectors = (e & (L2_COMPRESSED - 1)) >> shift;

        if (w->h->incompatible & INCOMPATIBLE_DATA_FILE)
            return bad(w->image, "a compressed cluster beside a data file", err);
        w->image->probe->compressed = true;
        offset = e & ((UINT64_C(1) << shift) - 1);
        /* The sectors after the first are counted; the last may be cut off by the file's end. */
        return vmscm_probe_file_need(
            &w->image->file, offset & ~UINT64_C(511), sectors * 512 + 1, "compressed cluster", err);
    }
    if (w->extended) {
        uint32_t allocated = (uint32_t)vmscm_get_be64(entry + 8);

        if (!allocated)
            return 0;
        need = (uint64_t)(32 - __builtin_clz(allocated)) << (bits - 5);
    } else {
        if (e & L2_ZERO)
            return 0;
        need = cluster;
    }
    offset = e & ENTRY_OFFSET;
    if (!offset && w->data == &w->image->file)
        return w->extended ? bad(w->image, "an allocated subcluster without an address", err) : 0;
    if (!e)
        return 0;
    if (offset & (cluster - 1))
        return bad(w->image, "a cluster is not aligned", err);
    /* The disk's last cluster need not be whole. */
    if (need > w->h->size - guest)
        need = w->h->size - guest;
    return vmscm_probe_file_need(w->data, offset, need, "data cluster", err);
}

static int each_l2(void *data, uint64_t index, const uint8_t *entry, struct vmscm_error *err)
{
    struct walk *w = data;
    struct vmscm_probe_table *table;
    uint64_t offset = vmscm_get_be64(entry) & ENTRY_OFFSET;
    int rc;

    if (!offset)
        return 0;
    if (offset & ((UINT64_C(1) << w->h->cluster_bits) - 1))
        return bad(w->image, "an L2 table is not aligned", err);
    if ((rc = vmscm_vec_add(&w->tables.list, &table, err)))
        return rc;
    table->offset = offset;
    table->index = index;
    return 0;
}

static int walk_tables(struct walk *w, uint64_t l1_entries, struct vmscm_error *err)
{
    int rc;

    if ((rc = vmscm_probe_file_table(
             &w->image->file, w->h->l1_offset, l1_entries, 8, each_l2, w, "L1 table", err)))
        goto out;
    if (!vmscm_probe_file_sort(&w->tables)) {
        rc = bad(w->image, "an L2 table is used twice", err);
        goto out;
    }
    for (size_t i = 0; i < w->tables.list.len && !rc; i++) {
        const struct vmscm_probe_table *table = &w->tables.list.items[i];

        w->guest = table->index * w->l2_entries << w->h->cluster_bits;
        rc = vmscm_probe_file_table(&w->image->file, table->offset, w->l2_entries,
            w->extended ? 16 : 8, each_cluster, w, "L2 table", err);
    }
out:
    vmscm_vec_release(&w->tables.list);
    return rc;
}

static int check_tables(const struct header *h, struct vmscm_probe_image *image,
    const struct vmscm_probe_source *data, struct vmscm_error *err)
{
    const uint64_t cluster = UINT64_C(1) << h->cluster_bits;
    struct walk w = {.image = image, .h = h, .data = data};
    uint64_t per_l1, l1_needed;
    int rc;

    w.extended = (h->incompatible & INCOMPATIBLE_EXTENDED_L2) != 0;
    w.l2_entries = cluster / (w.extended ? 16 : 8);
    per_l1 = cluster * w.l2_entries; /* at most 2^39 */
    l1_needed = h->size / per_l1 + (h->size % per_l1 != 0);
    if (h->refcount_clusters == 0)
        return bad(image, "no refcount table", err);
    if ((rc = check_table(h, image, h->l1_offset, (uint64_t)h->l1_size * 8, L1_BYTES_MAX,
             "L1 table", err)) ||
        (rc = check_table(h, image, h->refcount_offset, h->refcount_clusters * cluster,
             REFCOUNT_TABLE_BYTES_MAX, "refcount table", err)))
        return rc;
    if (h->snapshots > SNAPSHOTS_MAX)
        return bad(image, "too many snapshots", err);
    if (h->snapshots &&
        (rc = check_table(h, image, h->snapshots_offset, (uint64_t)h->snapshots * SNAPSHOT_HEADER,
             (uint64_t)SNAPSHOTS_MAX * SNAPSHOT_HEADER, "snapshot table", err)))
        return rc;
    if (h->l1_size < l1_needed)
        return bad(image, "L1 table too small for the disk", err);
    return image->allow & VMSCM_PROBE_SHALLOW ? 0 : walk_tables(&w, l1_needed, err);
}

static int record_options(const struct header *h, struct vmscm_probe *probe,
    struct vmscm_error *err)
{
    int rc;

    if ((rc = vmscm_probe_file_option(
             probe, err, "compat", "%s", h->version == 2 ? "0.10" : "1.1")) ||
        (rc = vmscm_probe_file_option(
             probe, err, "cluster_size", "%" PRIu32, UINT32_C(1) << h->cluster_bits)))
        return rc;
    if (h->version == 2)
        return 0;
    if ((rc = vmscm_probe_file_option(
             probe, err, "compression_type", "%s", h->compression ? "zstd" : "zlib")) ||
        (rc = vmscm_probe_file_option(probe, err, "extended_l2", "%s",
             h->incompatible & INCOMPATIBLE_EXTENDED_L2 ? "on" : "off")) ||
        (rc = vmscm_probe_file_option(probe, err, "lazy_refcounts", "%s",
             h->compatible & COMPATIBLE_LAZY_REFCOUNTS ? "on" : "off")))
        return rc;
    return vmscm_probe_file_option(probe, err, "refcount_bits", "%u", 1u << h->refcount_order);
}

int vmscm_probe_qcow2_read(struct vmscm_probe_image *image, struct vmscm_error *err)
{
    struct header h = {0};
    struct vmscm_probe_source data = {.fd = -1};
    char *path = NULL;
    int rc;

    if ((rc = read_fields(&h, image, err)) || (rc = check_features(&h, image, err)))
        goto out;
    if (h.size > VMSCM_PROBE_SIZE_MAX) {
        rc = vmscm_error_set(
            err, VMSCM_EINPUT, "%s: its virtual size is too large", image->file.path);
        goto out;
    }
    h.size &= ~UINT64_C(511); /* as QEMU does */
    if (h.backing_offset &&
        (h.backing_offset < h.len || h.backing_offset >= UINT64_C(1) << h.cluster_bits)) {
        rc = bad(image, "backing file's name out of place", err);
        goto out;
    }
    if ((rc = read_extensions(&h, image, err)) || (rc = read_backing(&h, image, err)))
        goto out;
    if (h.incompatible & INCOMPATIBLE_DATA_FILE) {
        if (!h.data_file) {
            rc = bad(image, "does not name its data file", err);
            goto out;
        }
        if ((rc = vmscm_probe_file_link(&path, image, h.data_file, "data file", false, err)) ||
            (rc = vmscm_probe_file_add(&data, image->probe, path, err)))
            goto out;
    }
    image->probe->size = h.size;
    image->probe->snapshots = h.snapshots;
    image->probe->bitmaps.possible =
        h.version == 3 && !(h.incompatible & INCOMPATIBLE_DATA_FILE);
    image->probe->bitmaps.cluster = UINT32_C(1) << h.cluster_bits;
    image->probe->dirty = (h.incompatible & (INCOMPATIBLE_DIRTY | INCOMPATIBLE_CORRUPT)) != 0;
    if ((rc = check_tables(&h, image, data.fd >= 0 ? &data : &image->file, err)))
        goto out;
    rc = record_options(&h, image->probe, err);
out:
    if (data.fd >= 0)
        close(data.fd);
    free(h.data_file);
    return rc;
}
