/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/parttable.h"
#include "base/endian.h"
#include "base/vec.h"
#include "codec/checksum.h"

#include <stdlib.h>
#include <string.h>

#define SECTOR 512u
#define SECTOR_MAX 4096u

/* An MBR, and what links logical partitions: four entries of 16 bytes, and a signature. */
#define ENTRIES_AT 446u
#define ENTRIES 4u
#define LINK_ENTRIES 2u /* that are in use in a link */
#define TYPE_GPT 0xeeu

/* A GPT. */
#define HEADER_MIN 92u
#define ENTRY_MIN 128u

struct table {
    struct vmscm_blockdev *dev;
    VMSCM_VEC(struct vmscm_parttable_entry) list;
};

/* An entry of an MBR. */
struct slot {
    unsigned status, type;
    uint64_t start, count; /* sectors */
};

/* What of len bytes at offset is on the disk. */
static int add(struct table *t, unsigned number, uint64_t offset, uint64_t len,
    struct vmscm_error *err)
{
    struct vmscm_parttable_entry *entry;

    if (!len || offset >= t->dev->size)
        return 0;
    if (vmscm_vec_add(&t->list, &entry, err))
        return VMSCM_ENOMEM;
    entry->number = number;
    entry->offset = offset;
    entry->len = len < t->dev->size - offset ? len : t->dev->size - offset;
    return 0;
}

static bool is_signed(const uint8_t *sector)
{
    return sector[SECTOR - 2] == 0x55 && sector[SECTOR - 1] == 0xaa;
}

static struct slot slot_at(const uint8_t *sector, unsigned i)
{
    const uint8_t *p = sector + ENTRIES_AT + i * 16;
    struct slot s = {p[0], p[4], vmscm_get_le32(p + 8), vmscm_get_le32(p + 12)};

    return s;
}

static bool is_container(const struct slot *s)
{
    return s->count && (s->type == 0x05 || s->type == 0x0f || s->type == 0x85);
}

static bool is_partition(const struct slot *s)
{
    return s->type && s->start && s->count && !is_container(s);
}

/* Logical partitions: each is in a link of a chain, with the place of the next link; places of links count
 * from the container, those of partitions from their link. */
static int read_chain(struct table *t, uint64_t container, unsigned *number,
    struct vmscm_error *err)
{
    uint64_t seen[VMSCM_PARTTABLE_LINKS_MAX], link = container;
    uint8_t sector[SECTOR];
    int rc;

    /* The last one has no next one: that is behind the end of any disk. */
    for (size_t links = 0; links < VMSCM_PARTTABLE_LINKS_MAX && link < t->dev->size / SECTOR;
         links++) {
        uint64_t next = UINT64_MAX;
        for (size_t i = 0; i < links; i++)
            if (seen[i] == link)
                return 0;
        seen[links] = link;
        if ((rc = vmscm_blockdev_pread(t->dev, sector, SECTOR, link * SECTOR, err)))
            return rc;
        if (!is_signed(sector))
            return 0;
        for (unsigned i = 0; i < LINK_ENTRIES; i++) {
            struct slot s = slot_at(sector, i);
            if (is_container(&s) && next == UINT64_MAX)
                next = container + s.start;
            if (!is_partition(&s))
                continue;
            if ((rc = add(t, *number, (link + s.start) * SECTOR, s.count * SECTOR, err)))
                return rc;
            ++*number;
        }
        link = next;
    }
    return 0;
}

static int read_mbr(struct table *t, const uint8_t *sector, struct vmscm_error *err)
{
    unsigned number = ENTRIES + 1;
    int rc = 0;

    for (unsigned i = 0; i < ENTRIES && !rc; i++) {
        struct slot s = slot_at(sector, i);
        if (is_partition(&s))
            rc = add(t, i + 1, s.start * SECTOR, s.count * SECTOR, err);
    }
    for (unsigned i = 0; i < ENTRIES && !rc; i++) {
        struct slot s = slot_at(sector, i);
        if (is_container(&s))
            rc = read_chain(t, s.start, &number, err);
    }
    return rc;
}

/* A header of a GPT, one of two. */
struct header {
    uint64_t entries_at; /* bytes */
    uint32_t count, size, checksum; /* of the entries */
};

/* 1: there is a whole one; 0: none, or a broken one. */
static int read_header(struct header *out, struct table *t, uint64_t at, uint32_t sector_size,
    struct vmscm_error *err)
{
    uint8_t sector[SECTOR_MAX];
    uint32_t size, checksum;
    int rc;

    if (at > t->dev->size || t->dev->size - at < sector_size)
        return 0;
    if ((rc = vmscm_blockdev_pread(t->dev, sector, sector_size, at, err)))
        return rc;
    size = vmscm_get_le32(sector + 12);
    checksum = vmscm_get_le32(sector + 16);
    if (memcmp(sector, "EFI PART", 8) != 0 || size < HEADER_MIN || size > sector_size)
        return 0;
    memset(sector + 16, 0, 4); /* its own place counts as zeros */
    if (vmscm_checksum_crc32(sector, size) != checksum ||
        vmscm_get_le64(sector + 24) != at / sector_size ||
        vmscm_get_le64(sector + 72) > t->dev->size / sector_size)
        return 0;
    out->entries_at = vmscm_get_le64(sector + 72) * sector_size;
    out->count = vmscm_get_le32(sector + 80);
    out->size = vmscm_get_le32(sector + 84);
    out->checksum = vmscm_get_le32(sector + 88);
    return 1;
}

/* The entries that a header tells of: 1, or 0 if they are not whole. */
static int read_entries(struct table *t, const struct header *h, uint32_t sector_size,
    struct vmscm_error *err)
{
    static const uint8_t unused[16];
    uint64_t len = (uint64_t)h->count * h->size;
    uint8_t *bytes;
    int rc;

    if (h->size < ENTRY_MIN || h->size % ENTRY_MIN || len > VMSCM_PARTTABLE_BYTES_MAX ||
        h->entries_at > t->dev->size || len > t->dev->size - h->entries_at)
        return 0;
    if (!(bytes = malloc(len ? (size_t)len : 1)))
        return vmscm_error_nomem(err);
    rc = vmscm_blockdev_pread(t->dev, bytes, (size_t)len, h->entries_at, err);
    if (!rc)
        rc = vmscm_checksum_crc32(bytes, (size_t)len) == h->checksum;
    for (uint32_t i = 0; rc == 1 && i < h->count; i++) {
        const uint8_t *entry = bytes + (size_t)i * h->size;
        uint64_t first = vmscm_get_le64(entry + 32), last = vmscm_get_le64(entry + 40);
        int failed;
        if (memcmp(entry, unused, sizeof unused) == 0 || !first || last < first ||
            first > t->dev->size / sector_size)
            continue;
        if (last > t->dev->size / sector_size)
            last = t->dev->size / sector_size;
        failed = add(t, i + 1, first * sector_size, (last - first + 1) * sector_size, err);
        rc = failed ? failed : 1;
    }
    free(bytes);
    return rc;
}

static int read_gpt(struct table *t, struct vmscm_error *err)
{
    for (uint32_t size = SECTOR; size <= SECTOR_MAX; size *= SECTOR_MAX / SECTOR) {
        uint64_t sectors = t->dev->size / size;
        /* The other one is in the last sector. */
        uint64_t places[] = {1, sectors ? sectors - 1 : 0};
        for (unsigned i = 0; i < 2; i++) {
            struct header h = {0};
            int rc = read_header(&h, t, places[i] * size, size, err);
            if (rc == 1)
                rc = read_entries(t, &h, size, err);
            if (rc)
                return rc == 1 ? 0 : rc;
        }
    }
    return vmscm_error_set(err, VMSCM_EINPUT,
        "%s: malformed partition table: neither of its GPTs is whole", t->dev->name);
}

static int read_table(struct table *t, struct vmscm_error *err)
{
    uint8_t sector[SECTOR];
    int rc;

    if (t->dev->size < SECTOR)
        return 0;
    if ((rc = vmscm_blockdev_pread(t->dev, sector, SECTOR, 0, err)))
        return rc;
    if (!is_signed(sector))
        return 0;
    for (unsigned i = 0; i < ENTRIES; i++)
        if (slot_at(sector, i).type == TYPE_GPT)
            return read_gpt(t, err);
    /* A file system's first sector may be signed as well, with code where the table would be. */
    for (unsigned i = 0; i < ENTRIES; i++)
        if (slot_at(sector, i).status & 0x7f)
            return 0;
    return read_mbr(t, sector, err);
}

static int by_number(const void *a, const void *b)
{
    const struct vmscm_parttable_entry *x = a, *y = b;

    return x->number < y->number ? -1 : x->number > y->number;
}

int vmscm_parttable_read(struct vmscm_parttable_entry **out, size_t *count,
    struct vmscm_blockdev *dev, struct vmscm_error *err)
{
    struct table t = {.dev = dev};
    int rc = read_table(&t, err);

    if (rc) {
        vmscm_vec_release(&t.list);
        return rc;
    }
    if (t.list.len)
        qsort(t.list.items, t.list.len, sizeof *t.list.items, by_number);
    *out = t.list.items;
    *count = t.list.len;
    return 0;
}
