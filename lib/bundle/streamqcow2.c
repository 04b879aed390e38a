/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/streamqcow2.h"
#include "base/endian.h"

#include <stdlib.h>
#include <string.h>

#define CLUSTER (UINT64_C(1) << 16)
#define L2_ENTRIES (CLUSTER / 8)
#define REFCOUNTS (CLUSTER / 2) /* of 16 bits, in a block */
#define COPIED (UINT64_C(1) << 63)
#define SIZE_LIMIT (UINT64_C(1) << 46) /* bounds the bitmap to 128 MiB */
#define HEADER 104
#define PIECE (UINT64_C(1) << 20)

struct vmscm_streamqcow2 {
    struct vmscm_blockdev *disk;
    uint64_t size;     /* whole sectors */
    uint64_t clusters; /* of the guest */
    uint8_t *bitmap;   /* those with data */
    uint64_t data;     /* how many */
    uint64_t l1_entries, l1, l2, blocks, table; /* clusters of each kind of table, but for the first */
    uint64_t total;    /* clusters of the image */
};

static bool has_data(const struct vmscm_streamqcow2 *q, uint64_t cluster)
{
    return q->bitmap[cluster / 8] & (1u << cluster % 8);
}

static int find_data(struct vmscm_streamqcow2 *q, struct vmscm_error *err)
{
    for (uint64_t at = 0, len; at < q->disk->size; at += len) {
        bool zero;
        int rc = vmscm_blockdev_extent(q->disk, at, &len, &zero, err);
        if (rc)
            return rc;
        for (uint64_t c = at / CLUSTER; !zero && c <= (at + len - 1) / CLUSTER; c++) {
            q->data += !has_data(q, c);
            q->bitmap[c / 8] |= (uint8_t)(1u << c % 8);
        }
    }
    return 0;
}

/* Whether the n-th L2 table has any. */
static bool has_table(const struct vmscm_streamqcow2 *q, uint64_t n)
{
    for (uint64_t c = n * L2_ENTRIES; c < (n + 1) * L2_ENTRIES && c < q->clusters; c++)
        if (has_data(q, c))
            return true;
    return false;
}

static uint64_t divide(uint64_t n, uint64_t by)
{
    return n / by + (n % by != 0);
}

static void lay_out(struct vmscm_streamqcow2 *q)
{
    q->l1_entries = divide(q->clusters, L2_ENTRIES);
    q->l1 = divide(q->l1_entries * 8, CLUSTER);
    for (uint64_t n = 0; n < q->l1_entries; n++)
        q->l2 += has_table(q, n);
    /* Reference counts count themselves, too. */
    for (uint64_t before = UINT64_MAX; before != q->total;) {
        before = q->total;
        q->total = 1 + q->table + q->blocks + q->l1 + q->l2 + q->data;
        q->blocks = divide(q->total, REFCOUNTS);
        q->table = divide(q->blocks * 8, CLUSTER);
    }
}

int vmscm_streamqcow2_open(struct vmscm_streamqcow2 **out, struct vmscm_blockdev *disk,
    struct vmscm_error *err)
{
    struct vmscm_streamqcow2 *q = calloc(1, sizeof *q);
    int rc;

    *out = NULL;
    if (!q)
        return vmscm_error_nomem(err);
    if (disk->size > SIZE_LIMIT) {
        free(q);
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED,
            "%s: over 64 TiB: too large for a qcow2 image of 64 KiB clusters", disk->name);
    }
    q->disk = disk;
    q->size = divide(disk->size, 512) * 512;
    q->clusters = divide(disk->size, CLUSTER);
    if (!(q->bitmap = calloc(1, (size_t)(q->clusters / 8 + 1))))
        rc = vmscm_error_nomem(err);
    else
        rc = find_data(q, err);
    if (rc) {
        vmscm_streamqcow2_close(q);
        return rc;
    }
    lay_out(q);
    *out = q;
    return 0;
}

void vmscm_streamqcow2_close(struct vmscm_streamqcow2 *q)
{
    if (!q)
        return;
    free(q->bitmap);
    free(q);
}

uint64_t vmscm_streamqcow2_size(const struct vmscm_streamqcow2 *q)
{
    return q->total * CLUSTER;
}

struct writing {
    const struct vmscm_streamqcow2 *q;
    int (*put)(void *data, const void *bytes, size_t len, struct vmscm_error *err);
    int (*progress)(void *data, uint64_t done);
    void *data;
    uint8_t *piece;
    struct vmscm_error *err;
};

/* Clusters of entries, the rest of the last one zeros. entry: value of the n-th. */
static int put_entries(struct writing *w, uint64_t count, uint64_t first, uint64_t step)
{
    for (uint64_t n = 0; n < count;) {
        memset(w->piece, 0, CLUSTER);
        for (size_t i = 0; i < CLUSTER / 8 && n < count; i++, n++)
            vmscm_put_be64(w->piece + i * 8, first + n * step);
        int rc = w->put(w->data, w->piece, CLUSTER, w->err);
        if (rc)
            return rc;
    }
    return 0;
}

static int put_header(struct writing *w)
{
    const struct vmscm_streamqcow2 *q = w->q;
    uint8_t *h = w->piece;

    memset(h, 0, CLUSTER);
    memcpy(h, "QFI\xfb", 4);
    vmscm_put_be32(h + 4, 3);
    vmscm_put_be32(h + 20, 16); /* cluster bits */
    vmscm_put_be64(h + 24, q->size);
    vmscm_put_be32(h + 36, (uint32_t)q->l1_entries);
    vmscm_put_be64(h + 40, (1 + q->table + q->blocks) * CLUSTER);
    vmscm_put_be64(h + 48, CLUSTER);
    vmscm_put_be32(h + 56, (uint32_t)q->table);
    vmscm_put_be32(h + 96, 4); /* 2^4 bits for a reference count */
    vmscm_put_be32(h + 100, HEADER);
    return w->put(w->data, h, CLUSTER, w->err);
}

static int put_refcounts(struct writing *w)
{
    const struct vmscm_streamqcow2 *q = w->q;
    int rc = put_entries(w, q->blocks, (1 + q->table) * CLUSTER, CLUSTER);

    for (uint64_t b = 0; b < q->blocks && !rc; b++) {
        memset(w->piece, 0, CLUSTER);
        for (uint64_t i = 0; i < REFCOUNTS && b * REFCOUNTS + i < q->total; i++)
            w->piece[i * 2 + 1] = 1;
        rc = w->put(w->data, w->piece, CLUSTER, w->err);
    }
    return rc;
}

static int put_maps(struct writing *w)
{
    const struct vmscm_streamqcow2 *q = w->q;
    uint64_t at = (1 + q->table + q->blocks + q->l1) * CLUSTER;
    int rc = 0;

    for (uint64_t n = 0; n < q->l1_entries && !rc;) {
        memset(w->piece, 0, CLUSTER);
        for (size_t i = 0; i < CLUSTER / 8 && n < q->l1_entries; i++, n++)
            if (has_table(q, n)) {
                vmscm_put_be64(w->piece + i * 8, at | COPIED);
                at += CLUSTER;
            }
        rc = w->put(w->data, w->piece, CLUSTER, w->err);
    }
    for (uint64_t n = 0; n < q->l1_entries && !rc; n++) {
        if (!has_table(q, n))
            continue;
        memset(w->piece, 0, CLUSTER);
        for (uint64_t i = 0; i < L2_ENTRIES && n * L2_ENTRIES + i < q->clusters; i++)
            if (has_data(q, n * L2_ENTRIES + i)) {
                vmscm_put_be64(w->piece + i * 8, at | COPIED);
                at += CLUSTER;
            }
        rc = w->put(w->data, w->piece, CLUSTER, w->err);
    }
    return rc;
}

static int put_data(struct writing *w)
{
    const struct vmscm_streamqcow2 *q = w->q;
    int rc = 0;

    for (uint64_t c = 0; c < q->clusters && !rc;) {
        uint64_t run = 0, at = c * CLUSTER, len;
        while (c + run < q->clusters && run < PIECE / CLUSTER && has_data(q, c + run))
            run++;
        if (!run) {
            c++;
            continue;
        }
        len = q->disk->size - at < run * CLUSTER ? q->disk->size - at : run * CLUSTER;
        memset(w->piece + len, 0, (size_t)(run * CLUSTER - len));
        if ((rc = vmscm_blockdev_pread(q->disk, w->piece, (size_t)len, at, w->err)) ||
            (rc = w->put(w->data, w->piece, (size_t)(run * CLUSTER), w->err)))
            break;
        c += run;
        if (w->progress && w->progress(w->data, at + len))
            rc = vmscm_error_set(w->err, VMSCM_ECANCELED, "%s: canceled", q->disk->name);
    }
    return rc;
}

int vmscm_streamqcow2_write(struct vmscm_streamqcow2 *q,
    int (*put)(void *data, const void *bytes, size_t len, struct vmscm_error *err),
    int (*progress)(void *data, uint64_t done), void *data, struct vmscm_error *err)
{
    struct writing w = {q, put, progress, data, malloc(PIECE), err};
    int rc;

    if (!w.piece)
        return vmscm_error_nomem(err);
    if (!(rc = put_header(&w)) && !(rc = put_refcounts(&w)) && !(rc = put_maps(&w)))
        rc = put_data(&w);
    free(w.piece);
    return rc;
}
