/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "rpmbdb.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Of all pages: number, previous, next, count of items, where the data begins (of a page of overflow:
 * how much it has), type. */
enum { AT_NUMBER = 8, AT_NEXT = 16, AT_COUNT = 20, AT_USED = 22, AT_TYPE = 25, PAGE_HEAD = 26 };
/* Of the first page, too. */
enum { AT_MAGIC = 12, AT_VERSION = 16, AT_PAGE_SIZE = 20, AT_ENCRYPTION = 24, AT_FLAGS = 26, AT_LAST = 32,
    META_SIZE = 512 };
enum { MAGIC = 0x061561, WITH_CHECKSUMS = 1 };
enum { HASH_UNSORTED = 2, OVERFLOW_PAGE = 7, HASH_PAGE = 13 };
/* Of an item, by its first byte. In the file, or the page where it begins and its length. */
enum { ITEM_HERE = 1, ITEM_ELSEWHERE = 3, ELSEWHERE_SIZE = 12 };

struct database {
    const unsigned char *bytes;
    uint32_t page_size, last;
    int big_endian;
    uint32_t budget; /* pages of overflow that may still be read: no two values share one */
    unsigned char *value;
    size_t value_size;
};

static uint32_t get32(const struct database *db, const unsigned char *p)
{
    return db->big_endian ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]
                          : (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static uint32_t get16(const struct database *db, const unsigned char *p)
{
    return db->big_endian ? (uint32_t)p[0] << 8 | p[1] : (uint32_t)p[1] << 8 | p[0];
}

/* NULL: there is no such page. */
static const unsigned char *page_of(const struct database *db, uint32_t number)
{
    const unsigned char *page = db->bytes + (size_t)number * db->page_size;

    return number > 0 && number <= db->last && get32(db, page + AT_NUMBER) == number ? page : NULL;
}

static int open_database(struct database *db, const unsigned char *bytes, size_t size)
{
    size_t pages;

    if (size < META_SIZE)
        return -1;
    db->bytes = bytes;
    if (get32(db, bytes + AT_MAGIC) != MAGIC) {
        db->big_endian = 1;
        if (get32(db, bytes + AT_MAGIC) != MAGIC)
            return -1;
    }
    uint32_t version = get32(db, bytes + AT_VERSION);
    db->page_size = get32(db, bytes + AT_PAGE_SIZE);
    db->last = get32(db, bytes + AT_LAST);
    if (version < 7 || version > 10 || bytes[AT_ENCRYPTION] || bytes[AT_FLAGS] & WITH_CHECKSUMS)
        return -1;
    if (db->page_size < 512 || db->page_size > 65536 || (db->page_size & (db->page_size - 1)))
        return -1;
    pages = size / db->page_size;
    if (pages == 0)
        return -1;
    db->budget = pages > UINT32_MAX ? UINT32_MAX : (uint32_t)pages;
    if (db->last < pages)
        return 0;
    db->last = db->budget - 1; /* what is there is read, and that it is not all is told */
    return 1;
}

/* The value that begins on another page, into db->value. */
static int gather(struct database *db, uint32_t number, uint32_t len)
{
    size_t had = 0;

    if (len == 0 || len > RPMBDB_ITEM_MAX || len > (uint64_t)db->budget * db->page_size)
        return -1;
    if (len > db->value_size) {
        unsigned char *larger = realloc(db->value, len);
        if (!larger)
            return -1;
        db->value = larger;
        db->value_size = len;
    }
    while (had < len) {
        const unsigned char *page = page_of(db, number);
        uint32_t used = page ? get16(db, page + AT_USED) : 0;
        if (!page || page[AT_TYPE] != OVERFLOW_PAGE || used == 0 || used > db->page_size - PAGE_HEAD ||
            used > len - had || db->budget == 0)
            return -1;
        db->budget--;
        memcpy(db->value + had, page + PAGE_HEAD, used);
        had += used;
        number = get32(db, page + AT_NEXT);
    }
    return 0;
}

/* Values are every second item; each lies before the one in front of it, the first at the page's end. */
static int read_page(struct database *db, const unsigned char *page,
    int (*each)(void *data, const unsigned char *item, size_t len), void *data, int *more)
{
    uint32_t count = get16(db, page + AT_COUNT), end = db->page_size;
    int rc = 0;

    if (count > (db->page_size - PAGE_HEAD) / 2)
        return -1;
    for (uint32_t i = 0; i < count && *more; i++) {
        uint32_t at = get16(db, page + PAGE_HEAD + (size_t)i * 2), len = end - at;
        if (at < PAGE_HEAD + count * 2 || at >= end)
            return -1;
        end = at;
        if (i % 2 == 0)
            continue;
        if (page[at] == ITEM_HERE)
            *more = each(data, page + at + 1, len - 1);
        else if (page[at] != ITEM_ELSEWHERE || len < ELSEWHERE_SIZE ||
                 gather(db, get32(db, page + at + 4), get32(db, page + at + 8)))
            rc = -1; /* the others may be whole */
        else
            *more = each(data, db->value, get32(db, page + at + 8));
    }
    return rc;
}

int rpmbdb_each(const unsigned char *bytes, size_t size,
    int (*each)(void *data, const unsigned char *item, size_t len), void *data)
{
    struct database db = {0};
    int rc = open_database(&db, bytes, size), more = 1;

    if (rc < 0)
        return -1;
    /* Pages that are in no bucket any more have another type. */
    for (uint32_t number = 1; number <= db.last && number > 0 && more; number++) {
        const unsigned char *page = page_of(&db, number);
        if (page && (page[AT_TYPE] == HASH_PAGE || page[AT_TYPE] == HASH_UNSORTED) &&
            read_page(&db, page, each, data, &more))
            rc = 1;
    }
    free(db.value);
    return rc ? -1 : 0;
}
