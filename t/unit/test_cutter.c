/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/chunk: where segments are cut; rules of vmscm-format-leaf(5). */
#include "chunk/cutter.h"
#include "codec/checksum.h"
#include "formats.h"

#define BLOCK VMSCM_CUTTER_BLOCK
#define BLOCKS 4096u /* of a segment */

/* The chunks and zero runs of a segment. */
struct piece {
    size_t blocks;
    bool zero;
};

static size_t cut_all(struct piece *pieces, const uint8_t *data, size_t len)
{
    size_t count = 0;

    while (len) {
        struct piece *p = &pieces[count++];
        p->blocks = vmscm_cutter_zero_blocks(data, len);
        p->zero = p->blocks > 0;
        if (!p->zero)
            p->blocks = vmscm_cutter_next(data, len);
        assert_true(p->blocks > 0);
        size_t bytes = p->blocks * BLOCK;
        if (bytes > len) {
            assert_true(bytes - len < BLOCK); /* only the very last block is short */
            bytes = len;
        }
        data += bytes;
        len -= bytes;
    }
    return count;
}

static void zeros(void **state)
{
    uint8_t *data = calloc(1, 3 * BLOCK);

    (void)state;
    assert_true(vmscm_cutter_is_zero(data, 0));
    for (size_t len = 1; len < 200; len++)
        for (size_t at = 0; at < len; at++) {
            assert_true(vmscm_cutter_is_zero(data, len));
            data[at] = 1;
            assert_false(vmscm_cutter_is_zero(data, len));
            data[at] = 0;
        }
    assert_int_equal(vmscm_cutter_zero_blocks(data, 3 * BLOCK), 3);
    assert_int_equal(vmscm_cutter_zero_blocks(data, 2 * BLOCK + 1), 3); /* L5 */
    data[2 * BLOCK] = 1;
    assert_int_equal(vmscm_cutter_zero_blocks(data, 3 * BLOCK), 2);
    data[2 * BLOCK] = 0;
    data[BLOCK - 1] = 1;
    assert_int_equal(vmscm_cutter_zero_blocks(data, 3 * BLOCK), 0);
    free(data);
}

/* The page's words, done again: at the first block from the fourth on whose hash is low, at the
 * sixty-fourth, before a block of zeros, at the end. */
static size_t by_the_page(const uint8_t *data, size_t len)
{
    for (size_t n = 1;; n++) {
        size_t block = len < BLOCK ? len : BLOCK;
        if (n >= 4 && vmscm_checksum_64(data, block, 0) <= UINT64_C(1537228672809129301))
            return n;
        data += block;
        len -= block;
        if (n == 64 || len == 0 || vmscm_cutter_is_zero(data, len < BLOCK ? len : BLOCK))
            return n;
    }
}

static void as_the_page_says(void **state)
{
    uint8_t *data = malloc((size_t)BLOCKS * BLOCK);
    struct piece *pieces = calloc(BLOCKS + 1, sizeof *pieces);
    size_t count, least = 0, most = 0, total = 0;

    (void)state;
    make_noise(data, (size_t)BLOCKS * BLOCK, 1);
    for (size_t i = 0; i < BLOCKS; i += 97)
        memset(data + i * BLOCK, 0, (i % 3 + 1) * BLOCK < (BLOCKS - i) * BLOCK
                ? (i % 3 + 1) * BLOCK : BLOCK);
    count = cut_all(pieces, data, (size_t)BLOCKS * BLOCK - 100);
    for (size_t i = 0, at = 0; i < count; at += pieces[i++].blocks) {
        assert_int_equal(pieces[i].zero,
            vmscm_cutter_is_zero(data + at * BLOCK, i + 1 < count ? BLOCK : BLOCK - 100));
        if (pieces[i].zero)
            continue;
        assert_int_equal(pieces[i].blocks,
            by_the_page(data + at * BLOCK, (BLOCKS - at) * BLOCK - 100)); /* L18 */
        least += pieces[i].blocks < 4;
        most += pieces[i].blocks == 64;
        total++;
        assert_in_range(pieces[i].blocks, 1, 64);
    }
    assert_true(total > 150);
    assert_true(least > 0 && least < 45); /* only before zeros and at the end */
    free(pieces);
    free(data);
}

/* Constant blocks that are no cut point: chunks of the greatest length. */
static void greatest_length(void **state)
{
    uint8_t *data = malloc(200 * BLOCK);
    struct piece pieces[200];
    int byte = 1;

    (void)state;
    do
        memset(data, byte++, 200 * BLOCK);
    while (vmscm_checksum_64(data, BLOCK, 0) <= UINT64_MAX / 12);
    assert_int_equal(cut_all(pieces, data, 200 * BLOCK - 7), 4);
    assert_int_equal(pieces[0].blocks, 64);
    assert_int_equal(pieces[2].blocks, 64);
    assert_int_equal(pieces[3].blocks, 8);
    free(data);
}

/* All data short of a block, and just around the least length. */
static void short_ends(void **state)
{
    uint8_t *data = malloc(8 * BLOCK);

    (void)state;
    make_noise(data, 8 * BLOCK, 3);
    for (size_t len = 1; len <= 8 * BLOCK; len += len % 512 == 511 ? 2 : 510) {
        uint8_t *copy = malloc(len); /* alone, so that reading past its end is seen */
        memcpy(copy, data, len);
        size_t blocks = vmscm_cutter_next(copy, len);
        assert_int_equal(blocks, by_the_page(copy, len));
        assert_true((blocks - 1) * BLOCK < len);
        free(copy);
    }
    free(data);
}

/* Where data is moved by whole blocks, the cuts move with it. */
static void finds_what_moved(void **state)
{
    size_t len = 2048 * BLOCK;
    uint8_t *data = malloc(len), *moved = malloc(len + 1000 * BLOCK);
    struct piece *a = calloc(4096, sizeof *a), *b = calloc(4096, sizeof *b);
    static const size_t shifts[] = {1, 3, 7, 100, 999};

    (void)state;
    make_noise(data, len, 5);
    size_t na = cut_all(a, data, len);
    assert_in_range(na, 2048 / 20, 2048 / 12); /* 15 blocks on average */
    for (size_t s = 0; s < sizeof shifts / sizeof shifts[0]; s++) {
        make_noise(moved, shifts[s] * BLOCK, 6 + s);
        memcpy(moved + shifts[s] * BLOCK, data, len);
        size_t nb = cut_all(b, moved, len + shifts[s] * BLOCK), same = 0;
        /* Chunks of the moved data that start and end where the original's do. */
        for (size_t i = 0, at = 0; i < na; at += a[i++].blocks)
            for (size_t j = 0, bt = 0; j < nb; bt += b[j++].blocks)
                if (bt == at + shifts[s] && a[i].blocks == b[j].blocks)
                    same++;
        if (same + 8 < na)
            fail_msg("moved by %zu blocks: %zu of %zu chunks found", shifts[s], same, na);
    }
    free(a);
    free(b);
    free(data);
    free(moved);
}

/* One changed block changes its chunk and few after it. */
static void change_stays_local(void **state)
{
    size_t len = 1024 * BLOCK;
    uint8_t *data = malloc(len);
    struct piece *a = calloc(2048, sizeof *a), *b = calloc(2048, sizeof *b);

    (void)state;
    make_noise(data, len, 9);
    size_t na = cut_all(a, data, len);
    for (size_t block = 0; block < 1024; block += 101) {
        data[block * BLOCK + 17] ^= 0x80;
        size_t nb = cut_all(b, data, len), differ = 0;
        for (size_t i = 0, at = 0; i < na; at += a[i++].blocks) {
            bool found = false;
            for (size_t j = 0, bt = 0; j < nb && !found; bt += b[j++].blocks)
                found = bt == at && a[i].blocks == b[j].blocks;
            differ += !found;
        }
        assert_in_range(differ, 0, 6);
        data[block * BLOCK + 17] ^= 0x80;
    }
    free(a);
    free(b);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeros),
        cmocka_unit_test(as_the_page_says),
        cmocka_unit_test(greatest_length),
        cmocka_unit_test(short_ends),
        cmocka_unit_test(finds_what_moved),
        cmocka_unit_test(change_stays_local),
    };
    return unit_run(tests);
}
