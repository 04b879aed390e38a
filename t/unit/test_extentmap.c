/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "unit.h"

#include "image/extentmap.h"
#include "image/qemumap.h"
#include "image/vhdxmap.h"

#include <sys/mman.h>
#include <unistd.h>

static void test_extentmap(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_extentmap map = {0};
    struct vmscm_extent e;

    (void)state;
#define ADD(start, length, kind, file, offset)                                                     \
    vmscm_extentmap_add(&map,                                                                      \
        &(struct vmscm_extent){start, length, VMSCM_EXTENT_##kind, file, offset}, 1000000, &err)
    assert_done(ADD(0, 100, ZERO, 0, 0), &err);
    assert_done(ADD(100, 100, ZERO, 3, 77), &err);
    assert_done(ADD(200, 100, FILE, 1, 5000), &err);
    assert_done(ADD(300, 100, FILE, 1, 5100), &err); /* goes on */
    assert_done(ADD(400, 100, FILE, 2, 5200), &err);
    assert_done(ADD(500, 100, FILE, 2, 5200), &err); /* the same again: does not go on */
    assert_done(ADD(600, 100, FILE, 2, UINT64_MAX - 10), &err);
    assert_done(ADD(700, 100, FILE, 300, 0), &err);
    assert_done(ADD(800, 100, INDIRECT, 0, 0), &err);
    assert_int_equal(map.runs.len, 5);
    assert_fails(ADD(800, 100, ZERO, 0, 0), &err, VMSCM_EINPUT, "out of order");
    assert_fails(ADD(901, 100, ZERO, 0, 0), &err, VMSCM_EINPUT, "out of order");
    assert_fails(ADD(900, 0, ZERO, 0, 0), &err, VMSCM_EINPUT, "out of order");
    assert_fails(ADD(900, 999101, ZERO, 0, 0), &err, VMSCM_EINPUT, "too long");
    assert_fails(ADD(900, UINT64_MAX, ZERO, 0, 0), &err, VMSCM_EINPUT, "too long");
    assert_done(ADD(900, 999100, ZERO, 0, 0), &err);
    vmscm_extentmap_find(&map, 150, &e);
    assert_int_equal(e.kind, VMSCM_EXTENT_ZERO);
    assert_int_equal(e.length, 50);
    vmscm_extentmap_find(&map, 350, &e);
    assert_int_equal(e.kind, VMSCM_EXTENT_FILE);
    assert_int_equal(e.file, 1);
    assert_int_equal(e.offset, 5150);
    assert_int_equal(e.length, 50);
    vmscm_extentmap_find(&map, 500, &e);
    assert_int_equal(e.file, 2);
    assert_int_equal(e.offset, 5200);
    vmscm_extentmap_find(&map, 600, &e);
    assert_int_equal(e.kind, VMSCM_EXTENT_INDIRECT);
    assert_int_equal(e.length, 300);
    vmscm_extentmap_find(&map, 999999, &e);
    assert_int_equal(e.kind, VMSCM_EXTENT_ZERO);
    assert_int_equal(e.length, 1);
    assert_true(vmscm_extentmap_has(&map, VMSCM_EXTENT_INDIRECT));
    vmscm_extentmap_release(&map);
    assert_false(vmscm_extentmap_has(&map, VMSCM_EXTENT_INDIRECT));
}

/* What is on top is seen, and through its gaps what is below, as far as that reaches. */
static void test_over(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_extentmap top = {0}, below = {0}, out = {0};
    static const struct vmscm_extent upper[] = {{0, 100, VMSCM_EXTENT_BELOW, 0, 0},
        {100, 50, VMSCM_EXTENT_FILE, 0, 4096}, {150, 50, VMSCM_EXTENT_ZERO, 0, 0},
        {200, 300, VMSCM_EXTENT_BELOW, 0, 0}};
    static const struct vmscm_extent lower[] = {
        {0, 60, VMSCM_EXTENT_ZERO, 0, 0}, {60, 240, VMSCM_EXTENT_FILE, 1, 512}};
    struct vmscm_extent e;

    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_done(vmscm_extentmap_add(&top, &upper[i], 500, &err), &err);
    for (size_t i = 0; i < 2; i++)
        assert_done(vmscm_extentmap_add(&below, &lower[i], 300, &err), &err);
    assert_done(vmscm_extentmap_over(&out, &top, &below, 500, &err), &err);
    assert_int_equal(out.end, 500);
    assert_int_equal(out.runs.len, 6);
    vmscm_extentmap_find(&out, 59, &e);
    assert_int_equal(e.kind, VMSCM_EXTENT_ZERO);
    assert_int_equal(e.length, 1);
    vmscm_extentmap_find(&out, 60, &e);
    assert_int_equal(e.file, 1);
    assert_int_equal(e.length, 40);
    vmscm_extentmap_find(&out, 110, &e);
    assert_int_equal(e.file, 0);
    assert_int_equal(e.offset, 4106);
    vmscm_extentmap_find(&out, 200, &e);
    assert_int_equal(e.offset, 512 + 140);
    assert_int_equal(e.length, 100);
    vmscm_extentmap_find(&out, 300, &e);
    assert_int_equal(e.kind, VMSCM_EXTENT_ZERO);
    vmscm_extentmap_release(&out);
    assert_done(vmscm_extentmap_over(&out, &top, NULL, 500, &err), &err);
    assert_false(vmscm_extentmap_has(&out, VMSCM_EXTENT_BELOW));
    vmscm_extentmap_release(&out);
    vmscm_extentmap_release(&top);
    vmscm_extentmap_release(&below);
}

static void test_extentmap_bounded(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_extentmap map = {0};
    int rc = 0;

    (void)state;
    for (uint64_t i = 0; !rc && i < VMSCM_EXTENTMAP_RUNS_MAX; i++) {
        struct vmscm_extent e = {i * 512, 512, i & 1 ? VMSCM_EXTENT_ZERO : VMSCM_EXTENT_FILE, 0, i};
        rc = vmscm_extentmap_add(&map, &e, UINT64_C(1) << 40, &err);
    }
    assert_done(rc, &err);
    struct vmscm_extent more = {map.end, 512, VMSCM_EXTENT_INDIRECT, 0, 0};
    assert_fails(vmscm_extentmap_add(&map, &more, UINT64_C(1) << 40, &err), &err,
        VMSCM_EUNSUPPORTED, "more than");
    vmscm_extentmap_release(&map);
}

static void test_map_lines(void **state)
{
    static const struct vmscm_qemumap_layer layers[2] = {{true, 7}, {false, 0}};
    static const char *const good[] = {
        "[{ \"start\": 0, \"length\": 100, \"depth\": 0, \"present\": true, \"zero\": false, "
        "\"data\": true, \"offset\": 4096},",
        "{ \"start\": 100, \"length\": 100, \"depth\": 1, \"present\": true, \"zero\": false, "
        "\"data\": true, \"offset\": 4096},",
        "{ \"start\": 200, \"length\": 100, \"depth\": 0, \"present\": false, \"zero\": true, "
        "\"data\": false},",
        "{ \"start\": 300, \"length\": 100, \"depth\": 0, \"present\": false, \"zero\": false, "
        "\"data\": false},",
        "{ \"start\": 400, \"length\": 100, \"depth\": 0, \"present\": true, \"zero\": false, "
        "\"data\": true}]",
        "",
    };
    static const char *const bad[] = {"{", "nonsense", "{}", "[1]",
        "{\"start\": 0, \"length\": 1, \"depth\": 2, \"zero\": true, \"data\": false}",
        "{\"start\": 0, \"length\": -1, \"depth\": 0, \"zero\": true, \"data\": false}",
        "{\"start\": 0, \"length\": 1.5, \"depth\": 0, \"zero\": true, \"data\": false}",
        "{\"start\": 0, \"length\": 1, \"depth\": 0, \"zero\": 1, \"data\": false}",
        "{\"start\": 0, \"length\": 99999999999999999999, \"depth\": 0, \"zero\": true, "
        "\"data\": false}",
        "{\"start\": 1, \"length\": 1, \"depth\": 0, \"zero\": true, \"data\": false}",
        "{\"start\": 0, \"length\": 1001, \"depth\": 0, \"zero\": true, \"data\": false}"};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_extentmap map = {0};
    struct vmscm_extent e;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_done(
            vmscm_qemumap_line(&map, good[i], strlen(good[i]), 1000, layers, 2, &err), &err);
    assert_int_equal(map.end, 500);
    vmscm_extentmap_find(&map, 10, &e);
    assert_int_equal(e.kind, VMSCM_EXTENT_FILE);
    assert_int_equal(e.file, 7);
    assert_int_equal(e.offset, 4106);
    vmscm_extentmap_find(&map, 100, &e);
    assert_int_equal(e.kind, VMSCM_EXTENT_INDIRECT);
    vmscm_extentmap_find(&map, 200, &e);
    assert_int_equal(e.kind, VMSCM_EXTENT_ZERO);
    assert_int_equal(e.length, 200);
    vmscm_extentmap_find(&map, 400, &e);
    assert_int_equal(e.kind, VMSCM_EXTENT_INDIRECT);
    vmscm_extentmap_release(&map);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int rc = vmscm_qemumap_line(&map, bad[i], strlen(bad[i]), 1000, layers, 2, &err);
        if (rc != VMSCM_EINPUT || map.runs.len)
            fail_msg("taken: %s", bad[i]);
    }
    vmscm_extentmap_release(&map);
}

/* A VHDX of two blocks of 1 MiB, whose entries in the block table these are. */
static int read_vhdx(struct vmscm_extentmap *map, uint64_t first, uint64_t second,
    struct vmscm_error *err)
{
    static const uint8_t regions[] = "regi\0\0\0\0\2\0\0\0\0\0\0\0"
        "\x66\x77\xc2\x2d\x23\xf6\x00\x42\x9d\x64\x11\x5e\x9b\xfd\x4a\x08"
        "\0\0\x20\0\0\0\0\0\0\0\x10\0\1\0\0\0"
        "\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e"
        "\0\0\x30\0\0\0\0\0\0\0\x10\0\1\0\0\0";
    static const uint8_t metadata[] = "metadata\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
        "\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b\0\0\1";
    static const uint8_t block_size[8] = {0, 0, 0x10, 0, 0, 0, 0, 0};
    static char path[] = "image";
    const struct vmscm_probe probe = {
        .format = VMSCM_PROBE_VHDX, .path = path, .size = 2 << 20};
    const uint64_t table[2] = {first, second};
    int fd = memfd_create("image", MFD_CLOEXEC), rc;

    assert_true(fd >= 0 && ftruncate(fd, 8 << 20) == 0);
    assert_int_equal(pwrite(fd, regions, sizeof regions, 192 << 10), sizeof regions);
    assert_int_equal(pwrite(fd, table, sizeof table, 2 << 20), sizeof table);
    assert_int_equal(pwrite(fd, metadata, sizeof metadata, 3 << 20), sizeof metadata);
    assert_int_equal(pwrite(fd, block_size, sizeof block_size, (3 << 20) + (64 << 10)), 8);
    assert_int_equal(pwrite(fd, "data", 4, (4 << 20) + 8192), 4);
    memset(map, 0, sizeof *map);
    struct vmscm_layermap layer = {map, &probe, {fd, path, 0, 8 << 20}, 0};
    rc = vmscm_vhdxmap_read(&layer, err);
    close(fd);
    return rc;
}

static void test_vhdx(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_extentmap map;
    struct vmscm_extent e;

    (void)state;
    assert_done(read_vhdx(&map, 0, 4 << 20 | 6, &err), &err);
    assert_int_equal(map.end, 2 << 20);
    vmscm_extentmap_find(&map, 0, &e);
    assert_int_equal(e.kind, VMSCM_EXTENT_ZERO);
    assert_int_equal(e.length, (1 << 20) + 8192);
    vmscm_extentmap_find(&map, e.length, &e);
    assert_int_equal(e.kind, VMSCM_EXTENT_FILE);
    assert_int_equal(e.offset, (4 << 20) + 8192);
    vmscm_extentmap_release(&map);
    assert_fails(read_vhdx(&map, UINT64_C(1) << 40 | 6, 0, &err), &err, VMSCM_EINPUT, "truncated");
    vmscm_extentmap_release(&map);
    assert_fails(read_vhdx(&map, UINT64_C(0xfffffffffff00006), 0, &err), &err, VMSCM_EINPUT,
        "truncated");
    vmscm_extentmap_release(&map);
    assert_fails(read_vhdx(&map, 7, 0, &err), &err, VMSCM_EINPUT, "needs a parent");
    vmscm_extentmap_release(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_extentmap),
        cmocka_unit_test(test_over),
        cmocka_unit_test(test_extentmap_bounded),
        cmocka_unit_test(test_map_lines),
        cmocka_unit_test(test_vhdx),
    };
    return unit_run(tests);
}
