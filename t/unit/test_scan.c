/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/repo/scan, segment: a disk of which it is known what changed gets the very map that reading
 * all of it gives, and little more than the changes is read. */
#include "image/changes.h"
#include "memdev.h"
#include "repo/scan.h"
#include "store/fetch.h"
#include "storedir.h"
#include "sys/file.h"

#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 4096u
#define MIB (1u << 20)

static uint64_t random_below(uint64_t *x, uint64_t n)
{
    *x ^= *x << 13, *x ^= *x >> 7, *x ^= *x << 17;
    return *x % n;
}

/* The map of a device; base and changes may be NULL. */
static void scan(struct vmscm_map *map, struct vmscm_blockdev *dev, const struct vmscm_map *base,
    const struct vmscm_changes *changes, unsigned jobs, struct vmscm_scan_counts *counts)
{
    struct vmscm_scan_disk disk = {.dev = dev, .name = "a", .changes = changes, .base = base};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_ingest_counts stored;
    struct vmscm_ingest *ingest = NULL;
    struct vmscm_store *store = NULL;

    assert_done(vmscm_store_open(&store, dir, &err), &err);
    assert_done(vmscm_ingest_open(&ingest, store, dir, 1, NULL, &err), &err);
    assert_done(vmscm_scan_run(&disk, 1, ingest, store, jobs, NULL, counts, &err), &err);
    assert_done(vmscm_ingest_finish(ingest, &stored, &err), &err);
    vmscm_store_close(store);
    *map = disk.map;
}

static void assert_same_map(const struct vmscm_map *a, const struct vmscm_map *b)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf x = VMSCM_BUF_INIT, y = VMSCM_BUF_INIT;

    assert_done(vmscm_map_encode(&x, a, &err), &err);
    assert_done(vmscm_map_encode(&y, b, &err), &err);
    assert_int_equal(x.len, y.len);
    assert_memory_equal(x.data, y.data, x.len);
    vmscm_buf_release(&x);
    vmscm_buf_release(&y);
}

/* Which bytes were written, as a bitmap of granularity g tells. */
struct tracker {
    uint8_t *dirty;
    uint64_t size;
    uint32_t g;
};

static void track(struct tracker *t, uint64_t offset, uint64_t len)
{
    for (uint64_t i = offset / t->g; i <= (offset + len - 1) / t->g; i++)
        t->dirty[i] = 1;
}

static void tracked(struct vmscm_changes *changes, const struct tracker *t)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;

    for (uint64_t i = 0; i * t->g < t->size; i++) {
        uint64_t len = t->size - i * t->g < t->g ? t->size - i * t->g : t->g;
        if (t->dirty[i])
            assert_done(vmscm_changes_add(changes, i * t->g, len, &err), &err);
    }
}

/* Random writes of every kind that matters to the cutter: noise, zeros, copies of other places,
 * and bytes that are written but stay the same. */
static void write_some(struct memdev *m, struct tracker *t, uint64_t *x)
{
    unsigned count = 1 + (unsigned)random_below(x, 12);

    for (unsigned i = 0; i < count; i++) {
        uint64_t most = random_below(x, 4) ? 3 * BLOCK : 900 * 1024;
        uint64_t len = 1 + random_below(x, most), from;
        uint64_t at = random_below(x, m->dev.size);
        if (random_below(x, 2)) {
            at &= ~(uint64_t)(BLOCK - 1);
            len = (len + BLOCK - 1) & ~(uint64_t)(BLOCK - 1);
        }
        if (len > m->dev.size - at)
            len = m->dev.size - at;
        switch (random_below(x, 4)) {
        case 0:
            memset(m->bytes + at, 0, len);
            break;
        case 1:
            from = random_below(x, m->dev.size - len + 1);
            memmove(m->bytes + at, m->bytes + from, len);
            break;
        case 2:
            break;
        default:
            memdev_fill(m->bytes + at, len, *x);
        }
        track(t, at, len);
    }
}

static void test_same_map_as_reading_all(void **state)
{
    static const uint64_t sizes[] = {64 * MIB, 40 * MIB + 3 * BLOCK, 33 * MIB + 1000, 5000};
    static const uint32_t granularities[] = {512, 4096, 16384, 65536};
    uint64_t x = 88172645463325252;

    (void)state;
    for (unsigned round = 0; round < 48; round++) {
        struct vmscm_changes changes = {0};
        struct vmscm_scan_counts counts;
        struct vmscm_map base = {0}, known = {0}, all = {0};
        struct memdev m;
        uint64_t size = sizes[round % 4];
        struct tracker t = {.size = size, .g = granularities[round / 4 % 4]};
        assert_true(memdev_init(&m, size));
        assert_non_null(t.dirty = calloc(1, size / t.g + 1));
        for (uint64_t at = 0; at < size; at += MIB) {
            uint64_t len = size - at < MIB ? size - at : random_below(&x, MIB);
            if (at / (16 * MIB) != 1 && random_below(&x, 3))
                memdev_fill(m.bytes + at, len, x);
        }
        scan(&base, &m.dev, NULL, NULL, 2, &counts);
        /* Several check-ins, one after the other. */
        for (unsigned step = 0; step < 3; step++) {
            memset(t.dirty, 0, size / t.g + 1);
            write_some(&m, &t, &x);
            tracked(&changes, &t);
            scan(&known, &m.dev, &base, &changes, 1 + round % 3, &counts);
            scan(&all, &m.dev, NULL, NULL, 2, &counts);
            assert_same_map(&known, &all);
            vmscm_map_release(&base);
            vmscm_map_release(&all);
            base = known;
            known = (struct vmscm_map){0};
            vmscm_changes_release(&changes);
        }
        vmscm_map_release(&base);
        free(t.dirty);
        vmscm_blockdev_close(&m.dev);
    }
}

/* Reads are counted. */
static uint64_t bytes_read;

static int counting_pread(struct vmscm_blockdev *dev, void *data, size_t len, uint64_t offset,
    struct vmscm_error *err)
{
    __atomic_add_fetch(&bytes_read, len, __ATOMIC_RELAXED);
    return memdev_pread(dev, data, len, offset, err);
}

static void test_reads_only_around_changes(void **state)
{
    static const struct vmscm_blockdev_ops counting = {
        .pread = counting_pread, .extent = memdev_extent, .close = memdev_close};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_changes changes = {0};
    struct vmscm_scan_counts counts;
    struct vmscm_map base = {0}, known = {0};
    struct memdev m;

    (void)state;
    assert_true(memdev_init(&m, 128 * MIB));
    memdev_fill(m.bytes, 128 * MIB, 7);
    m.dev.ops = &counting;
    scan(&base, &m.dev, NULL, NULL, 2, &counts);
    assert_true(bytes_read >= 128 * MIB);
    bytes_read = 0;
    scan(&known, &m.dev, &base, &changes, 2, &counts);
    assert_int_equal(bytes_read, 0);
    assert_same_map(&known, &base);
    vmscm_map_release(&known);
    /* Eight changed blocks: each costs its chunk, and the way back to a cut of the base. */
    for (unsigned i = 0; i < 8; i++) {
        uint64_t at = i * 16 * MIB + 5 * MIB;
        memdev_fill(m.bytes + at, BLOCK, 1000 + i);
        assert_done(vmscm_changes_add(&changes, at, BLOCK, &err), &err);
    }
    scan(&known, &m.dev, &base, &changes, 2, &counts);
    assert_true(bytes_read >= 8 * BLOCK && bytes_read <= 8 * MIB);
    vmscm_map_release(&known);
    vmscm_map_release(&base);
    vmscm_changes_release(&changes);
    vmscm_blockdev_close(&m.dev);
}

/* Leaves of the base that are gone: their segments are read whole, and are there again. */
static void test_base_without_leaves(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_changes changes = {0};
    struct vmscm_scan_counts counts;
    struct vmscm_map base = {0}, known = {0}, all = {0};
    struct memdev m;
    char packs[64];

    (void)state;
    assert_true(memdev_init(&m, 20 * MIB));
    memdev_fill(m.bytes, 20 * MIB, 9);
    scan(&base, &m.dev, NULL, NULL, 2, &counts);
    snprintf(packs, sizeof packs, "%s/packs", dir);
    assert_done(vmscm_file_remove_tree(packs, &err), &err);
    assert_int_equal(mkdir(packs, 0777), 0);
    memdev_fill(m.bytes + MIB, 100, 10);
    assert_done(vmscm_changes_add(&changes, MIB, 100, &err), &err);
    assert_done(vmscm_changes_add(&changes, 17 * MIB, 1, &err), &err);
    scan(&known, &m.dev, &base, &changes, 1, &counts);
    assert_int_equal(counts.read, 20 * MIB);
    scan(&all, &m.dev, NULL, NULL, 1, &counts);
    assert_same_map(&known, &all);
    vmscm_map_release(&known);
    vmscm_map_release(&all);
    vmscm_map_release(&base);
    vmscm_changes_release(&changes);
    vmscm_blockdev_close(&m.dev);
}

static void test_changes(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_changes c = {0};

    (void)state;
    assert_true(vmscm_changes_next(&c, 0) == UINT64_MAX);
    assert_done(vmscm_changes_add(&c, 100, 10, &err), &err);
    assert_done(vmscm_changes_add(&c, 110, 5, &err), &err);
    assert_done(vmscm_changes_add(&c, 200, 1, &err), &err);
    assert_int_equal(c.runs.len, 2);
    assert_true(vmscm_changes_total(&c) == 16);
    assert_true(vmscm_changes_next(&c, 0) == 100);
    assert_true(vmscm_changes_next(&c, 114) == 114);
    assert_true(vmscm_changes_next(&c, 115) == 200);
    assert_true(vmscm_changes_next(&c, 201) == UINT64_MAX);
    assert_fails(vmscm_changes_add(&c, 150, 1, &err), &err, VMSCM_EINPUT, "out of order");
    assert_fails(vmscm_changes_add(&c, 300, 0, &err), &err, VMSCM_EINPUT, "too long");
    assert_fails(vmscm_changes_add(&c, 300, UINT64_MAX, &err), &err, VMSCM_EINPUT, "too long");
    vmscm_changes_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes),
        cmocka_unit_test_setup_teardown(test_same_map_as_reading_all, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reads_only_around_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_base_without_leaves, setup, teardown),
    };

    return unit_run(tests);
}
