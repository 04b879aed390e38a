/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/qcow2layout.h"
#include "base/endian.h"
#include "chunk/cutter.h"
#include "sys/file.h"

#include <stdlib.h>
#include <string.h>

#define COPIED (UINT64_C(1) << 63) /* of an entry: its cluster has a refcount of one */
#define HEADER 104u
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

/* What of a cluster is zeros stays a hole. */
static int put(const uint8_t *bytes, uint64_t cluster, const struct vmscm_qcow2layout *layout,
    int fd, const char *path, struct vmscm_error *err)
{
    size_t len = (size_t)1 << layout->bits;
    int rc = 0;

    for (size_t at = 0; at < len && !rc; at += VMSCM_CUTTER_BLOCK)
        if (!vmscm_cutter_is_zero(bytes + at, VMSCM_CUTTER_BLOCK))
            rc = vmscm_file_pwrite(fd, bytes + at, VMSCM_CUTTER_BLOCK,
                (cluster << layout->bits) + at, path, err);
    return rc;
}

static int put_header(const struct vmscm_qcow2layout *layout, uint8_t *bytes, int fd,
    const char *path, struct vmscm_error *err)
{
    memset(bytes, 0, (size_t)1 << layout->bits);
    memcpy(bytes, "QFI\xfb", 4);
    vmscm_put_be32(bytes + 4, 3);
    vmscm_put_be32(bytes + 20, layout->bits);
    vmscm_put_be64(bytes + 24, layout->size);
    vmscm_put_be32(bytes + 36, (uint32_t)layout->l1_entries);
    vmscm_put_be64(bytes + 40, l1_at(layout) << layout->bits);
    vmscm_put_be64(bytes + 48, UINT64_C(1) << layout->bits); /* the refcount table */
    vmscm_put_be32(bytes + 56, (uint32_t)layout->refcount_table_clusters);
    vmscm_put_be64(bytes + 80, layout->lazy_refcounts); /* compatible features */
    vmscm_put_be32(bytes + 96, 4);                      /* refcounts of 2^4 bits */
    vmscm_put_be32(bytes + 100, HEADER); /* and a header extension that ends them: zeros */
    return put(bytes, 0, layout, fd, path, err);
}

static int put_refcounts(const struct vmscm_qcow2layout *layout, uint8_t *bytes, int fd,
    const char *path, struct vmscm_error *err)
{
    size_t len = (size_t)1 << layout->bits;
    uint64_t block = 1 + layout->refcount_table_clusters, number = 0;
    int rc = 0;

    for (uint64_t i = 0; i < layout->refcount_table_clusters && !rc; i++) {
        memset(bytes, 0, len);
        for (size_t at = 0; at < len && number < layout->refcount_blocks; at += 8)
            vmscm_put_be64(bytes + at, (block + number++) << layout->bits);
        rc = put(bytes, 1 + i, layout, fd, path, err);
    }
    for (uint64_t i = 0; i < layout->refcount_blocks && !rc; i++) {
        uint64_t first = i * (len / 2);
        memset(bytes, 0, len);
        for (size_t n = 0; n < len / 2 && first + n < layout->clusters; n++)
            bytes[2 * n + 1] = 1;
        rc = put(bytes, block + i, layout, fd, path, err);
    }
    return rc;
}

/* The L2 tables that are needed, and l1, which leads to them. */
static int put_l2(const struct vmscm_qcow2layout *layout, uint8_t *l1, uint8_t *bytes, int fd,
    const char *path, struct vmscm_error *err)
{
    unsigned bits = layout->bits - 3;
    uint64_t cluster = l1_at(layout) + layout->l1_clusters, table = UINT64_MAX;
    int rc = 0;

    for (size_t i = 0; i < layout->runs.len && !rc; i++) {
        const struct vmscm_qcow2layout_run *run = &layout->runs.items[i];
        for (uint64_t n = 0; n < run->count && !rc; n++) {
            uint64_t guest = run->guest + n;
            if (guest >> bits != table) {
                if (table != UINT64_MAX)
                    rc = put(bytes, cluster++, layout, fd, path, err);
                table = guest >> bits;
                memset(bytes, 0, (size_t)1 << layout->bits);
                vmscm_put_be64(l1 + table * 8, cluster << layout->bits | COPIED);
            }
            vmscm_put_be64(bytes + (guest & ((UINT64_C(1) << bits) - 1)) * 8,
                (run->host + n) << layout->bits | COPIED);
        }
    }
    if (!rc && table != UINT64_MAX)
        rc = put(bytes, cluster, layout, fd, path, err);
    return rc;
}

int vmscm_qcow2layout_write(const struct vmscm_qcow2layout *layout, int fd, const char *path,
    struct vmscm_error *err)
{
    size_t len = (size_t)1 << layout->bits;
    uint8_t *bytes = malloc(len), *l1 = calloc((size_t)layout->l1_clusters + 1, len);
    int rc = bytes && l1 ? 0 : vmscm_error_nomem(err);

    if (!rc && !(rc = put_header(layout, bytes, fd, path, err)) &&
        !(rc = put_refcounts(layout, bytes, fd, path, err)))
        rc = put_l2(layout, l1, bytes, fd, path, err);
    for (uint64_t i = 0; i < layout->l1_clusters && !rc; i++)
        rc = put(l1 + i * len, l1_at(layout) + i, layout, fd, path, err);
    free(bytes);
    free(l1);
    return rc;
}
