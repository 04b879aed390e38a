/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/streamqcow2.h"
#include "image/qcow2layout.h"

#include <stdlib.h>
#include <string.h>

#define BITS 16
#define CLUSTER (UINT64_C(1) << BITS)
#define PIECE (UINT64_C(1) << 20)

struct vmscm_streamqcow2 {
    struct vmscm_blockdev *disk;
    struct vmscm_qcow2layout layout;
};

int vmscm_streamqcow2_open(struct vmscm_streamqcow2 **out, struct vmscm_blockdev *disk,
    struct vmscm_error *err)
{
    struct vmscm_streamqcow2 *q = calloc(1, sizeof *q);
    int rc;

    *out = NULL;
    if (!q)
        return vmscm_error_nomem(err);
    q->disk = disk;
    rc = vmscm_qcow2layout_plan(
        &q->layout, disk, (disk->size + 511) / 512 * 512, BITS, NULL, NULL, err);
    if (rc) {
        vmscm_error_prefix(err, "%s, as a qcow2 image", disk->name);
        vmscm_streamqcow2_close(q);
        return rc;
    }
    *out = q;
    return 0;
}

void vmscm_streamqcow2_close(struct vmscm_streamqcow2 *q)
{
    if (!q)
        return;
    vmscm_qcow2layout_release(&q->layout);
    free(q);
}

uint64_t vmscm_streamqcow2_size(const struct vmscm_streamqcow2 *q)
{
    return vmscm_qcow2layout_length(&q->layout);
}

struct writing {
    const struct vmscm_streamqcow2 *q;
    int (*put)(void *data, const void *bytes, size_t len, struct vmscm_error *err);
    int (*progress)(void *data, uint64_t done);
    void *data;
    uint8_t *piece;
};

/* Clusters that lie together; behind the disk's end are zeros. */
static int put_run(struct writing *w, const struct vmscm_qcow2layout_run *run,
    struct vmscm_error *err)
{
    struct vmscm_blockdev *disk = w->q->disk;
    uint64_t at = run->guest * CLUSTER, end = at + run->count * CLUSTER;
    int rc = 0;

    for (uint64_t n, len; at < end && !rc; at += n) {
        n = end - at < PIECE ? end - at : PIECE;
        len = disk->size - at < n ? disk->size - at : n;
        memset(w->piece + len, 0, (size_t)(n - len));
        if ((rc = vmscm_blockdev_pread(disk, w->piece, (size_t)len, at, err)) ||
            (rc = w->put(w->data, w->piece, (size_t)n, err)))
            break;
        if (w->progress && w->progress(w->data, at + len))
            rc = vmscm_error_set(err, VMSCM_ECANCELED, "%s: canceled", disk->name);
    }
    return rc;
}

int vmscm_streamqcow2_write(struct vmscm_streamqcow2 *q,
    int (*put)(void *data, const void *bytes, size_t len, struct vmscm_error *err),
    int (*progress)(void *data, uint64_t done), void *data, struct vmscm_error *err)
{
    struct writing w = {q, put, progress, data, malloc(PIECE)};
    int rc;

    if (!w.piece)
        return vmscm_error_nomem(err);
    rc = vmscm_qcow2layout_tables(&q->layout, put, data, err);
    for (size_t i = 0; i < q->layout.runs.len && !rc; i++)
        rc = put_run(&w, &q->layout.runs.items[i], err);
    free(w.piece);
    return rc;
}
