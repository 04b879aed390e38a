/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/xvaqueue.h"
#include "base/vec.h"
#include "image/blockdev.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct block {
    uint32_t disk, length;
    uint32_t given; /* bytes that were read; all: it is done with */
    uint8_t *bytes; /* NULL: not in memory */
};

struct loader {
    vmscm_xvaqueue_load load;
    void *data;
};

struct vmscm_xvaqueue {
    struct vmscm_packed *packed;
    pthread_mutex_t lock; /* guards all below, and the packed file */
    unsigned refs;
    VMSCM_VEC(struct block) blocks;
    VMSCM_VEC(struct loader) loaders;
    uint32_t next;  /* to be unpacked */
    uint32_t first; /* none before it is in memory */
    uint64_t held, most; /* bytes in memory */
};

int vmscm_xvaqueue_new(struct vmscm_xvaqueue **out, struct vmscm_packed *packed, unsigned jobs,
    struct vmscm_error *err)
{
    struct vmscm_xvaqueue *q = calloc(1, sizeof *q);

    *out = q;
    if (!q) {
        vmscm_packed_close(packed);
        return vmscm_error_nomem(err);
    }
    q->packed = packed;
    q->refs = 1;
    q->most = (jobs + (uint64_t)2) * VMSCM_BLOCKDEV_PART;
    pthread_mutex_init(&q->lock, NULL);
    return 0;
}

struct vmscm_xvaqueue *vmscm_xvaqueue_ref(struct vmscm_xvaqueue *q)
{
    pthread_mutex_lock(&q->lock);
    q->refs++;
    pthread_mutex_unlock(&q->lock);
    return q;
}

void vmscm_xvaqueue_unref(struct vmscm_xvaqueue *q)
{
    bool last;

    if (!q)
        return;
    pthread_mutex_lock(&q->lock);
    last = !--q->refs;
    pthread_mutex_unlock(&q->lock);
    if (!last)
        return;
    for (size_t i = 0; i < q->blocks.len; i++)
        free(q->blocks.items[i].bytes);
    vmscm_vec_release(&q->blocks);
    vmscm_vec_release(&q->loaders);
    vmscm_packed_close(q->packed);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

struct vmscm_packed *vmscm_xvaqueue_packed(struct vmscm_xvaqueue *q)
{
    return q->packed;
}

int vmscm_xvaqueue_add(struct vmscm_xvaqueue *q, uint32_t *number, uint32_t disk, uint32_t length,
    struct vmscm_error *err)
{
    struct block *block = NULL;
    int rc;

    if (q->blocks.len >= UINT32_MAX - 1)
        return vmscm_error_set(err, VMSCM_EREFUSED, "more than %u blocks", UINT32_MAX - 1);
    if ((rc = vmscm_vec_add(&q->blocks, &block, err)))
        return rc;
    *number = (uint32_t)(q->blocks.len - 1);
    *block = (struct block){.disk = disk, .length = length};
    return 0;
}

int vmscm_xvaqueue_loader(struct vmscm_xvaqueue *q, uint32_t disk, vmscm_xvaqueue_load load, void *data,
    struct vmscm_error *err)
{
    struct loader *slot;
    int rc;

    while (q->loaders.len <= disk)
        if ((rc = vmscm_vec_add(&q->loaders, &slot, err)))
            return rc;
    q->loaders.items[disk] = (struct loader){load, data};
    return 0;
}

static void drop(struct vmscm_xvaqueue *q, uint32_t number)
{
    struct block *block = &q->blocks.items[number];

    free(block->bytes);
    block->bytes = NULL;
    q->held -= block->length;
}

/* Nobody came for these. keep: the first that is to stay. */
static void make_room(struct vmscm_xvaqueue *q, uint32_t keep)
{
    for (; q->held > q->most && q->first < keep; q->first++)
        if (q->blocks.items[q->first].bytes)
            drop(q, q->first);
}

static int load(struct vmscm_xvaqueue *q, uint32_t number, struct vmscm_error *err)
{
    struct block *block = &q->blocks.items[number];
    const struct loader *loader = &q->loaders.items[block->disk];
    int rc;

    if (!(block->bytes = malloc(block->length)))
        return vmscm_error_nomem(err);
    q->held += block->length;
    if ((rc = loader->load(loader->data, q->packed, block->bytes, number, err)))
        drop(q, number);
    return rc;
}

/* All that is not done with, of this disk and of those that are read before it, up to `last`. */
static int unpack(struct vmscm_xvaqueue *q, uint32_t number, uint32_t last, struct vmscm_error *err)
{
    uint32_t disk = q->blocks.items[number].disk;
    int rc = 0;

    if (number < q->next)
        q->next = q->first = 0;
    for (; q->next <= last && !rc; q->next += !rc) {
        const struct block *block = &q->blocks.items[q->next];
        if (block->bytes || block->disk > disk || block->given >= block->length ||
            block->disk >= q->loaders.len || !q->loaders.items[block->disk].load)
            continue;
        if (!(rc = load(q, q->next, err)))
            make_room(q, number);
    }
    return rc;
}

int vmscm_xvaqueue_read(struct vmscm_xvaqueue *q, void *out, size_t len, uint32_t number, uint32_t from,
    uint32_t last, struct vmscm_error *err)
{
    struct block *block = &q->blocks.items[number];
    int rc = 0;

    pthread_mutex_lock(&q->lock);
    if (!block->bytes) {
        block->given = 0;
        rc = unpack(q, number, last, err);
    }
    if (!rc) {
        memcpy(out, block->bytes + from, len);
        block->given += (uint32_t)len;
        if (block->given >= block->length)
            drop(q, number);
    }
    pthread_mutex_unlock(&q->lock);
    return rc;
}
