/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Partition tables made byte by byte; those of real programs are read in t/t2810-mount.sh. */
#include "unit.h"

#include "base/endian.h"
#include "codec/checksum.h"
#include "image/parttable.h"
#include "memdev.h"

#define SECTOR 512u
#define SECTORS 4096u
#define SIZE (SECTORS * SECTOR)

static void slot(struct memdev *m, uint64_t sector, unsigned i, uint8_t type, uint32_t start,
    uint32_t count)
{
    uint8_t *at = m->bytes + sector * SECTOR;

    at[446 + i * 16 + 4] = type;
    vmscm_put_le32(at + 446 + i * 16 + 8, start);
    vmscm_put_le32(at + 446 + i * 16 + 12, count);
    at[510] = 0x55;
    at[511] = 0xaa;
}

/* What is read of a disk has exactly these partitions, number, first sector and sectors each. */
static void expect(struct memdev *m, unsigned sector, size_t count, const uint64_t (*want)[3])
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_parttable_entry *list = NULL;
    size_t got = 99;

    assert_done(vmscm_parttable_read(&list, &got, &m->dev, &err), &err);
    assert_int_equal(got, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(list[i].number, want[i][0]);
        assert_int_equal(list[i].offset, want[i][1] * sector);
        assert_int_equal(list[i].len, want[i][2] * sector);
    }
    free(list);
}

static void refuse(struct memdev *m, int code, const char *why)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_parttable_entry *list = NULL;
    size_t count = 0;

    assert_fails(vmscm_parttable_read(&list, &count, &m->dev, &err), &err, code, why);
    assert_null(list);
}

static void test_none(void **state)
{
    struct memdev m;

    (void)state;
    assert_true(memdev_init(&m, SIZE));
    expect(&m, SECTOR, 0, NULL);
    /* Signed, and empty. */
    m.bytes[510] = 0x55;
    m.bytes[511] = 0xaa;
    expect(&m, SECTOR, 0, NULL);
    /* Code of a file system's boot sector where the table would be. */
    memdev_fill(m.bytes + 440, 70, 7);
    m.bytes[446] = 0x41;
    m.bytes[446 + 4] = m.bytes[462 + 4] = m.bytes[478 + 4] = m.bytes[494 + 4] = 0x20;
    expect(&m, SECTOR, 0, NULL);
    vmscm_blockdev_close(&m.dev);
    assert_true(memdev_init(&m, 511));
    memset(m.bytes, 0xaa, 511);
    expect(&m, SECTOR, 0, NULL);
    vmscm_blockdev_close(&m.dev);
}

static void test_mbr(void **state)
{
    static const uint64_t want[][3] = {
        {1, 8, 100}, {3, 4000, 96}, {4, 200, 10}, {5, 308, 50}, {6, 508, 60}};
    struct memdev m;

    (void)state;
    assert_true(memdev_init(&m, SIZE));
    slot(&m, 0, 0, 0x83, 8, 100);
    slot(&m, 0, 1, 0x0f, 300, 1000);
    slot(&m, 0, 2, 0x07, 4000, 0xffffffff); /* ends with the disk */
    slot(&m, 0, 3, 0x82, 200, 10);
    m.bytes[446] = 0x80;
    slot(&m, 300, 0, 0x83, 8, 50);
    slot(&m, 300, 1, 0x05, 200, 300); /* counts from the container */
    slot(&m, 500, 0, 0x83, 8, 60);
    expect(&m, SECTOR, 5, want);
    /* Behind the end, of no length, at the table's own place, of no type: none of them. */
    slot(&m, 0, 0, 0x83, SECTORS, 1);
    slot(&m, 0, 1, 0x83, 100, 0);
    slot(&m, 0, 2, 0x83, 0, 100);
    slot(&m, 0, 3, 0, 100, 100);
    expect(&m, SECTOR, 0, NULL);
    m.bad = 3;
    refuse(&m, VMSCM_EDAMAGED, "bad at 3");
    vmscm_blockdev_close(&m.dev);
}

static void test_mbr_hostile(void **state)
{
    static const uint64_t want[][3] = {{5, 301, 2}};
    struct vmscm_parttable_entry *list = NULL;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct memdev m;
    size_t count;

    (void)state;
    assert_true(memdev_init(&m, SIZE));
    /* A container that is not written yet, and one that leads out of the disk. */
    slot(&m, 0, 0, 0x05, 300, 1000);
    slot(&m, 0, 1, 0x85, 0xffffffff, 0xffffffff);
    expect(&m, SECTOR, 0, NULL);
    slot(&m, 300, 0, 0x83, 1, 2);
    slot(&m, 300, 1, 0x05, 0xffffffff, 1);
    expect(&m, SECTOR, 1, want);
    /* What is no link, one that leads to itself, and one back to the first. */
    slot(&m, 300, 1, 0x05, 100, 1);
    expect(&m, SECTOR, 1, want);
    slot(&m, 400, 1, 0x05, 100, 1);
    expect(&m, SECTOR, 1, want);
    slot(&m, 400, 1, 0x05, 0, 1);
    expect(&m, SECTOR, 1, want);
    m.bad = 400 * SECTOR;
    refuse(&m, VMSCM_EDAMAGED, "bad at");
    m.bad = UINT64_MAX;
    for (unsigned i = 0; i < 1000; i++) {
        slot(&m, 300 + i, 0, 0x83, 1, 1);
        slot(&m, 300 + i, 1, 0x05, i + 1, 1);
    }
    assert_done(vmscm_parttable_read(&list, &count, &m.dev, &err), &err);
    assert_int_equal(count, VMSCM_PARTTABLE_LINKS_MAX);
    free(list);
    vmscm_blockdev_close(&m.dev);
}

struct gpt {
    struct memdev m;
    uint32_t sector, count, size, header_size;
    uint64_t entries; /* sector */
};

static uint8_t *entry_at(struct gpt *g, uint64_t at, unsigned i)
{
    return g->m.bytes + at * g->sector + (size_t)i * g->size;
}

static void entry(struct gpt *g, uint64_t at, unsigned i, uint64_t first, uint64_t last)
{
    uint8_t *p = entry_at(g, at, i);

    p[0] = 1; /* of its type, which nobody looks at */
    vmscm_put_le64(p + 32, first);
    vmscm_put_le64(p + 40, last);
}

/* The header in a sector, of what is at g->entries, with its checksums. */
static uint8_t *header(struct gpt *g, uint64_t at)
{
    uint8_t *p = g->m.bytes + at * g->sector;
    uint64_t len = (uint64_t)g->count * g->size;

    memcpy(p, "EFI PART", 8);
    vmscm_put_le32(p + 12, g->header_size);
    vmscm_put_le32(p + 16, 0);
    vmscm_put_le64(p + 24, at);
    vmscm_put_le64(p + 72, g->entries);
    vmscm_put_le32(p + 80, g->count);
    vmscm_put_le32(p + 84, g->size);
    if (g->entries < g->m.dev.size / g->sector && len <= g->m.dev.size - g->entries * g->sector)
        vmscm_put_le32(
            p + 88, vmscm_checksum_crc32(g->m.bytes + g->entries * g->sector, (size_t)len));
    vmscm_put_le32(p + 16, vmscm_checksum_crc32(p, g->header_size <= 4096 ? g->header_size : 4096));
    return p;
}

static void gpt_init(struct gpt *g, uint32_t sector)
{
    *g = (struct gpt){
        .sector = sector, .count = 8, .size = 128, .header_size = 92, .entries = 2};
    assert_true(memdev_init(&g->m, SIZE));
    slot(&g->m, 0, 0, 0xee, 1, 0xffffffff);
    slot(&g->m, 0, 1, 0x83, 100, 100); /* a hybrid's: the GPT has it, or it is not there */
    entry(g, 2, 0, 40, 49);
    entry(g, 2, 5, 60, 60);
    entry(g, 2, 7, 70, UINT64_MAX); /* ends with the disk */
    entry(g, 2, 1, 0, 10);
    entry(g, 2, 2, 11, 10);
    entry(g, 2, 3, UINT64_MAX, UINT64_MAX);
    entry(g, 2, 4, SIZE / sector, SIZE / sector);
}

static void test_gpt(void **state)
{
    (void)state;
    for (uint32_t sector = 512; sector <= 4096; sector *= 8) {
        uint64_t want[][3] = {{1, 40, 10}, {6, 60, 1}, {8, 70, SIZE / sector - 70}};
        uint64_t last = SIZE / sector - 1;
        struct gpt g;
        gpt_init(&g, sector);
        header(&g, 1);
        expect(&g.m, sector, 3, want);
        /* Broken, and the other one is read, whose entries are elsewhere. */
        g.m.bytes[2 * sector] ^= 1;
        refuse(&g.m, VMSCM_EINPUT, "neither of its GPTs");
        g.entries = last - 2;
        entry(&g, g.entries, 1, 50, 51);
        header(&g, last);
        const uint64_t other[][3] = {{2, 50, 2}};
        expect(&g.m, sector, 1, other);
        /* Its place is not what it says: a copy of something else. */
        vmscm_put_le64(g.m.bytes + last * sector + 24, 1);
        refuse(&g.m, VMSCM_EINPUT, "neither of its GPTs");
        vmscm_blockdev_close(&g.m.dev);
    }
}

static void test_gpt_hostile(void **state)
{
    static const uint32_t sizes[] = {0, 91, 513, UINT32_MAX}, strides[] = {0, 1, 127, 129, UINT32_MAX};
    static const uint64_t places[] = {SECTORS, SECTORS - 1, UINT64_MAX, UINT64_MAX / 512 + 1};
    const uint64_t want[][3] = {{1, 40, 10}, {6, 60, 1}, {8, 70, SECTORS - 70}};
    struct gpt g;

    (void)state;
    gpt_init(&g, SECTOR);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        g.header_size = sizes[i];
        header(&g, 1);
        refuse(&g.m, VMSCM_EINPUT, "neither");
    }
    g.header_size = 512;
    header(&g, 1);
    expect(&g.m, SECTOR, 3, want);
    for (size_t i = 0; i < sizeof strides / sizeof *strides; i++) {
        g.size = strides[i];
        header(&g, 1);
        refuse(&g.m, VMSCM_EINPUT, "neither");
    }
    g.size = 128;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        g.entries = places[i];
        header(&g, 1);
        refuse(&g.m, VMSCM_EINPUT, "neither");
    }
    g.entries = 2;
    g.count = UINT32_MAX;
    header(&g, 1);
    refuse(&g.m, VMSCM_EINPUT, "neither");
    /* All of them, but more bytes than are ever read. */
    g.count = VMSCM_PARTTABLE_BYTES_MAX / 128 + 1;
    header(&g, 1);
    refuse(&g.m, VMSCM_EINPUT, "neither");
    g.count = 0;
    header(&g, 1);
    expect(&g.m, SECTOR, 0, NULL);
    g.count = 8;
    header(&g, 1);
    g.m.bad = 2 * SECTOR;
    refuse(&g.m, VMSCM_EDAMAGED, "bad at");
    vmscm_blockdev_close(&g.m.dev);
    /* Too small for another one. */
    assert_true(memdev_init(&g.m, SECTOR));
    slot(&g.m, 0, 0, 0xee, 1, 1);
    refuse(&g.m, VMSCM_EINPUT, "neither");
    vmscm_blockdev_close(&g.m.dev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_mbr),
        cmocka_unit_test(test_mbr_hostile),
        cmocka_unit_test(test_gpt),
        cmocka_unit_test(test_gpt_hostile),
    };

    return unit_run(tests);
}
