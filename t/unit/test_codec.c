/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/codec: known answers, and that nothing stored can make a reader write or allocate too much. */
#include "base/str.h"
#include "codec/checksum.h"
#include "codec/compress.h"
#include "codec/crc32c.h"
#include "formats.h"

static void hash(void **state)
{
    /* FIPS 180-4's examples, and the empty message. */
    static const struct {
        const char *text, *hex;
    } t[] = {{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"}};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_hash *h;
    struct vmscm_id id;
    char hex[VMSCM_HASH_HEX];

    (void)state;
    assert_done(vmscm_hash_new(&h, &err), &err);
    for (int twice = 0; twice < 2; twice++)
        for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) { /* P6 */
            assert_done(vmscm_hash_compute(h, &id, t[i].text, strlen(t[i].text), &err), &err);
            vmscm_str_hex(hex, id.bytes, sizeof id.bytes);
            assert_string_equal(hex, t[i].hex);
        }
    vmscm_hash_free(h);
    vmscm_hash_free(NULL);
}

static void checksum(void **state)
{
    (void)state; /* P2; values of the reference implementation */
    assert_true(vmscm_checksum_64("", 0, 0) == UINT64_C(0x2d06800538d394c2));
    assert_true(vmscm_checksum_64("a", 1, 0) == UINT64_C(0xe6c632b61e964e1f));
    assert_true(vmscm_checksum_64("abc", 3, 0) == UINT64_C(0x78af5f94892f3950));
    assert_true(vmscm_checksum_64("abc", 3, 1) != vmscm_checksum_64("abc", 3, 0));
}

#define LEN 100000

struct codec {
    struct vmscm_compress *c;
    uint8_t *plain, *stored, *back, *base;
};

static int setup(void **state)
{
    struct codec *t = calloc(1, sizeof *t);
    struct vmscm_error err = VMSCM_ERROR_INIT;

    assert_done(vmscm_compress_new(&t->c, 3, &err), &err);
    t->plain = malloc(LEN);
    t->stored = malloc(LEN);
    t->back = malloc(LEN);
    t->base = malloc(LEN);
    for (size_t i = 0; i < LEN; i++)
        t->plain[i] = "all work and no play makes a dull disk "[i * 7 / 5 % 39];
    make_noise(t->base, LEN, 1);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct codec *t = *state;

    vmscm_compress_free(t->c);
    free(t->plain);
    free(t->stored);
    free(t->back);
    free(t->base);
    free(t);
    return 0;
}

static void crc32c(void **state)
{
    uint8_t data[5000];
    uint32_t zeros, whole;

    (void)state;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * i >> 3);
    assert_int_equal(vmscm_crc32c(0, "", 0), 0);
    assert_int_equal(vmscm_crc32c(0, "123456789", 9), 0xe3069283); /* the check value of catalogues */
    /* In any pieces, long and short. */
    whole = vmscm_crc32c(0, data, sizeof data);
    for (size_t at = 0; at <= sizeof data; at += 7)
        assert_int_equal(vmscm_crc32c(vmscm_crc32c(0, data, at), data + at, sizeof data - at), whole);
    for (size_t i = 0, crc = 0; i < sizeof data; i++) {
        crc = vmscm_crc32c((uint32_t)crc, data + i, 1);
        assert_true(i + 1 < sizeof data || crc == whole);
    }
    /* RFC 3720, B.4: 32 bytes of zeros. */
    memset(data, 0, 32);
    zeros = vmscm_crc32c(0, data, 32);
    assert_int_equal(zeros, 0x8a9136aa);
}

static void round_trip(void **state)
{
    struct codec *t = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    enum vmscm_compress_algorithm how;
    static const size_t lengths[] = {1, 2, 31, 32, 33, 100, 4096, LEN};

    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
        for (int noise = 0; noise < 2; noise++) {
            const uint8_t *data = noise ? t->base : t->plain;
            size_t len = lengths[i], stored = 0;
            uint8_t *out = malloc(len); /* room for no more than len */
            assert_done(
                vmscm_compress_encode(t->c, out, &stored, &how, data, len, NULL, 0, &err), &err);
            assert_in_range(stored, 1, len); /* P10 */
            if (noise) {
                assert_int_equal(how, VMSCM_COMPRESS_NONE); /* P7 */
                assert_int_equal(stored, len);
                assert_memory_equal(out, data, len);
            } else if (len >= 4096) {
                assert_int_equal(how, VMSCM_COMPRESS_ZSTD);
                assert_memory_equal(out, "\x28\xb5\x2f\xfd", 4);
                assert_true(stored < len / 2);
            }
            memset(t->back, 0xee, LEN);
            assert_done(
                vmscm_compress_decode(t->c, t->back, len, how, out, stored, NULL, 0, &err), &err);
            assert_memory_equal(t->back, data, len);
            if (len < LEN)
                assert_int_equal(t->back[len], 0xee);
            free(out);
        }
}

/* Saved at least a 32nd, or not compressed at all. */
static void must_pay(void **state)
{
    struct codec *t = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    enum vmscm_compress_algorithm how;
    size_t stored;
    bool both[2] = {false};

    for (size_t zeros = 0; zeros < LEN / 16; zeros += 200) {
        memcpy(t->plain, t->base, LEN);
        memset(t->plain, 0, zeros);
        assert_done(
            vmscm_compress_encode(t->c, t->stored, &stored, &how, t->plain, LEN, NULL, 0, &err),
            &err);
        both[how == VMSCM_COMPRESS_ZSTD] = true;
        if (how == VMSCM_COMPRESS_ZSTD)
            assert_true(stored < LEN - LEN / 32);
        else
            assert_int_equal(stored, LEN);
    }
    assert_true(both[0] && both[1]);
}

static void wrong_lengths(void **state)
{
    struct codec *t = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    enum vmscm_compress_algorithm how;
    size_t stored;

    assert_done(vmscm_compress_encode(
                    t->c, t->stored, &stored, &how, t->plain, 5000, NULL, 0, &err), &err);
    assert_int_equal(how, VMSCM_COMPRESS_ZSTD);
    static const size_t lengths[] = {1, 4999, 5001, LEN};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        uint8_t *out = malloc(lengths[i]);
        assert_fails(
            vmscm_compress_decode(t->c, out, lengths[i], how, t->stored, stored, NULL, 0, &err),
            &err, VMSCM_EDAMAGED, "zstd"); /* P7 */
        assert_fails(vmscm_compress_decode(t->c, out, lengths[i], VMSCM_COMPRESS_NONE, t->stored,
                         lengths[i] - 1, NULL, 0, &err),
            &err, VMSCM_EDAMAGED, "length");
        free(out);
    }
    for (int algorithm = 2; algorithm < 256; algorithm++) /* P8 */
        assert_fails(vmscm_compress_decode(
                         t->c, t->back, 5000, algorithm, t->stored, stored, NULL, 0, &err),
            &err, VMSCM_EUNSUPPORTED, "algorithm");
}

/* One frame and nothing else: what a second reader may decode otherwise is refused. */
static void not_one_frame(void **state)
{
    struct codec *t = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    enum vmscm_compress_algorithm how;
    size_t one, two;
    static const uint8_t skippable[] = {0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 'h', 'i'};

    assert_done(vmscm_compress_encode(
                    t->c, t->stored, &one, &how, t->plain, 2000, NULL, 0, &err), &err);
    assert_done(vmscm_compress_encode(
                    t->c, t->stored + one, &two, &how, t->plain, 3000, NULL, 0, &err), &err);
    assert_fails(vmscm_compress_decode(t->c, t->back, 5000, VMSCM_COMPRESS_ZSTD, t->stored,
                     one + two, NULL, 0, &err),
        &err, VMSCM_EDAMAGED, "one frame"); /* P7 */
    for (int front = 0; front < 2; front++) {
        memcpy(t->stored + 10000 + (front ? 0 : one), skippable, sizeof skippable);
        memcpy(t->stored + 10000 + (front ? sizeof skippable : 0), t->stored, one);
        assert_fails(vmscm_compress_decode(t->c, t->back, 2000, VMSCM_COMPRESS_ZSTD,
                         t->stored + 10000, one + sizeof skippable, NULL, 0, &err),
            &err, VMSCM_EDAMAGED, "one frame");
    }
}

static void damaged_frame(const uint8_t *bytes, size_t len, void *data)
{
    struct codec *t = data;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    uint8_t *out = malloc(3000);
    int rc =
        vmscm_compress_decode(t->c, out, 3000, VMSCM_COMPRESS_ZSTD, bytes, len, NULL, 0, &err);

    assert_true(rc == 0 || rc == VMSCM_EDAMAGED);
    free(out);
}

static void frame_damage(void **state)
{
    struct codec *t = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    enum vmscm_compress_algorithm how;
    size_t stored;

    make_noise(t->plain, 500, 8);
    assert_done(vmscm_compress_encode(
                    t->c, t->stored, &stored, &how, t->plain, 3000, NULL, 0, &err), &err);
    assert_int_equal(how, VMSCM_COMPRESS_ZSTD);
    each_damage(t->stored, stored, damaged_frame, t);
    /* The same decoder is good for the next one. */
    assert_done(
        vmscm_compress_decode(t->c, t->back, 3000, how, t->stored, stored, NULL, 0, &err), &err);
    assert_memory_equal(t->back, t->plain, 3000);
}

/* A frame of 16 MiB of zeros in a kilobyte, for a record that says less. */
static void bomb(void **state)
{
    struct codec *t = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    enum vmscm_compress_algorithm how;
    size_t stored, len = 16u << 20;
    uint8_t *zeros = calloc(1, len), *out = malloc(len);

    assert_done(
        vmscm_compress_encode(t->c, out, &stored, &how, zeros, len, NULL, 0, &err), &err);
    assert_true(stored < 4096);
    assert_fails(
        vmscm_compress_decode(t->c, t->back, 4096, how, out, stored, NULL, 0, &err), &err,
        VMSCM_EDAMAGED, "zstd"); /* P7: t->back would overflow */
    free(zeros);
    free(out);
}

/* A prefix is for one record only, whether or not that one was compressed. */
static void base(void **state)
{
    struct codec *t = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    enum vmscm_compress_algorithm how;
    size_t stored, plain;

    memcpy(t->plain, t->base, LEN);
    t->plain[LEN / 2] ^= 1;
    assert_done(
        vmscm_compress_encode(t->c, t->stored, &stored, &how, t->plain, LEN, t->base, LEN, &err),
        &err);
    assert_int_equal(how, VMSCM_COMPRESS_ZSTD); /* P11 */
    assert_true(stored < 300);
    assert_done(vmscm_compress_decode(
                    t->c, t->back, LEN, how, t->stored, stored, t->base, LEN, &err), &err);
    assert_memory_equal(t->back, t->plain, LEN);
    assert_int_equal(
        vmscm_compress_decode(t->c, t->back, LEN, how, t->stored, stored, NULL, 0, &err),
        VMSCM_EDAMAGED);

    /* Noise against another noise is not compressed; the prefix must not stay for the next. */
    make_noise(t->back, LEN, 77);
    assert_done(
        vmscm_compress_encode(t->c, t->stored, &plain, &how, t->back, LEN, t->base, LEN, &err),
        &err);
    assert_int_equal(how, VMSCM_COMPRESS_NONE);
    assert_done(
        vmscm_compress_encode(t->c, t->stored, &plain, &how, t->plain, LEN, NULL, 0, &err), &err);
    assert_int_equal(how, VMSCM_COMPRESS_NONE);
}

/* A prefix is one record's, also where that is stored plain, and what gave up is not in the way of the
 * next. */
static void base_of_one(void **state)
{
    struct codec *t = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    static const size_t plain[] = {1, 5000};
    enum vmscm_compress_algorithm how;
    size_t stored;

    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        for (int with = 0; with < 2; with++) {
            /* Noise, and nothing of the base is in it. */
            make_noise(t->back, LEN, 99);
            assert_done(vmscm_compress_encode(t->c, t->stored, &stored, &how, t->back, plain[i],
                            t->base, LEN, &err),
                &err);
            assert_int_equal(how, VMSCM_COMPRESS_NONE);
            memcpy(t->back, t->base, LEN);
            memset(t->back + 100, 0, LEN / 2);
            assert_done(vmscm_compress_encode(t->c, t->stored, &stored, &how, t->back, LEN,
                            with ? t->base : NULL, LEN, &err),
                &err);
            assert_int_equal(how, VMSCM_COMPRESS_ZSTD);
            assert_int_equal(stored < 500, with);
            assert_done(vmscm_compress_decode(t->c, t->plain, LEN, how, t->stored, stored,
                            with ? t->base : NULL, LEN, &err),
                &err); /* P11 */
            assert_memory_equal(t->plain, t->back, LEN);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash),
        cmocka_unit_test(checksum),
        cmocka_unit_test(crc32c),
        cmocka_unit_test_setup_teardown(round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(must_pay, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_lengths, setup, teardown),
        cmocka_unit_test_setup_teardown(not_one_frame, setup, teardown),
        cmocka_unit_test_setup_teardown(frame_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(bomb, setup, teardown),
        cmocka_unit_test_setup_teardown(base, setup, teardown),
        cmocka_unit_test_setup_teardown(base_of_one, setup, teardown),
    };
    return unit_run(tests);
}
