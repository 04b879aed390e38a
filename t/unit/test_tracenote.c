/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/format/tracenote: boot traces as lines of a note, and lines that are none. */
#include "format/tracenote.h"
#include "unit.h"

static int decode(struct vmscm_tracenote *note, const char *line)
{
    return vmscm_tracenote_decode(note, line, strlen(line), NULL);
}

static void test_round_trip(void **state)
{
    static const char line[] = "2 1764547200 :vda 0+3 10 a2+10 :vdb 0 :vda 5";
    struct vmscm_tracenote note;
    struct vmscm_buf buf = VMSCM_BUF_INIT;

    (void)state;
    assert_int_equal(decode(&note, line), 0);
    assert_int_equal(note.time, 1764547200);
    assert_int_equal(note.disks.len, 2);
    assert_string_equal(note.disks.items[1], "vdb");
    assert_int_equal(note.places.len, 5);
    assert_int_equal(note.places.items[2].first, 0xa2);
    assert_int_equal(note.places.items[2].count, 16);
    assert_int_equal(note.places.items[3].disk, 1);
    assert_int_equal(note.places.items[4].disk, 0);
    assert_int_equal(note.units, 3 + 1 + 16 + 1 + 1);
    assert_int_equal(vmscm_tracenote_encode(&buf, &note, NULL), 0);
    assert_string_equal(vmscm_buf_str(&buf), line);
    vmscm_buf_release(&buf);
    vmscm_tracenote_release(&note);
}

static void test_neighbours_join(void **state)
{
    struct vmscm_tracenote note = {.time = 7};
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    uint32_t vda, vdb;

    (void)state;
    assert_int_equal(vmscm_tracenote_disk(&vda, &note, "vda", NULL), 0);
    assert_int_equal(vmscm_tracenote_disk(&vdb, &note, "vdb", NULL), 0);
    assert_int_equal(vmscm_tracenote_disk(&vda, &note, "vda", NULL), 0);
    assert_int_equal(vda, 0);
    assert_int_equal(vmscm_tracenote_add(&note, vda, 4, 1, NULL), 0);
    assert_int_equal(vmscm_tracenote_add(&note, vda, 5, 2, NULL), 0);
    assert_int_equal(vmscm_tracenote_add(&note, vdb, 7, 1, NULL), 0);
    assert_int_equal(vmscm_tracenote_add(&note, vda, 7, 1, NULL), 0);
    assert_int_equal(vmscm_tracenote_encode(&buf, &note, NULL), 0);
    assert_string_equal(vmscm_buf_str(&buf), "2 7 :vda 4+3 :vdb 7 :vda 7");
    vmscm_buf_release(&buf);
    vmscm_tracenote_release(&note);
}

/* Its units are of 64 KiB. */
static void test_version_1(void **state)
{
    struct vmscm_tracenote note;
    struct vmscm_buf buf = VMSCM_BUF_INIT;

    (void)state;
    assert_int_equal(decode(&note, "1 7 :vda 0+3 10 :vdb 3fffffffffff"), 0);
    assert_int_equal(note.units, 5 * 16);
    assert_int_equal(vmscm_tracenote_encode(&buf, &note, NULL), 0);
    assert_string_equal(vmscm_buf_str(&buf), "2 7 :vda 0+30 100+10 :vdb 3fffffffffff0+10");
    assert_true(buf.len <= note.length);
    vmscm_buf_release(&buf);
    vmscm_tracenote_release(&note);
}

static void test_malformed(void **state)
{
    static const char *const lines[] = {"", "1", "1 ", "1 5", "x 5 :a 0", "1 x :a 0", "1 5 0",
        "1 5 :a", "1 5 :a ", "1 5  :a 0", "1 5 :a 0 ", "1 5 : 0", "1 5 :a g", "1 5 :a 0+",
        "1 5 :a 0+0", "1 5 :a 0+1", "1 5 :a 00", "1 5 :a A", "1 5 :a 0+10001", "1 5 :a -1",
        "1 05 :a 0", "1 5 :a 400000000000", "1 5 :a 3fffffffffff+2", "1 5 :a 0123456789abcdef01",
        "1 5 :a 0+ffff 20000+2", "1 253402300800 :a 0", "01 5 :a 0", "1 5 :a\t 0", "1 5 :\xc3\xa4 0",
        "1 5 :aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 0", "2 5 :a 0+100001",
        "2 5 :a 4000000000000", "2 5 :a 3ffffffffffff+2", "2 5 :a 0+fffff 200000+2"};
    struct vmscm_tracenote note;

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        if (decode(&note, lines[i]) != VMSCM_EINPUT)
            fail_msg("accepted: '%s'", lines[i]);
        assert_null(note.places.items);
    }
    assert_int_equal(vmscm_tracenote_decode(&note, "1 5 :a 0\0", 9, NULL), VMSCM_EINPUT);
    assert_int_equal(decode(&note, "3 whatever"), VMSCM_EUNSUPPORTED);
}

static void test_too_much(void **state)
{
    struct vmscm_tracenote note = {0};
    char id[16];
    uint32_t disk;

    (void)state;
    for (unsigned i = 0; i < VMSCM_TRACENOTE_DISKS_MAX; i++) {
        snprintf(id, sizeof id, "d%u", i);
        assert_int_equal(vmscm_tracenote_disk(&disk, &note, id, NULL), 0);
    }
    assert_int_equal(vmscm_tracenote_disk(&disk, &note, "more", NULL), VMSCM_EINPUT);
    assert_int_equal(vmscm_tracenote_disk(&disk, &note, "d3", NULL), 0);
    assert_int_equal(vmscm_tracenote_disk(&disk, &note, "a b", NULL), VMSCM_EINPUT);
    assert_int_equal(vmscm_tracenote_add(&note, 0, 0, VMSCM_TRACENOTE_UNITS_MAX, NULL), 0);
    assert_int_equal(vmscm_tracenote_add(&note, 0, 1 << 20, 1, NULL), VMSCM_EINPUT);
    vmscm_tracenote_release(&note);
}

/* Places that lie apart, of disks by turns, until no more fit: the line can be read again. */
static void test_too_long(void **state)
{
    struct vmscm_tracenote note = {.time = VMSCM_TRACENOTE_TIME_MAX}, again;
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    uint32_t disk, other;
    uint64_t n = 0;

    (void)state;
    assert_int_equal(vmscm_tracenote_disk(&disk, &note, "a-name-that-is-longer-than-most", NULL), 0);
    assert_int_equal(vmscm_tracenote_disk(&other, &note, "b", NULL), 0);
    while (!vmscm_tracenote_add(&note, n % 2 ? disk : other, VMSCM_TRACENOTE_FIRST_MAX - 2 - 2 * n, 2, NULL))
        n++;
    assert_in_range(n, 10000, VMSCM_TRACENOTE_UNITS_MAX / 2 - 1);
    assert_int_equal(vmscm_tracenote_encode(&buf, &note, NULL), 0);
    assert_in_range(buf.len, VMSCM_TRACENOTE_LINE_MAX / 2, note.length + 32);
    assert_int_equal(vmscm_tracenote_decode(&again, (const char *)buf.data, buf.len, NULL), 0);
    assert_int_equal(again.places.len, n);
    vmscm_buf_release(&buf);
    vmscm_tracenote_release(&again);
    vmscm_tracenote_release(&note);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_neighbours_join),
        cmocka_unit_test(test_version_1),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_too_much),
        cmocka_unit_test(test_too_long),
    };

    return unit_run(tests);
}
