/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/format/leaf and map against vmscm-format-leaf(5); the rules are named where they are held. */
#include "base/endian.h"
#include "formats.h"
#include "format/leaf.h"
#include "format/map.h"

#define BLOCK VMSCM_LEAF_BLOCK

static void add(struct vmscm_leaf *leaf, uint32_t length, uint64_t id)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_id chunk = make_id(id);

    assert_done(vmscm_leaf_add(leaf, length, id ? &chunk : NULL, &err), &err);
}

/* Three blocks of chunk 1, two of zeros told in two pieces, one and a bit of chunk 2. */
static void make_sample(struct vmscm_leaf *leaf)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    bool zero;

    assert_done(vmscm_leaf_begin(leaf, &err), &err);
    add(leaf, 3 * BLOCK, 1);
    add(leaf, BLOCK, 0);
    add(leaf, BLOCK, 0);
    add(leaf, BLOCK + 512, 2);
    vmscm_leaf_finish(leaf, &zero);
    assert_false(zero);
}

static void leaf_layout(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_leaf leaf = {0};
    struct vmscm_leaf_entry *list = NULL;
    struct vmscm_id one = make_id(1), two = make_id(2);
    size_t count;
    uint32_t length;

    (void)state;
    make_sample(&leaf);
    const uint8_t *p = leaf.bytes.data;
    assert_int_equal(leaf.bytes.len, 16 + 34 + 2 + 34);
    assert_memory_equal(p, "VLEF\1\1\14\0", 8); /* L3 */
    assert_int_equal(vmscm_get_le32(p + 8), 6 * BLOCK + 512);
    assert_int_equal(vmscm_get_le32(p + 12), 3); /* L7: neighbouring zeros are one entry */
    assert_memory_equal(p + 16, "\3\x80", 2); /* L4 */
    assert_memory_equal(p + 18, one.bytes, 32);
    assert_memory_equal(p + 50, "\2\0", 2);
    assert_memory_equal(p + 52, "\2\x80", 2); /* L5: a short last block counts */
    assert_memory_equal(p + 54, two.bytes, 32);

    assert_done(vmscm_leaf_decode(&list, &count, &length, p, leaf.bytes.len, &err), &err);
    assert_int_equal(length, 6 * BLOCK + 512);
    assert_int_equal(count, 3);
    assert_int_equal(list[1].offset, 3 * BLOCK);
    assert_int_equal(list[1].length, 2 * BLOCK);
    assert_true(list[1].zero && !list[0].zero && !list[2].zero);
    assert_int_equal(list[2].length, BLOCK + 512);
    assert_memory_equal(&list[2].id, &two, sizeof two);
    free(list);
    vmscm_leaf_release(&leaf);
}

/* What is not refused tiles its segment and, encoded again, gives the very bytes: no two leaves mean
 * the same, and no other bytes than a leaf's own have its id. Returns whether it was accepted. */
static bool leaf_is_canonical(const uint8_t *bytes, size_t len)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_leaf_entry *list = NULL;
    struct vmscm_leaf again = {0};
    size_t count = 0;
    uint32_t length = 0, at = 0;
    bool zero;

    if (vmscm_leaf_decode(&list, &count, &length, bytes, len, &err)) {
        assert_null(list);
        assert_true(err.code == VMSCM_EDAMAGED || err.code == VMSCM_EUNSUPPORTED);
        assert_true(err.message[0]);
        return false;
    }
    assert_done(vmscm_leaf_begin(&again, &err), &err);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(list[i].offset, at);
        assert_true(list[i].length > 0);
        assert_done(
            vmscm_leaf_add(&again, list[i].length, list[i].zero ? NULL : &list[i].id, &err), &err);
        at += list[i].length;
    }
    assert_int_equal(at, length);
    assert_in_range(length, 1, VMSCM_LEAF_SEGMENT);
    vmscm_leaf_finish(&again, &zero);
    assert_int_equal(again.bytes.len, len);
    assert_memory_equal(again.bytes.data, bytes, len);
    vmscm_leaf_release(&again);
    free(list);
    return true;
}

static void damaged_leaf(const uint8_t *bytes, size_t len, void *data)
{
    struct vmscm_leaf *leaf = data;
    bool accepted = leaf_is_canonical(bytes, len);

    /* Only an id or the bytes of the last block can change unseen here: the leaf's id tells. */
    if (accepted)
        assert_int_equal(len, leaf->bytes.len);
    if (accepted && memcmp(bytes, leaf->bytes.data, 8) != 0)
        fail_msg("a leaf with another header is accepted");
}

static void leaf_damage(void **state)
{
    struct vmscm_leaf leaf = {0};

    (void)state;
    make_sample(&leaf);
    assert_true(leaf_is_canonical(leaf.bytes.data, leaf.bytes.len));
    each_damage(leaf.bytes.data, leaf.bytes.len, damaged_leaf, &leaf); /* L3, L6 */
    vmscm_leaf_release(&leaf);
}

/* One leaf from its parts: length, count and entry words; chunk entries get an id each. */
static int decode_words(uint32_t length, uint32_t count, const uint16_t *words, size_t n)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_leaf_entry *list = NULL;
    struct vmscm_leaf leaf = {0};
    size_t entries;

    assert_done(vmscm_leaf_begin(&leaf, &err), &err);
    vmscm_put_le32(leaf.bytes.data + 8, length);
    vmscm_put_le32(leaf.bytes.data + 12, count);
    for (size_t i = 0; i < n; i++) {
        struct vmscm_id id = make_id(i + 1);
        assert_done(vmscm_buf_put16(&leaf.bytes, words[i], &err), &err);
        if (words[i] & 0x8000)
            assert_done(vmscm_buf_append(&leaf.bytes, id.bytes, sizeof id.bytes, &err), &err);
    }
    int rc = vmscm_leaf_decode(&list, &entries, &length, leaf.bytes.data, leaf.bytes.len, &err);
    free(list);
    vmscm_leaf_release(&leaf);
    return rc;
}

static void leaf_bounds(void **state)
{
    static const struct {
        uint32_t length, count;
        uint16_t words[3];
        size_t n;
        bool good;
    } t[] = {
        {16u << 20, 1, {0x1000}, 1, true}, /* a segment of zeros: never stored, but readable */
        {16u << 20, 2, {0x8100, 0x0f00}, 2, true},
        {(16u << 20) + 1, 1, {0x1000}, 1, false}, /* L6: longer than a segment */
        {1u << 20, 1, {0x8100}, 1, true},         /* L4: the longest chunk */
        {2u << 20, 1, {0x8101}, 1, false},
        {2u << 20, 1, {0xffff}, 1, false},
        {0, 0, {0}, 0, false},
        {BLOCK, 0, {0}, 0, false},
        {BLOCK, 1, {0}, 1, false},
        {BLOCK, 1, {0x8000}, 1, false},
        {BLOCK, 1, {0x7fff}, 1, false},
        {2 * BLOCK, 2, {1, 1}, 2, false}, /* L7 */
        {2 * BLOCK, 2, {1, 0x8001}, 2, true},
        {2 * BLOCK, 2, {0x8001, 0x8001}, 2, true},
        {2 * BLOCK, 1, {0x8001}, 1, false},            /* ends early */
        {2 * BLOCK, 2, {0x8002, 0x8001}, 2, false},    /* too long */
        {2 * BLOCK, 1, {0x8002, 0x8001}, 2, false},    /* something behind it */
        {2 * BLOCK, 3, {0x8001, 0x8001}, 2, false},    /* one missing */
        {2 * BLOCK, UINT32_MAX, {0x8001, 0x8001}, 2, false},
        {BLOCK + 1, 1, {0x8002}, 1, true}, /* L5 */
        {BLOCK + 1, 2, {0x8001, 0x8001}, 2, true},
        {BLOCK + 1, 1, {0x8001}, 1, false},
        {1, 1, {0x8001}, 1, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        int rc = decode_words(t[i].length, t[i].count, t[i].words, t[i].n);
        if (rc != (t[i].good ? 0 : VMSCM_EDAMAGED))
            fail_msg("case %zu: %s", i, vmscm_error_name(rc));
    }
}

static void leaf_writer_refuses(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_leaf leaf = {0};
    struct vmscm_id id = make_id(1);
    bool zero;

    (void)state;
    assert_done(vmscm_leaf_begin(&leaf, &err), &err);
    assert_int_equal(vmscm_leaf_add(&leaf, 0, &id, &err), VMSCM_EUSAGE);
    assert_int_equal(vmscm_leaf_add(&leaf, UINT32_MAX, NULL, &err), VMSCM_EUSAGE);
    assert_int_equal(vmscm_leaf_add(&leaf, (1u << 20) + 1, &id, &err), VMSCM_EUSAGE);
    add(&leaf, VMSCM_LEAF_SEGMENT - BLOCK - 1, 0);
    assert_int_equal(vmscm_leaf_add(&leaf, 1, NULL, &err), VMSCM_EUSAGE); /* after a part block */
    vmscm_leaf_finish(&leaf, &zero);
    assert_true(zero); /* L8 */
    assert_done(vmscm_leaf_begin(&leaf, &err), &err);
    add(&leaf, VMSCM_LEAF_SEGMENT, 0);
    assert_int_equal(vmscm_leaf_add(&leaf, 1, NULL, &err), VMSCM_EUSAGE);
    vmscm_leaf_release(&leaf);
}

/* The largest leaf there can be: a chunk a block. */
static void largest_leaf(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_leaf leaf = {0};
    bool zero;

    (void)state;
    assert_done(vmscm_leaf_begin(&leaf, &err), &err);
    for (uint32_t i = 0; i < VMSCM_LEAF_BLOCKS; i++)
        add(&leaf, BLOCK, i + 1);
    vmscm_leaf_finish(&leaf, &zero);
    assert_int_equal(leaf.bytes.len, 139280); /* L6 */
    assert_int_equal(leaf.bytes.len, VMSCM_LEAF_SIZE_MAX);
    assert_true(leaf_is_canonical(leaf.bytes.data, leaf.bytes.len));
    vmscm_leaf_release(&leaf);
}

static void add_run(struct vmscm_map *map, uint64_t count, uint64_t id)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_id leaf = make_id(id);

    assert_done(vmscm_map_add(map, count, id ? &leaf : NULL, &err), &err);
}

/* Ten segments and a bit: leaf 1 three times, zeros, leaf 2, leaf 3. */
static void make_map(struct vmscm_map *map, struct vmscm_buf *bytes)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;

    *map = (struct vmscm_map){.size = 10 * (UINT64_C(16) << 20) + 513};
    add_run(map, 2, 1);
    add_run(map, 1, 1);
    add_run(map, 6, 0);
    add_run(map, 1, 2);
    add_run(map, 1, 3);
    assert_done(vmscm_map_encode(bytes, map, &err), &err);
}

static void map_layout(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf bytes = VMSCM_BUF_INIT;
    struct vmscm_map map, back;
    struct vmscm_id one = make_id(1);

    (void)state;
    make_map(&map, &bytes);
    assert_int_equal(bytes.len, 24 + 3 * 40 + 8);
    assert_memory_equal(bytes.data, "VMAP\1\1\30\0", 8); /* L10 */
    assert_int_equal(vmscm_get_le64(bytes.data + 8), map.size);
    assert_int_equal(vmscm_get_le32(bytes.data + 16), 4);
    assert_int_equal(vmscm_get_le32(bytes.data + 20), 0);
    assert_memory_equal(bytes.data + 24, "\1\3\0\0\0\0\0\0", 8); /* L11 */
    assert_memory_equal(bytes.data + 32, one.bytes, 32);
    assert_memory_equal(bytes.data + 64, "\0\6\0\0\0\0\0\0\1\1\0\0\0\0\0\0", 16);

    assert_done(vmscm_map_decode(&back, bytes.data, bytes.len, &err), &err);
    assert_int_equal(back.size, map.size);
    assert_int_equal(back.runs.len, 4);
    assert_int_equal(vmscm_map_segments(back.size), 11); /* L2 */
    assert_int_equal(vmscm_map_segment_length(back.size, 0), 16u << 20);
    assert_int_equal(vmscm_map_segment_length(back.size, 10), 513);
    static const int run_of[11] = {0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 3};
    for (uint64_t n = 0; n < 11; n++)
        assert_ptr_equal(vmscm_map_run(&back, n), &back.runs.items[run_of[n]]);
    vmscm_map_release(&back);
    vmscm_map_release(&map);
    vmscm_buf_release(&bytes);
}

static bool map_is_canonical(const uint8_t *bytes, size_t len)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf again = VMSCM_BUF_INIT;
    struct vmscm_map map;
    uint64_t at = 0;

    if (vmscm_map_decode(&map, bytes, len, &err)) {
        assert_null(map.runs.items);
        assert_true(err.code == VMSCM_EDAMAGED || err.code == VMSCM_EUNSUPPORTED);
        assert_true(err.message[0]);
        return false;
    }
    for (size_t i = 0; i < map.runs.len; i++) {
        assert_int_equal(map.runs.items[i].first, at);
        at += map.runs.items[i].count;
    }
    assert_int_equal(at, vmscm_map_segments(map.size));
    assert_done(vmscm_map_encode(&again, &map, &err), &err);
    assert_int_equal(again.len, len);
    assert_memory_equal(again.data, bytes, len);
    vmscm_buf_release(&again);
    vmscm_map_release(&map);
    return true;
}

static void damaged_map(const uint8_t *bytes, size_t len, void *data)
{
    const struct vmscm_buf *whole = data;

    if (map_is_canonical(bytes, len))
        assert_int_equal(len, whole->len);
}

static void map_damage(void **state)
{
    struct vmscm_buf bytes = VMSCM_BUF_INIT;
    struct vmscm_map map;

    (void)state;
    make_map(&map, &bytes);
    assert_true(map_is_canonical(bytes.data, bytes.len));
    each_damage(bytes.data, bytes.len, damaged_map, &bytes); /* L12 */
    vmscm_map_release(&map);
    vmscm_buf_release(&bytes);
}

static int decode_runs(uint64_t size, uint32_t count, const uint64_t *words, size_t n)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf bytes = VMSCM_BUF_INIT;
    struct vmscm_map map = {.size = size};
    uint64_t id = 0;

    assert_done(vmscm_map_encode(&bytes, &map, &err), &err);
    vmscm_put_le32(bytes.data + 16, count);
    for (size_t i = 0; i < n; i++) {
        /* The highest byte is not part of the word: it asks for one and the same leaf. */
        struct vmscm_id leaf = make_id(words[i] >> 56 ? 99 : ++id);
        assert_done(vmscm_buf_put64(&bytes, words[i] & ~(UINT64_C(0xff) << 56), &err), &err);
        if ((words[i] & 0xff) == 1)
            assert_done(vmscm_buf_append(&bytes, leaf.bytes, sizeof leaf.bytes, &err), &err);
    }
    int rc = vmscm_map_decode(&map, bytes.data, bytes.len, &err);
    vmscm_map_release(&map);
    vmscm_buf_release(&bytes);
    return rc;
}

static void map_bounds(void **state)
{
#define SEGMENTS(n) ((uint64_t)(n) << 24)
#define SAME (UINT64_C(1) << 56)
    static const struct {
        uint64_t size;
        uint32_t count;
        uint64_t words[3];
        size_t n;
        bool good;
    } t[] = {
        {0, 0, {0}, 0, true}, /* an empty disk */
        {0, 1, {0x100}, 1, false},
        {1, 1, {0x100}, 1, true},
        {1, 1, {0x101}, 1, true},
        {1, 1, {0x201}, 1, false},
        {1, 1, {0x102}, 1, false}, /* L11: unknown kind of run */
        {1, 1, {0x001}, 1, false}, /* L12: empty run */
        {1, 0, {0}, 0, false},
        {SEGMENTS(2), 2, {0x101, 0x101}, 2, true},
        {SEGMENTS(2), 2, {0x101 | SAME, 0x101 | SAME}, 2, false}, /* L12: two that are one */
        {SEGMENTS(2), 2, {0x100, 0x100}, 2, false},
        {SEGMENTS(2), 1, {0x101}, 1, false},
        {SEGMENTS(2), 2, {0x101}, 1, false},
        {SEGMENTS(2), UINT32_MAX, {0x101}, 1, false},
        {SEGMENTS(2), 1, {0x201, 0x101}, 2, false},
        {SEGMENTS(2), 2, {0x101, UINT64_C(0x00ffffffffffff01)}, 2, false},
        {UINT64_C(1) << 62, 1, {(UINT64_C(1) << 38) << 8}, 1, true},
        {(UINT64_C(1) << 62) + 1, 1, {((UINT64_C(1) << 38) + 1) << 8}, 1, false},
        {UINT64_MAX, 1, {(UINT64_C(1) << 40) << 8}, 1, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        int rc = decode_runs(t[i].size, t[i].count, t[i].words, t[i].n);
        if (rc != (t[i].good ? 0 : VMSCM_EDAMAGED))
            fail_msg("case %zu: %s", i, vmscm_error_name(rc));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaf_layout),
        cmocka_unit_test(leaf_damage),
        cmocka_unit_test(leaf_bounds),
        cmocka_unit_test(leaf_writer_refuses),
        cmocka_unit_test(largest_leaf),
        cmocka_unit_test(map_layout),
        cmocka_unit_test(map_damage),
        cmocka_unit_test(map_bounds),
    };
    return unit_run(tests);
}
