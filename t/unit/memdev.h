/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A block device in memory for tests: any contents, holes where whole 4 KiB blocks are zero, told a
 * MiB or so at a time, and a place that cannot be read. */
#ifndef MEMDEV_H
#define MEMDEV_H

#include "image/blockdev.h"

#include <stdlib.h>
#include <string.h>

struct memdev {
    struct vmscm_blockdev dev;
    uint8_t *bytes;
    uint64_t bad; /* reads of this byte fail; UINT64_MAX: none */
};

static inline int memdev_pread(struct vmscm_blockdev *dev, void *data, size_t len, uint64_t offset,
    struct vmscm_error *err)
{
    struct memdev *m = (struct memdev *)dev;

    if (m->bad >= offset && m->bad - offset < len)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "mem: bad at %llu", (unsigned long long)m->bad);
    memcpy(data, m->bytes + offset, len);
    return 0;
}

static inline bool memdev_is_zero(const struct memdev *m, uint64_t offset, uint64_t len)
{
    const uint8_t *p = m->bytes + offset;

    return !len || (!p[0] && memcmp(p, p + 1, len - 1) == 0);
}

static inline bool memdev_block_zero(const struct memdev *m, uint64_t offset)
{
    uint64_t start = offset & ~UINT64_C(4095), left = m->dev.size - start;

    return memdev_is_zero(m, start, left < 4096 ? left : 4096);
}

static inline int memdev_extent(struct vmscm_blockdev *dev, uint64_t offset, uint64_t *len,
    bool *zero, struct vmscm_error *err)
{
    struct memdev *m = (struct memdev *)dev;
    uint64_t end = (offset & ~UINT64_C(4095)) + 4096;

    (void)err;
    *zero = memdev_block_zero(m, offset);
    while (end < dev->size && end - offset < 1 << 20 && memdev_block_zero(m, end) == *zero)
        end += 4096;
    *len = (end < dev->size ? end : dev->size) - offset;
    return 0;
}

static inline void memdev_close(struct vmscm_blockdev *dev)
{
    free(((struct memdev *)dev)->bytes);
}

static const struct vmscm_blockdev_ops memdev_ops = {
    .pread = memdev_pread, .extent = memdev_extent, .close = memdev_close};

/* Zeros all over. */
static inline bool memdev_init(struct memdev *m, uint64_t size)
{
    m->dev = (struct vmscm_blockdev){&memdev_ops, size, "mem", 0, 0};
    m->bytes = calloc(1, size);
    m->bad = UINT64_MAX;
    return m->bytes != NULL;
}

/* Bytes that do not repeat, from a seed (xorshift64*). */
static inline void memdev_fill(uint8_t *p, size_t len, uint64_t seed)
{
    uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

    for (size_t i = 0; i < len; i++) {
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        p[i] = (uint8_t)(x * UINT64_C(0x2545f4914f6cdd1d) >> 56);
    }
}

#endif
