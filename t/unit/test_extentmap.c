/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "unit.h"

#include "image/extentmap.h"
#include "image/qemumap.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_extentmap),
        cmocka_unit_test(test_extentmap_bounded),
        cmocka_unit_test(test_map_lines),
    };
    return unit_run(tests);
}
