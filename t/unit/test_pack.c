/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/format/pack and midx against vmscm-format-pack(5); the rules are named where they are held. */
#include "base/endian.h"
#include "codec/checksum.h"
#include "codec/compress.h"
#include "formats.h"
#include "format/midx.h"
#include "format/pack.h"

static void put_checksum(uint8_t *trailer)
{
    vmscm_put_le64(trailer + 48, vmscm_checksum_64(trailer, 48, 0));
}

/* The bytes of the page, one by one. */
static void header(void **state)
{
    static const uint8_t expected[16] = "VMSCMPAK\2\1\0\0\0\0\0";
    struct vmscm_error err = VMSCM_ERROR_INIT;
    uint8_t bytes[VMSCM_PACK_HEADER_SIZE];

    (void)state;
    vmscm_pack_encode_header(bytes);
    assert_memory_equal(bytes, expected, sizeof expected); /* P4 */
    assert_done(vmscm_pack_decode_header(bytes, &err), &err);
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) { /* P4, P5 */
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        int rc = vmscm_pack_decode_header(bytes, &err);
        assert_int_equal(rc, bit / 8 == 8 || bit / 8 == 9 ? VMSCM_EUNSUPPORTED : VMSCM_EDAMAGED);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

/* A record of `stored` bytes in memory of just its size. */
static uint8_t *make_record(struct vmscm_pack_record *r, size_t *len)
{
    uint8_t payload[64], *bytes;
    size_t head = vmscm_pack_record_head(r);

    make_noise(payload, sizeof payload, 7);
    bytes = malloc(head + r->stored_len);
    assert_non_null(bytes);
    assert_int_equal(vmscm_pack_encode_record(bytes, r, payload), head);
    memcpy(bytes + head, payload, r->stored_len);
    *len = head + r->stored_len;
    return bytes;
}

/* Alone, with a base, of three parts, with two bases and two parts. */
#define SAMPLES 4

static struct vmscm_pack_record sample_record(int which)
{
    static const uint16_t parts[SAMPLES] = {1, 1, 3, 2};
    static const uint8_t bases[SAMPLES] = {0, 1, 0, 2};
    struct vmscm_pack_record r = {.type = VMSCM_PACK_LEAF,
        .compression = VMSCM_COMPRESS_ZSTD,
        .base_count = bases[which],
        .part_count = parts[which],
        .plain_len = 0x1234,
        .stored_len = 40,
        .bases = {make_id(2), make_id(3)},
        .parts = {0x1234}};

    for (unsigned i = 1; i < r.part_count; i++) {
        r.parts[i] = 0x0203 + i;
        r.parts[0] -= r.parts[i];
    }
    return r;
}

static void record_layout(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;

    (void)state;
    for (int which = 0; which < SAMPLES; which++) {
        struct vmscm_pack_record r = sample_record(which), back;
        size_t len, tables = r.base_count * 32u + (r.part_count > 1 ? 4u * r.part_count : 0);
        uint8_t *bytes = make_record(&r, &len);
        assert_memory_equal(bytes, "VREC\2\1\1", 7); /* P9 */
        assert_int_equal(bytes[7], r.base_count);
        assert_memory_equal(bytes + 8, "\x34\x12\0\0\x28\0\0\0", 8); /* P1 */
        assert_int_equal(vmscm_get_le32(bytes + 16), r.part_count);
        assert_int_equal(vmscm_get_le32(bytes + 20), 0);
        assert_int_equal(len, 32 + tables + 40);
        for (unsigned i = 0; i < r.base_count; i++) /* P11 */
            assert_memory_equal(bytes + 32 + 32 * i, r.bases[i].bytes, 32);
        for (unsigned i = 0; r.part_count > 1 && i < r.part_count; i++) /* P10 */
            assert_int_equal(
                vmscm_get_le32(bytes + 32 + 32 * r.base_count + 4 * i), r.parts[i]);
        uint64_t sum = vmscm_checksum_64(bytes, 24, 0); /* P12 */
        if (tables)
            sum = vmscm_checksum_64(bytes + 32, tables, sum);
        sum = vmscm_checksum_64(bytes + len - 40, 40, sum);
        assert_int_equal(vmscm_get_le64(bytes + 24), sum);

        assert_done(vmscm_pack_decode_record(&back, bytes, len, &err), &err);
        assert_int_equal(back.type, r.type);
        assert_int_equal(back.compression, r.compression);
        assert_int_equal(back.plain_len, r.plain_len);
        assert_int_equal(back.stored_len, r.stored_len);
        assert_int_equal(back.base_count, r.base_count);
        assert_int_equal(back.part_count, r.part_count);
        assert_memory_equal(back.bases, r.bases, r.base_count * sizeof r.bases[0]);
        assert_memory_equal(back.parts, r.parts, r.part_count * sizeof r.parts[0]);
        assert_true(vmscm_pack_check_record(&back, bytes));
        free(bytes);
    }
}

/* As a reader does: header, whole record, checksum. */
static bool read_record(const uint8_t *bytes, size_t len)
{
    struct vmscm_pack_record r;
    struct vmscm_error err = VMSCM_ERROR_INIT;

    if (vmscm_pack_decode_record(&r, bytes, len, &err)) {
        assert_true(err.code == VMSCM_EDAMAGED || err.code == VMSCM_EUNSUPPORTED);
        assert_true(err.message[0]);
        return false;
    }
    return vmscm_pack_record_head(&r) + r.stored_len == len && vmscm_pack_check_record(&r, bytes);
}

static void damaged_record(const uint8_t *bytes, size_t len, void *data)
{
    (void)data;
    assert_false(read_record(bytes, len));
}

/* Whatever is changed in a record, and wherever it is cut: refused. */
static void record_damage(void **state)
{
    (void)state;
    for (int which = 0; which < SAMPLES; which++) {
        struct vmscm_pack_record r = sample_record(which);
        size_t len;
        uint8_t *bytes = make_record(&r, &len);
        assert_true(read_record(bytes, len));
        each_damage(bytes, len, damaged_record, NULL); /* P9, P12 */
        free(bytes);
    }
}

static void record_bounds(void **state)
{
    static const struct {
        uint32_t plain, stored;
        uint8_t compression;
        bool good;
    } t[] = {{1, 1, VMSCM_COMPRESS_NONE, true}, {0, 0, VMSCM_COMPRESS_NONE, false},
        {1u << 20, 1u << 20, VMSCM_COMPRESS_NONE, true},
        {(1u << 20) + 1, (1u << 20) + 1, VMSCM_COMPRESS_NONE, false},
        {UINT32_MAX, UINT32_MAX, VMSCM_COMPRESS_NONE, false},
        {UINT32_MAX, 1, VMSCM_COMPRESS_ZSTD, false}, {1u << 20, 1, VMSCM_COMPRESS_ZSTD, true},
        {100, 101, VMSCM_COMPRESS_ZSTD, false}, {100, 99, VMSCM_COMPRESS_NONE, false},
        {100, 100, VMSCM_COMPRESS_ZSTD, true}, {100, 0, VMSCM_COMPRESS_ZSTD, false}};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_pack_record r = sample_record(0), back;
    size_t len;
    uint8_t *bytes = make_record(&r, &len);

    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) { /* P10 */
        bytes[5] = t[i].compression;
        vmscm_put_le32(bytes + 8, t[i].plain);
        vmscm_put_le32(bytes + 12, t[i].stored);
        int rc = vmscm_pack_decode_record(&back, bytes, len, &err);
        assert_int_equal(rc, t[i].good ? 0 : VMSCM_EDAMAGED);
    }
    vmscm_put_le32(bytes + 8, 100);
    vmscm_put_le32(bytes + 12, 40);
    bytes[5] = 2;
    assert_fails(vmscm_pack_decode_record(&back, bytes, len, &err), &err, VMSCM_EUNSUPPORTED,
        "compression"); /* P8 */
    bytes[5] = VMSCM_COMPRESS_ZSTD;
    bytes[6] = 2;
    assert_fails(vmscm_pack_decode_record(&back, bytes, len, &err), &err, VMSCM_EUNSUPPORTED,
        "hash"); /* P8 */
    bytes[6] = VMSCM_HASH_SHA256;
    bytes[7] = VMSCM_PACK_BASES_MAX + 1;
    assert_fails(vmscm_pack_decode_record(&back, bytes, len, &err), &err, VMSCM_EDAMAGED,
        "too many"); /* P11 */
    bytes[7] = 3; /* more than the memory holds */
    assert_fails(
        vmscm_pack_decode_record(&back, bytes, len, &err), &err, VMSCM_EDAMAGED, "ends early");
    free(bytes);
}

/* Lengths of parts that do not make the record's. */
static void part_bounds(void **state)
{
    static const struct {
        uint32_t plain, parts, first, second;
        bool good;
    } t[] = {{100, 2, 1, 99, true}, {100, 2, 100, 0, false}, {100, 2, 0, 100, false},
        {100, 2, 50, 51, false}, {100, 2, 50, 49, false}, {100, 2, UINT32_MAX, 101, false},
        {100, 0, 50, 50, false}, {100, UINT32_MAX, 50, 50, false}, {100, 0x10002, 50, 50, false},
        {100, VMSCM_PACK_PARTS_MAX + 1, 50, 50, false}, {100, 3, 50, 50, false},
        {2u << 20, 2, 1u << 20, 1u << 20, true}, {2u << 20, 2, (1u << 20) + 1, (1u << 20) - 1, false},
        {2u << 20, 1, 1u << 20, 1u << 20, false}};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_pack_record r = sample_record(3), back;
    size_t len;

    (void)state;
    r.base_count = 0;
    uint8_t *bytes = make_record(&r, &len);
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) { /* P10 */
        vmscm_put_le32(bytes + 8, t[i].plain);
        vmscm_put_le32(bytes + 16, t[i].parts);
        vmscm_put_le32(bytes + 32, t[i].first);
        vmscm_put_le32(bytes + 36, t[i].second);
        int rc = vmscm_pack_decode_record(&back, bytes, len, &err);
        assert_int_equal(rc, t[i].good ? 0 : VMSCM_EDAMAGED);
    }
    free(bytes);
}

static void entry_layout(void **state)
{
    struct vmscm_pack_entry e = {.id = make_id(3),
        .number = 0x01020304,
        .offset = 0x11121314,
        .length = 0x21222324,
        .plain_len = 1u << 20,
        .part = 0x123,
        .type = VMSCM_PACK_LEAF,
        .has_base = true};
    struct vmscm_pack_entry back;
    uint8_t bytes[VMSCM_PACK_ENTRY_SIZE];

    (void)state;
    vmscm_pack_encode_entry(bytes, &e);
    assert_memory_equal(bytes, e.id.bytes, 32); /* P15 */
    assert_memory_equal(
        bytes + 32, "\0\0\0\0\x14\x13\x12\x11\x24\x23\x22\x21\xff\xff\x3f\xd2", 16);
    vmscm_pack_decode_entry(&back, bytes);
    assert_memory_equal(&back.id, &e.id, 32);
    assert_int_equal(back.offset, e.offset);
    assert_int_equal(back.length, e.length);
    assert_int_equal(back.plain_len, e.plain_len);
    assert_int_equal(back.type, e.type);
    assert_int_equal(back.part, e.part);
    assert_int_equal(back.has_base, e.has_base);
}

#define SAMPLE_ENTRIES 5u
#define SAMPLE_SIZE                                                                                \
    (1000 + SAMPLE_ENTRIES * (uint64_t)VMSCM_PACK_ENTRY_SIZE + VMSCM_PACK_TRAILER_SIZE)

static void damaged_trailer(const uint8_t *bytes, size_t len, void *data)
{
    struct vmscm_pack_trailer t;
    struct vmscm_error err = VMSCM_ERROR_INIT;

    (void)data;
    if (len == VMSCM_PACK_TRAILER_SIZE) /* the caller reads exactly this many */
        assert_int_equal(
            vmscm_pack_decode_trailer(&t, bytes, SAMPLE_SIZE, &err), VMSCM_EDAMAGED);
}

static void trailer(void **state)
{
    struct vmscm_pack_trailer t = {.index_offset = 1000,
        .entry_count = SAMPLE_ENTRIES,
        .index_checksum = 0x0102030405060708},
                              back;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    uint8_t bytes[VMSCM_PACK_TRAILER_SIZE], changed[VMSCM_PACK_TRAILER_SIZE];

    (void)state;
    vmscm_pack_encode_trailer(bytes, &t);
    assert_int_equal(vmscm_get_le64(bytes), 1000); /* P17 */
    assert_int_equal(vmscm_get_le32(bytes + 8), SAMPLE_ENTRIES);
    assert_memory_equal(bytes + 16, "\x8\7\6\5\4\3\2\1", 8);
    assert_int_equal(vmscm_get_le64(bytes + 48), vmscm_checksum_64(bytes, 48, 0));
    assert_memory_equal(bytes + 56, "VMSCMEND", 8);
    assert_done(vmscm_pack_decode_trailer(&back, bytes, SAMPLE_SIZE, &err), &err);
    assert_int_equal(back.index_offset, t.index_offset);
    assert_int_equal(back.entry_count, t.entry_count);
    assert_int_equal(back.index_checksum, t.index_checksum);
    each_damage(bytes, sizeof bytes, damaged_trailer, NULL);

    /* A trailer that is itself whole, but of another file. */
    static const uint64_t sizes[] = {0, 64, 16 + 64, SAMPLE_SIZE - 1, SAMPLE_SIZE + 1,
        (uint64_t)UINT32_MAX + 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) /* P18 */
        assert_int_equal(
            vmscm_pack_decode_trailer(&back, bytes, sizes[i], &err), VMSCM_EDAMAGED);
    static const struct {
        uint64_t offset;
        uint32_t count;
    } wrong[] = {{15, 5}, {0, 5}, {UINT64_MAX, 5}, {1001, 5}, {1000, 6}, {1000, UINT32_MAX},
        {UINT64_MAX - 200, 9}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) { /* P18 */
        t.index_offset = wrong[i].offset;
        t.entry_count = wrong[i].count;
        vmscm_pack_encode_trailer(changed, &t);
        assert_int_equal(
            vmscm_pack_decode_trailer(&back, changed, SAMPLE_SIZE, &err), VMSCM_EDAMAGED);
    }
    /* Reserved bytes, though the checksum over them is right. */
    for (size_t i = 12; i < 48; i++) { /* P3 */
        if (i >= 16 && i < 24)
            continue;
        memcpy(changed, bytes, sizeof changed);
        changed[i] = 1;
        put_checksum(changed);
        assert_fails(vmscm_pack_decode_trailer(&back, changed, SAMPLE_SIZE, &err), &err,
            VMSCM_EDAMAGED, "reserved");
    }
    /* No records at all is a pack, too. */
    t = (struct vmscm_pack_trailer){.index_offset = 16};
    vmscm_pack_encode_trailer(changed, &t);
    assert_done(vmscm_pack_decode_trailer(&back, changed, 16 + 64, &err), &err);
}

static int compare_entries(const void *a, const void *b)
{
    return memcmp(a, b, VMSCM_HASH_SIZE);
}

/* Every entry is found and nothing else, in tables of uniform, crowded and extreme ids. */
static void search(void **state)
{
    enum { MAX = 3000 };
    uint8_t *table = malloc((size_t)MAX * VMSCM_PACK_ENTRY_SIZE);

    (void)state;
    assert_non_null(table);
    for (int kind = 0; kind < 3; kind++)
        for (size_t count = 0; count <= MAX; count = count < 20 ? count + 1 : count * 5) {
            for (size_t i = 0; i < count; i++) {
                struct vmscm_pack_entry e = {
                    .id = make_id(i + 1), .offset = (uint32_t)i, .type = VMSCM_PACK_CHUNK};
                if (kind == 1) /* the first eight bytes tell nothing */
                    memset(e.id.bytes, 0xff, 8);
                if (kind == 2) /* nearly all at one end */
                    memset(e.id.bytes, i % 100 ? 0 : 0xff, 6);
                vmscm_pack_encode_entry(table + i * VMSCM_PACK_ENTRY_SIZE, &e);
            }
            qsort(table, count, VMSCM_PACK_ENTRY_SIZE, compare_entries); /* P15 */
            for (size_t i = 0; i < count; i++) {
                struct vmscm_pack_entry found;
                struct vmscm_id id;
                memcpy(&id, table + i * VMSCM_PACK_ENTRY_SIZE, sizeof id);
                assert_true(vmscm_pack_search(&found, table, count, &id));
                assert_memory_equal(&found.id, &id, sizeof id);
                for (int step = -1; step <= 1; step += 2) {
                    struct vmscm_id other = id;
                    other.bytes[31] = (uint8_t)(other.bytes[31] + step);
                    assert_false(vmscm_pack_search(&found, table, count, &other));
                }
            }
            struct vmscm_pack_entry found;
            struct vmscm_id least = {{0}}, most;
            memset(&most, 0xff, sizeof most);
            assert_false(vmscm_pack_search(&found, table, count, &least));
            assert_false(vmscm_pack_search(&found, table, count, &most));
        }
    /* A table that is not sorted finds less, and reads nothing that is not its own. */
    for (size_t i = 0; i < MAX; i++) {
        struct vmscm_pack_entry e = {.id = make_id(i + 1)}, found;
        vmscm_pack_encode_entry(table + i * VMSCM_PACK_ENTRY_SIZE, &e);
        if (vmscm_pack_search(&found, table, i + 1, &e.id))
            assert_memory_equal(&found.id, &e.id, sizeof found.id);
    }
    free(table);
}

#define MIDX_FILE (32 + 3 * 16 + 16 * 4 + 7 * 2 + 7 * 8 + 4 * 8)

static void damaged_midx(const uint8_t *bytes, size_t len, void *data)
{
    struct vmscm_midx midx;
    struct vmscm_error err = VMSCM_ERROR_INIT;

    (void)data;
    int rc = vmscm_midx_decode_header(&midx, bytes, len < 32 ? len : MIDX_FILE, &err);
    assert_true(rc == VMSCM_EDAMAGED || rc == VMSCM_EUNSUPPORTED);
}

static void refused_midx(const struct vmscm_midx *midx, uint64_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    uint8_t bytes[VMSCM_MIDX_HEADER_SIZE];
    struct vmscm_midx m;

    vmscm_midx_encode_header(bytes, midx);
    assert_int_equal(vmscm_midx_decode_header(&m, bytes, size, &err), VMSCM_EDAMAGED);
}

static void midx(void **state)
{
    const struct vmscm_midx some = {.pack_count = 3, .entry_count = 7, .bits = 4};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    uint8_t bytes[VMSCM_MIDX_HEADER_SIZE];
    struct vmscm_midx m;

    (void)state;
    vmscm_midx_encode_header(bytes, &some);
    assert_memory_equal(bytes, "VMSCMIDX\2\1\4\0\3\0\0\0\7\0\0\0\0\0\0\0",
        24); /* P23 */
    assert_int_equal(vmscm_get_le64(bytes + 24), vmscm_checksum_64(bytes, 24, 0));
    assert_done(vmscm_midx_decode_header(&m, bytes, MIDX_FILE, &err), &err);
    assert_int_equal(m.pack_count, 3);
    assert_int_equal(m.entry_count, 7);
    assert_int_equal(m.bits, 4);
    assert_int_equal(m.ends_at, 32 + 3 * 16);
    assert_int_equal(m.prints_at, m.ends_at + 16 * 4);
    assert_int_equal(m.words_at, m.prints_at + 7 * 2);
    assert_int_equal(m.sums_at, m.words_at + 7 * 8);
    each_damage(bytes, sizeof bytes, damaged_midx, NULL);
    refused_midx(&some, MIDX_FILE - 1); /* P23 */
    refused_midx(&some, MIDX_FILE + 1);
    for (unsigned bits = 0; bits < 256; bits += bits == 3 ? 26 : 1) {
        m = (struct vmscm_midx){.pack_count = 3, .entry_count = 7, .bits = bits & 31};
        vmscm_midx_lay_out(&m);
        m.bits = bits;
        refused_midx(&m, m.file_size);
    }
    m = (struct vmscm_midx){.pack_count = (1u << 20) + 1, .bits = 4};
    vmscm_midx_lay_out(&m);
    refused_midx(&m, m.file_size);
    m = (struct vmscm_midx){.pack_count = 1, .entry_count = UINT32_MAX, .bits = 28};
    vmscm_midx_lay_out(&m);
    assert_int_equal(m.file_size, 48 + (UINT64_C(4) << 28) + UINT64_C(10) * UINT32_MAX + 32);
    for (int i = 11; i < 24; i += i == 11 ? 9 : 1) { /* P3 */
        vmscm_midx_encode_header(bytes, &some);
        bytes[i] = 1;
        vmscm_put_le64(bytes + 24, vmscm_checksum_64(bytes, 24, 0));
        assert_fails(vmscm_midx_decode_header(&m, bytes, MIDX_FILE, &err), &err, VMSCM_EDAMAGED,
            "reserved");
    }
}

/* What is left of an id's first 64 bits gives them all back, whatever chooses the bucket. */
static void midx_keys(void **state)
{
    (void)state;
    for (unsigned bits = VMSCM_MIDX_BITS_MIN; bits <= VMSCM_MIDX_BITS_MAX; bits++)
        for (uint64_t n = 0; n < 200; n++) {
            struct vmscm_id id = make_id(n);
            uint64_t key = vmscm_midx_key(&id), word = vmscm_midx_word(key, (uint32_t)n);
            uint32_t bucket = vmscm_midx_bucket(key, bits);
            uint16_t print = vmscm_midx_print(key, bits);
            assert_int_equal(key >> 56, id.bytes[0]);
            assert_true(bucket < 1u << bits);
            assert_int_equal(bucket, key >> (64 - bits));
            assert_int_equal(print, (key << bits) >> 48);
            assert_int_equal(vmscm_midx_word_pack(word), n);
            assert_true(vmscm_midx_word_is(word, key));
            assert_false(vmscm_midx_word_is(word, key ^ 1));
            assert_int_equal(vmscm_midx_entry_key(bucket, bits, print, word), key);
        }
    assert_int_equal(vmscm_midx_bits(0), 4);
    assert_int_equal(vmscm_midx_bits(511), 4);
    assert_int_equal(vmscm_midx_bits(512), 5);
    assert_int_equal(vmscm_midx_bits(UINT32_MAX), 27);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header),
        cmocka_unit_test(record_layout),
        cmocka_unit_test(record_damage),
        cmocka_unit_test(record_bounds),
        cmocka_unit_test(part_bounds),
        cmocka_unit_test(entry_layout),
        cmocka_unit_test(trailer),
        cmocka_unit_test(search),
        cmocka_unit_test(midx),
        cmocka_unit_test(midx_keys),
    };
    return unit_run(tests);
}
