/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "unit.h"

#include "image/probe.h"
#include "image/qcow2layout.h"
#include "image/reader.h"
#include "image/writer.h"
#include "images.h"
#include "memdev.h"

#define MIB ((uint64_t)1 << 20)
#define SIZE (40 * MIB + 3 * 512)

/* Data at the start and the end, across clusters of all sizes, and blocks that share one. */
static void make_disk(struct memdev *m)
{
    assert_true(memdev_init(m, SIZE));
    memdev_fill(m->bytes, 100, 1);
    memdev_fill(m->bytes + 3 * MIB - 5000, 10000, 2);
    memdev_fill(m->bytes + 9 * MIB, 4096, 3);
    memdev_fill(m->bytes + 9 * MIB + 12288, 4096, 4);
    memdev_fill(m->bytes + 17 * MIB, (size_t)(6 * MIB), 5);
    memdev_fill(m->bytes + SIZE - 512, 512, 6);
}

static uint64_t count_refcounts(const uint8_t *file, uint64_t blocks_at, uint64_t bytes)
{
    uint64_t count = 0;

    for (uint64_t i = 0; i < bytes / 2; i++) {
        const uint8_t *p = file + blocks_at + 2 * i;
        assert_true(p[0] == 0 && p[1] <= 1);
        count += p[1];
    }
    return count;
}

/* Every run has clusters of its own behind all tables, and every cluster of the file is counted once. */
static void test_places(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct memdev m;

    (void)state;
    make_disk(&m);
    for (unsigned bits = VMSCM_QCOW2LAYOUT_BITS_MIN; bits <= VMSCM_QCOW2LAYOUT_BITS_MAX; bits++) {
        struct vmscm_qcow2layout layout = {0};
        const char *path = in_dir("places.qcow2");
        uint64_t cluster = UINT64_C(1) << bits, len, tables;
        int fd;
        assert_done(
            vmscm_qcow2layout_plan(&layout, &m.dev, SIZE, bits, NULL, NULL, &err), &err);
        tables = 1 + layout.refcount_table_clusters + layout.refcount_blocks +
            layout.l1_clusters + layout.l2_tables;
        uint64_t next = tables;
        for (size_t i = 0; i < layout.runs.len; i++) {
            assert_int_equal(layout.runs.items[i].host, next);
            next += layout.runs.items[i].count;
        }
        assert_int_equal(next, layout.clusters);
        assert_int_equal(vmscm_qcow2layout_find(&layout, 0, &len), tables << bits);
        /* Nothing for a while, whatever the cluster. */
        assert_int_equal(vmscm_qcow2layout_find(&layout, 30 * MIB, &len), 0);
        uint64_t place = vmscm_qcow2layout_find(&layout, 17 * MIB + 4096, &len);
        assert_int_equal(place % cluster, (17 * MIB + 4096) % cluster);
        assert_true(len >= 6 * MIB - 4096 && len <= 6 * MIB - 4096 + cluster);

        assert_done(vmscm_file_open(&fd, path, O_RDWR | O_CREAT | O_TRUNC, 0600, &err), &err);
        assert_int_equal(ftruncate(fd, (off_t)vmscm_qcow2layout_length(&layout)), 0);
        assert_done(vmscm_qcow2layout_write(&layout, fd, path, &err), &err);
        uint8_t *file = malloc((size_t)(tables << bits));
        assert_non_null(file);
        assert_done(vmscm_file_pread(fd, file, (size_t)(tables << bits), 0, path, &err), &err);
        assert_int_equal(
            count_refcounts(file, (1 + layout.refcount_table_clusters) << bits,
                layout.refcount_blocks << bits),
            layout.clusters);
        free(file);
        close(fd);
        vmscm_qcow2layout_release(&layout);
    }
    vmscm_blockdev_close(&m.dev);
}

static int always(void *data)
{
    (void)data;
    return 1;
}

/* 16 TiB, in all of which no block is like the one before. */
static int stripes_extent(struct vmscm_blockdev *dev, uint64_t offset, uint64_t *len, bool *zero,
    struct vmscm_error *err)
{
    (void)dev;
    (void)err;
    *zero = offset >> 12 & 1;
    *len = 4096 - offset % 4096;
    return 0;
}

static void test_limits(void **state)
{
    static const struct vmscm_blockdev_ops ops = {.extent = stripes_extent};
    struct vmscm_blockdev stripes = {&ops, UINT64_C(16) << 40, "stripes", 0, 0};
    struct vmscm_qcow2layout layout = {0};
    struct vmscm_error err = VMSCM_ERROR_INIT;

    (void)state;
    /* L1 would be 64 MiB. */
    assert_int_equal(
        vmscm_qcow2layout_plan(&layout, &stripes, stripes.size, 12, NULL, NULL, &err),
        VMSCM_EUNSUPPORTED);
    assert_int_equal(
        vmscm_qcow2layout_plan(&layout, &stripes, stripes.size, 16, always, NULL, &err),
        VMSCM_ECANCELED);
    vmscm_qcow2layout_release(&layout);
}

static void compare(const struct memdev *m, const char *path)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_probe *probe = NULL;
    struct vmscm_blockdev *dev = NULL;
    uint8_t *bytes = malloc((size_t)SIZE);

    assert_non_null(bytes);
    assert_done(vmscm_probe_open(&probe, path, NULL, 0, &err), &err);
    assert_done(vmscm_reader_open(&dev, probe, 2, false, NULL, &err), &err);
    assert_int_equal(dev->size, SIZE);
    assert_done(vmscm_blockdev_pread(dev, bytes, (size_t)SIZE, 0, &err), &err);
    assert_memory_equal(bytes, m->bytes, (size_t)SIZE);
    vmscm_blockdev_close(dev);
    vmscm_probe_close(probe);
    free(bytes);
}

/* What QEMU sees in it is the disk, and nothing is wrong with it. */
static void test_written(void **state)
{
    static char sizes[][8] = {"4096", "16k", "64k", "512k", "2M"};
    static char size[] = "cluster_size", lazy[] = "lazy_refcounts", on[] = "on", off[] = "off",
                type[] = "compression_type", zlib[] = "zlib", zstd[] = "zstd";
    struct memdev m;

    (void)state;
    NEED_QEMU();
    make_disk(&m);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct vmscm_machine_option list[] = {
            {size, sizes[i]}, {lazy, i % 2 ? on : off}, {type, i % 3 ? zlib : zstd}};
        struct vmscm_writer_options options = {
            .format = VMSCM_PROBE_QCOW2, .options = list, .option_count = 3, .jobs = 2};
        struct vmscm_error err = VMSCM_ERROR_INIT;
        const char *path = in_dir("written.qcow2");
        unlink(path);
        assert_done(vmscm_writer_write(&m.dev, path, &options, NULL, &err), &err);
        RUN("qemu-img", "check", "-q", "-f", "qcow2", path);
        compare(&m, path);
        /* It is made, never written over. */
        assert_int_equal(vmscm_writer_write(&m.dev, path, &options, NULL, &err), VMSCM_EEXIST);
        compare(&m, path);
    }
    vmscm_blockdev_close(&m.dev);
}

/* A source that cannot be read leaves nothing. */
static void test_bad_source(void **state)
{
    struct vmscm_writer_options options = {.format = VMSCM_PROBE_QCOW2, .jobs = 2};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    const char *path = in_dir("bad.qcow2");
    struct memdev m;

    (void)state;
    make_disk(&m);
    m.bad = 18 * MIB;
    assert_int_equal(vmscm_writer_write(&m.dev, path, &options, NULL, &err), VMSCM_EDAMAGED);
    assert_false(vmscm_file_exists(path));
    vmscm_blockdev_close(&m.dev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_places, images_setup, images_teardown),
        cmocka_unit_test(test_limits),
        cmocka_unit_test_setup_teardown(test_written, images_setup, images_teardown),
        cmocka_unit_test_setup_teardown(test_bad_source, images_setup, images_teardown),
    };

    return unit_run(tests);
}
