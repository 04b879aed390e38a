/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/qcow2layout.h"
#include "base/endian.h"
#include "chunk/cutter.h"
#include "sys/file.h"

#include <stdlib.h>
#include <string.h>

#define COPIED (UINT64_C(1) << 63) /* of an entry: its cluster has a refcount of one */
#define HEADER 112u
#define INCOMPATIBLE_COMPRESSION (1u << 3) /* another type than zlib */
#define L1_BYTES_MAX (UINT64_C(32) << 20) /* what QEMU takes: QCOW_MAX_L1_SIZE */
#define REFCOUNT_TABLE_MAX (UINT64_C(8) << 20) /* QCOW_MAX_REFTABLE_SIZE */
#define RUNS_MAX ((size_t)16 << 20)
#define ASK_EVERY 1024u

static uint64_t divide_up(uint64_t n, uint64_t by)
{
    return n / by + (n % by != 0);
}

/* Clusters with data from `first` to before `end`, after those that are known. */
static int add_clusters(struct vmscm_qcow2layout *layout, uint64_t first, uint64_t end,
    uint64_t *data, struct vmscm_error *err)
{
    struct vmscm_qcow2layout_run *last =
        layout->runs.len ? &layout->runs.items[layout->runs.len - 1] : NULL;

    /* Two extents may share a cluster. */
    if (last && first < last->guest + last->count)
        first = last->guest + last->count;
    if (first >= end)
        return 0;
    if (last && first == last->guest + last->count) {
        last->count += end - first;
    } else {
        if (layout->runs.len == RUNS_MAX)
            return vmscm_error_set(
                err, VMSCM_EUNSUPPORTED, "data in more than %zu places", RUNS_MAX);
        if (vmscm_vec_add(&layout->runs, &last, err))
            return VMSCM_ENOMEM;
        *last = (struct vmscm_qcow2layout_run){.guest = first, .count = end - first};
    }
    *data += end - first;
    return 0;
}

static int find_data(struct vmscm_qcow2layout *layout, struct vmscm_blockdev *source,
    uint64_t *clusters, int (*canceled)(void *data), void *data, struct vmscm_error *err)
{
    unsigned asked = 0;
    int rc = 0;

    for (uint64_t at = 0, len; at < source->size && !rc; at += len) {
        bool zero;
        if (canceled && ++asked % ASK_EVERY == 0 && canceled(data))
            return vmscm_error_set(err, VMSCM_ECANCELED, "%s: canceled", source->name);
        if ((rc = vmscm_blockdev_extent(source, at, &len, &zero, err)) || zero)
            continue;
        rc = add_clusters(layout, at >> layout->bits, ((at + len - 1) >> layout->bits) + 1,
            clusters, err);
    }
    return rc;
}

static uint64_t count_l2_tables(const struct vmscm_qcow2layout *layout)
{
    unsigned bits = layout->bits - 3; /* entries of a table */
    uint64_t tables = 0, next = 0;    /* the first that is not counted */

    for (size_t i = 0; i < layout->runs.len; i++) {
        const struct vmscm_qcow2layout_run *run = &layout->runs.items[i];
        uint64_t first = run->guest >> bits, end = ((run->guest + run->count - 1) >> bits) + 1;
        first = first > next ? first : next;
        if (end > first)
            tables += end - first;
        next = end > next ? end : next;
    }
    return tables;
}

/* Refcounts cover themselves: more of them until they suffice. */
static void count_refcounts(struct vmscm_qcow2layout *layout, uint64_t others)
{
    uint64_t cluster = UINT64_C(1) << layout->bits, blocks, table;

    layout->refcount_blocks = layout->refcount_table_clusters = 1;
    for (;;) {
        layout->clusters = others + layout->refcount_blocks + layout->refcount_table_clusters;
        blocks = divide_up(layout->clusters, cluster / 2);
        table = divide_up(blocks * 8, cluster);
        if (blocks <= layout->refcount_blocks && table <= layout->refcount_table_clusters)
            return;
        layout->refcount_blocks = blocks;
        layout->refcount_table_clusters = table;
    }
}

static uint64_t l1_at(const struct vmscm_qcow2layout *layout)
{
    return 1 + layout->refcount_table_clusters + layout->refcount_blocks;
}

int vmscm_qcow2layout_plan(struct vmscm_qcow2layout *layout, struct vmscm_blockdev *source,
    uint64_t size, unsigned bits, int (*canceled)(void *data), void *data,
    struct vmscm_error *err)
{
    uint64_t cluster = UINT64_C(1) << bits, clusters = 0;
    int rc;

    layout->bits = bits;
    layout->size = size;
    layout->l1_entries = divide_up(size, cluster << (bits - 3));
    if (layout->l1_entries * 8 > L1_BYTES_MAX)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED,
            "clusters of %llu bytes are too small for so large a disk",
            (unsigned long long)cluster);
    if ((rc = find_data(layout, source, &clusters, canceled, data, err)))
        return rc;
    layout->l1_clusters = divide_up(layout->l1_entries * 8, cluster);
    layout->l2_tables = count_l2_tables(layout);
    count_refcounts(layout, 1 + layout->l1_clusters + layout->l2_tables + clusters);
    if (layout->refcount_table_clusters * cluster > REFCOUNT_TABLE_MAX)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED,
            "clusters of %llu bytes are too small for so much data", (unsigned long long)cluster);
    uint64_t host = l1_at(layout) + layout->l1_clusters + layout->l2_tables;
    for (size_t i = 0; i < layout->runs.len; i++) {
        layout->runs.items[i].host = host;
        host += layout->runs.items[i].count;
    }
    return 0;
}

void vmscm_qcow2layout_release(struct vmscm_qcow2layout *layout)
{
    vmscm_vec_release(&layout->runs);
}

uint64_t vmscm_qcow2layout_length(const struct vmscm_qcow2layout *layout)
{
    return layout->clusters << layout->bits;
}

uint64_t vmscm_qcow2layout_find(const struct vmscm_qcow2layout *layout, uint64_t offset,
    uint64_t *len)
{
    const struct vmscm_qcow2layout_run *runs = layout->runs.items;
    uint64_t cluster = offset >> layout->bits;
    size_t low = 0, high = layout->runs.len;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (runs[mid].guest + runs[mid].count <= cluster)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == layout->runs.len || cluster < runs[low].guest)
        return 0;
    *len = ((runs[low].guest + runs[low].count) << layout->bits) - offset;
    return ((runs[low].host - runs[low].guest) << layout->bits) + offset;
}

struct tables {
    const struct vmscm_qcow2layout *layout;
    int (*put)(void *data, const void *bytes, size_t len, struct vmscm_error *err);
    void *data;
    uint8_t *bytes; /* a cluster */
    size_t len;     /* of one */
};

static int put(struct tables *t, struct vmscm_error *err)
{
    return t->put(t->data, t->bytes, t->len, err);
}

static int put_header(struct tables *t, struct vmscm_error *err)
{
    const struct vmscm_qcow2layout *layout = t->layout;
    uint8_t *bytes = t->bytes;

    memset(bytes, 0, t->len);
    memcpy(bytes, "QFI\xfb", 4);
    vmscm_put_be32(bytes + 4, 3);
    vmscm_put_be32(bytes + 20, layout->bits);
    vmscm_put_be64(bytes + 24, layout->size);
    vmscm_put_be32(bytes + 36, (uint32_t)layout->l1_entries);
    vmscm_put_be64(bytes + 40, l1_at(layout) << layout->bits);
    vmscm_put_be64(bytes + 48, UINT64_C(1) << layout->bits); /* the refcount table */
    vmscm_put_be32(bytes + 56, (uint32_t)layout->refcount_table_clusters);
    if (layout->zstd) {
        vmscm_put_be64(bytes + 72, INCOMPATIBLE_COMPRESSION);
        bytes[104] = 1;
    }
    vmscm_put_be64(bytes + 80, layout->lazy_refcounts); /* compatible features */
    vmscm_put_be32(bytes + 96, 4);                      /* refcounts of 2^4 bits */
    vmscm_put_be32(bytes + 100, HEADER); /* and a header extension that ends them: zeros */
    return put(t, err);
}

static int put_refcounts(struct tables *t, struct vmscm_error *err)
{
    const struct vmscm_qcow2layout *layout = t->layout;
    uint64_t block = 1 + layout->refcount_table_clusters, number = 0;
    int rc = 0;

    for (uint64_t i = 0; i < layout->refcount_table_clusters && !rc; i++) {
        memset(t->bytes, 0, t->len);
        for (size_t at = 0; at < t->len && number < layout->refcount_blocks; at += 8)
            vmscm_put_be64(t->bytes + at, (block + number++) << layout->bits);
        rc = put(t, err);
    }
    for (uint64_t i = 0; i < layout->refcount_blocks && !rc; i++) {
        uint64_t first = i * (t->len / 2);
        memset(t->bytes, 0, t->len);
        for (size_t n = 0; n < t->len / 2 && first + n < layout->clusters; n++)
            t->bytes[2 * n + 1] = 1;
        rc = put(t, err);
    }
    return rc;
}

/* L1: the L2 tables come after it, in the order of what they are for. */
static int put_l1(struct tables *t, struct vmscm_error *err)
{
    const struct vmscm_qcow2layout *layout = t->layout;
    const struct vmscm_qcow2layout_run *run = layout->runs.items, *end = run + layout->runs.len;
    uint64_t cluster = l1_at(layout) + layout->l1_clusters;
    int rc = 0;

    for (uint64_t i = 0, n = 0; i < layout->l1_clusters && !rc; i++) {
        memset(t->bytes, 0, t->len);
        for (size_t at = 0; at < t->len && n < layout->l1_entries; at += 8, n++) {
            uint64_t first = n << (layout->bits - 3), next = (n + 1) << (layout->bits - 3);
            while (run < end && run->guest + run->count <= first)
                run++;
            if (run < end && run->guest < next)
                vmscm_put_be64(t->bytes + at, cluster++ << layout->bits | COPIED);
        }
        rc = put(t, err);
    }
    return rc;
}

static int put_l2(struct tables *t, struct vmscm_error *err)
{
    const struct vmscm_qcow2layout *layout = t->layout;
    unsigned bits = layout->bits - 3;
    uint64_t table = UINT64_MAX;
    int rc = 0;

    for (size_t i = 0; i < layout->runs.len && !rc; i++) {
        const struct vmscm_qcow2layout_run *run = &layout->runs.items[i];
        for (uint64_t n = 0; n < run->count && !rc; n++) {
            uint64_t guest = run->guest + n;
            if (guest >> bits != table) {
                if (table != UINT64_MAX)
                    rc = put(t, err);
                table = guest >> bits;
                memset(t->bytes, 0, t->len);
            }
            vmscm_put_be64(t->bytes + (guest & ((UINT64_C(1) << bits) - 1)) * 8,
                (run->host + n) << layout->bits | COPIED);
        }
    }
    return rc || table == UINT64_MAX ? rc : put(t, err);
}

int vmscm_qcow2layout_tables(const struct vmscm_qcow2layout *layout,
    int (*to)(void *data, const void *bytes, size_t len, struct vmscm_error *err), void *data,
    struct vmscm_error *err)
{
    struct tables t = {layout, to, data, NULL, (size_t)1 << layout->bits};
    int rc;

    if (!(t.bytes = malloc(t.len)))
        return vmscm_error_nomem(err);
    if (!(rc = put_header(&t, err)) && !(rc = put_refcounts(&t, err)) && !(rc = put_l1(&t, err)))
        rc = put_l2(&t, err);
    free(t.bytes);
    return rc;
}

struct file {
    int fd;
    const char *path;
    uint64_t offset;
};

/* What of a cluster is zeros stays a hole. */
static int put_file(void *data, const void *bytes, size_t len, struct vmscm_error *err)
{
    struct file *file = data;
    const uint8_t *p = bytes;
    int rc = 0;

    for (size_t at = 0; at < len && !rc; at += VMSCM_CUTTER_BLOCK)
        if (!vmscm_cutter_is_zero(p + at, VMSCM_CUTTER_BLOCK))
            rc = vmscm_file_pwrite(file->fd, p + at, VMSCM_CUTTER_BLOCK, file->offset + at,
                file->path, err);
    file->offset += len;
    return rc;
}

int vmscm_qcow2layout_write(const struct vmscm_qcow2layout *layout, int fd, const char *path,
    struct vmscm_error *err)
{
    struct file file = {fd, path, 0};

    return vmscm_qcow2layout_tables(layout, put_file, &file, err);
}
