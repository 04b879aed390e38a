/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "rpmndb.h"

#include <stdint.h>
#include <string.h>

#define BLOCK 16
#define PAGE 4096
#define HEAD_SIZE 32 /* of the file: magic, version, generation, pages of slots */
#define SLOT_SIZE 16 /* magic, number of the package, first block, count of blocks */
#define BLOB_HEAD 16 /* magic, number of the package, time, length */
#define BLOB_TAIL 12 /* checksum, length, magic */

static uint32_t get32(const unsigned char *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

/* Of RFC 1950, as it is over all of a blob in front of itself. */
static uint32_t adler32(const unsigned char *p, size_t size)
{
    uint32_t low = 1, high = 0;

    while (size > 0) {
        size_t part = size < 5552 ? size : 5552; /* as many as cannot overflow */
        size -= part;
        for (; part > 0; part--) {
            low += *p++;
            high += low;
        }
        low %= 65521;
        high %= 65521;
    }
    return high << 16 | low;
}

/* A package's bytes and how many, of a slot that is in use; NULL: it is not whole. */
static const unsigned char *blob_of(
    const unsigned char *bytes, size_t size, uint64_t first_block, const unsigned char *slot, uint32_t *len)
{
    uint32_t block = get32(slot + 8), count = get32(slot + 12);
    const unsigned char *blob, *tail;
    uint64_t whole = (uint64_t)count * BLOCK;

    if (block < first_block || block > size / BLOCK || count > size / BLOCK - block || count < 2)
        return NULL;
    blob = bytes + (size_t)block * BLOCK;
    tail = blob + whole - BLOB_TAIL;
    *len = get32(blob + 12);
    if (memcmp(blob, "BlbS", 4) != 0 || memcmp(blob + 4, slot + 4, 4) != 0 ||
        memcmp(tail + 8, "BlbE", 4) != 0 || get32(tail + 4) != *len || *len > RPMNDB_ITEM_MAX ||
        whole != (BLOB_HEAD + (uint64_t)*len + BLOB_TAIL + BLOCK - 1) / BLOCK * BLOCK ||
        get32(tail) != adler32(blob, (size_t)whole - BLOB_TAIL))
        return NULL;
    return blob + BLOB_HEAD;
}

int rpmndb_each(const unsigned char *bytes, size_t size,
    int (*each)(void *data, const unsigned char *item, size_t len), void *data)
{
    uint32_t pages, len;
    uint64_t budget = size; /* no two packages share a block */
    int rc = 0;

    if (size < PAGE || memcmp(bytes, "RpmP", 4) != 0 || get32(bytes + 4) != 0)
        return -1;
    pages = get32(bytes + 12);
    if (pages == 0 || pages > size / PAGE)
        return -1;
    for (size_t at = HEAD_SIZE; at < (size_t)pages * PAGE; at += SLOT_SIZE) {
        const unsigned char *slot = bytes + at, *blob = NULL;
        uint64_t needs;
        if (memcmp(slot, "Slot", 4) != 0)
            return -1;
        if (get32(slot + 8) == 0)
            continue; /* it is free */
        needs = (uint64_t)get32(slot + 12) * BLOCK;
        if (needs <= budget) {
            budget -= needs;
            blob = blob_of(bytes, size, (uint64_t)pages * (PAGE / BLOCK), slot, &len);
        }
        if (!blob)
            rc = -1; /* the others may be whole */
        else if (!each(data, blob, len))
            break;
    }
    return rc;
}
