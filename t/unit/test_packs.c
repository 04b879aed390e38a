/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Stores of several packs, vmscm-format-pack(5): multi-pack indexes, packs that go, equal records. */
#include "base/buf.h"
#include "base/endian.h"
#include "codec/checksum.h"
#include "formats.h"
#include "store/check.h"
#include "store/fetch.h"
#include "store/ingest.h"
#include "store/midxwriter.h"
#include "store/packwriter.h"
#include "store/store.h"
#include "storedir.h"
#include "sys/file.h"

#include <sys/stat.h>
#include <unistd.h>

/* A pack with records numbered first to first + count - 1; what is in them plays no part here. */
static void make_pack(uint64_t first, uint64_t count)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_packwriter *writer;
    char file[VMSCM_PACKFILE_NAME];
    uint64_t size;

    assert_done(vmscm_packwriter_open(&writer, dir, false, &err), &err);
    for (uint64_t n = first; n < first + count; n++) {
        uint8_t bytes[VMSCM_PACK_RECORD_SIZE + 1] = {0};
        struct vmscm_pack_record r = {.type = VMSCM_PACK_CHUNK,
            .plain_len = 1,
            .stored_len = 1,
            .part_count = 1,
            .parts = {1}};
        struct vmscm_packwriter_part part = {make_id(n), 1};
        vmscm_pack_encode_record(bytes, &r, "");
        assert_done(vmscm_packwriter_add(writer,
                        &(struct vmscm_packwriter_record){.type = VMSCM_PACK_CHUNK,
                            .parts = &part,
                            .part_count = 1,
                            .bytes = bytes,
                            .len = sizeof bytes},
                        &err),
            &err);
    }
    assert_done(vmscm_packwriter_finish(writer, file, &size, &err), &err);
}

/* A table's checksum as the page says: a mebibyte at a time, each seeded with the one before. */
static uint64_t chained(const uint8_t *bytes, size_t len)
{
    uint64_t sum = 0;

    for (size_t at = 0; at < len; at += 1u << 20)
        sum = vmscm_checksum_64(bytes + at, len - at < 1u << 20 ? len - at : 1u << 20, sum);
    return sum;
}

/* The file, byte by byte, against P23 to P25, and against the packs' own indexes. */
static void check_bytes(struct vmscm_store *store, const struct vmscm_midxfile *midx)
{
    const struct vmscm_midx *h = &midx->header;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf bytes = VMSCM_BUF_INIT;
    const uint64_t starts[] = {0, h->ends_at, h->prints_at, h->words_at, h->sums_at};
    uint32_t bucket = 0;
    uint64_t last = 0;

    assert_done(vmscm_file_read(&bytes, midx->path, 16u << 20, &err), &err);
    assert_int_equal(bytes.len, h->sums_at + 32); /* P23 */
    for (size_t i = 0; i < 4; i++)                /* P26 */
        assert_int_equal(vmscm_get_le64(bytes.data + h->sums_at + 8 * i),
            chained(bytes.data + starts[i], starts[i + 1] - starts[i]));
    assert_memory_equal(bytes.data + 32, vmscm_store_pack(store, 0)->name, 16); /* P24 */
    for (uint32_t n = 0; n < h->entry_count; n++) {
        uint64_t word = vmscm_get_le64(bytes.data + h->words_at + 8 * (size_t)n);
        uint16_t print = vmscm_get_le16(bytes.data + h->prints_at + 2 * (size_t)n);
        while (vmscm_get_le32(bytes.data + h->ends_at + 4 * (size_t)bucket) <= n)
            bucket++;
        uint64_t key = vmscm_midx_entry_key(bucket, h->bits, print, word);
        assert_true(key >= last);
        assert_true(vmscm_midx_word_pack(word) < h->pack_count);
        last = key;
    }
    for (; bucket < 1u << h->bits; bucket++)
        assert_int_equal(
            vmscm_get_le32(bytes.data + h->ends_at + 4 * (size_t)bucket), h->entry_count);
    vmscm_buf_release(&bytes);
}

/* Around the length at which the last piece of the words' checksum would be empty. */
static void checksum(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;

    (void)state;
    for (unsigned total = 131071; total <= 131073; total++) {
        struct vmscm_packfile *packs[2];
        struct vmscm_store *store;
        uint8_t first[VMSCM_MIDX_NAME_SIZE];
        assert_int_equal(setup(NULL), 0);
        make_pack(1, 10000);
        make_pack(10001, total - 10000);
        assert_done(vmscm_store_open(&store, dir, &err), &err);
        for (size_t i = 0; i < 2; i++)
            if ((packs[i] = vmscm_store_pack(store, i))->trailer.entry_count == 10000)
                memcpy(first, packs[i]->name, sizeof first);
        char packs_dir[64];
        snprintf(packs_dir, sizeof packs_dir, "%s/packs", dir);
        assert_done(vmscm_midxwriter_write(packs_dir, packs, 2, NULL, 0, &err), &err);
        vmscm_store_close(store);

        assert_done(vmscm_store_open(&store, dir, &err), &err);
        assert_int_equal(vmscm_store_midx_count(store), 1);
        struct vmscm_midxfile *midx = vmscm_store_midx(store, 0);
        assert_done(vmscm_midxfile_check(midx, &err), &err);
        assert_int_equal(midx->header.entry_count, total);
        check_bytes(store, midx);
        for (uint64_t n = 1; n <= total; n++) {
            struct vmscm_id id = make_id(n);
            uint32_t number;
            assert_true(vmscm_midxfile_find(midx, &number, &id, 0));
            assert_int_equal(memcmp(midx->packs[number]->name, first, sizeof first) == 0, n <= 10000);
        }
        vmscm_store_close(store);
        assert_int_equal(teardown(NULL), 0);
    }
}

/* A pack that was relied on and is gone is told once; who looks again then gets on. */
static void confirm(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_pack_entry entry;
    struct vmscm_store *store;
    struct vmscm_id in_both = make_id(1), in_one = make_id(2);
    const char *path = NULL;

    (void)state;
    make_pack(1, 2);
    make_pack(1, 1);
    assert_done(vmscm_store_open(&store, dir, &err), &err);
    assert_done(vmscm_store_confirm(store, &err), &err);
    assert_true(vmscm_store_find(store, &entry, &in_one));
    for (size_t i = 0; i < 2; i++)
        if (vmscm_store_pack(store, i)->trailer.entry_count == 2)
            path = vmscm_store_pack(store, i)->path;
    assert_int_equal(unlink(path), 0);
    assert_fails(vmscm_store_confirm(store, &err), &err, VMSCM_EBUSY, "relied on");
    assert_false(vmscm_store_find(store, &entry, &in_one));
    assert_true(vmscm_store_find(store, &entry, &in_both));
    vmscm_error_clear(&err);
    assert_done(vmscm_store_confirm(store, &err), &err);
    vmscm_store_close(store);
}

/* A disk can hold the bytes of a leaf, made up or before there is such a leaf: they have one id, are
 * stored once, and are read as either. */
static void chunk_and_leaf(void **state)
{
    static const enum vmscm_pack_type types[] = {
        VMSCM_PACK_CHUNK, VMSCM_PACK_LEAF, VMSCM_PACK_CHUNK};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_ingest_counts counts;
    struct vmscm_ingest_lane *lane;
    struct vmscm_ingest *ingest;
    struct vmscm_store *store;
    struct vmscm_fetch *fetch;
    struct vmscm_hash *hash;
    uint8_t data[200], back[200];

    (void)state;
    assert_done(vmscm_hash_new(&hash, &err), &err);
    assert_done(vmscm_store_open(&store, dir, &err), &err);
    for (int first = 0; first < 2; first++) {
        struct vmscm_id id;
        make_noise(data, sizeof data, 40 + (unsigned)first);
        assert_done(vmscm_hash_compute(hash, &id, data, sizeof data, &err), &err);
        for (int second = 0; second < 2; second++) {
            assert_done(vmscm_ingest_open(&ingest, store, dir, 3, NULL, &err), &err);
            assert_done(vmscm_ingest_lane_new(&lane, ingest, &err), &err);
            assert_done(vmscm_ingest_lane_add(
                            lane, 0, types[first + second], &id, data, sizeof data, &err), &err);
            assert_done(vmscm_ingest_lane_end_unit(lane, 0, &err), &err);
            vmscm_ingest_lane_free(lane);
            assert_done(vmscm_ingest_finish(ingest, &counts, &err), &err);
            assert_int_equal(counts.stored > 0, second == 0);
        }
        assert_done(vmscm_fetch_new(&fetch, store, &err), &err);
        for (int second = 0; second < 2; second++) { /* P13 */
            memset(back, 0, sizeof back);
            assert_done(vmscm_fetch_read(
                            fetch, types[first + second], &id, back, sizeof back, &err), &err);
            assert_memory_equal(data, back, sizeof back);
        }
        vmscm_fetch_free(fetch);
    }
    vmscm_store_close(store);
    vmscm_hash_free(hash);
}

/* Chunks so small that a record is full by their number: the parts of one unit go in several records,
 * in order, and each is read back. */
static void many_parts(void **state)
{
    enum { COUNT = 2 * VMSCM_PACK_PARTS_MAX + 3 };
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_ingest_counts counts;
    struct vmscm_pack_entry entry;
    struct vmscm_ingest_lane *lane;
    struct vmscm_ingest *ingest;
    struct vmscm_store *store;
    struct vmscm_fetch *fetch;
    struct vmscm_hash *hash;
    struct vmscm_id *ids = calloc(COUNT, sizeof *ids);
    uint8_t data[8], back[8];
    uint32_t last = 0;

    (void)state;
    assert_non_null(ids);
    assert_done(vmscm_hash_new(&hash, &err), &err);
    assert_done(vmscm_store_open(&store, dir, &err), &err);
    assert_done(vmscm_ingest_open(&ingest, store, dir, 3, NULL, &err), &err);
    assert_done(vmscm_ingest_lane_new(&lane, ingest, &err), &err);
    for (unsigned i = 0; i < COUNT; i++) {
        make_noise(data, sizeof data, i);
        assert_done(vmscm_hash_compute(hash, &ids[i], data, sizeof data, &err), &err);
        assert_done(vmscm_ingest_lane_add(
                        lane, 0, VMSCM_PACK_CHUNK, &ids[i], data, sizeof data, &err), &err);
    }
    assert_done(vmscm_ingest_lane_end_unit(lane, 0, &err), &err);
    vmscm_ingest_lane_free(lane);
    assert_done(vmscm_ingest_finish(ingest, &counts, &err), &err);
    assert_int_equal(counts.fresh_chunks, COUNT);
    assert_done(vmscm_fetch_new(&fetch, store, &err), &err);
    for (unsigned i = 0; i < COUNT; i++) {
        make_noise(data, sizeof data, i);
        assert_true(vmscm_store_find(store, &entry, &ids[i]));
        assert_int_equal(entry.part, i % VMSCM_PACK_PARTS_MAX); /* P9, P15 */
        assert_true(entry.part ? entry.offset == last : entry.offset > last);
        last = entry.offset;
        assert_done(vmscm_fetch_read(
                        fetch, VMSCM_PACK_CHUNK, &ids[i], back, sizeof back, &err), &err);
        assert_memory_equal(data, back, sizeof back);
    }
    vmscm_fetch_free(fetch);
    vmscm_store_close(store);
    vmscm_hash_free(hash);
    free(ids);
}

static void count_findings(void *data, const struct vmscm_packfile *pack,
    const struct vmscm_id *id, const struct vmscm_error *why)
{
    unsigned *counts = data;

    (void)pack;
    counts[0] += strstr(why->message, "not sorted") != NULL;
    counts[1] += strstr(why->message, "no possible record") != NULL && id;
}

static int go_on(void *data, uint64_t bytes)
{
    (void)data, (void)bytes;
    return 0;
}

/* An index whose checksum is right, but that is not: out of order, or claiming too much. */
static void lying_index(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;

    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        struct vmscm_buf bytes = VMSCM_BUF_INIT;
        struct vmscm_store *store;
        unsigned counts[2] = {0, 0};
        struct vmscm_check check = {
            .jobs = 2, .found = count_findings, .progress = go_on, .data = counts};
        uint8_t swap[48];
        assert_int_equal(setup(NULL), 0);
        make_pack(1, 3);
        assert_done(vmscm_store_open(&store, dir, &err), &err);
        char *path = strdup(vmscm_store_pack(store, 0)->path);
        vmscm_store_close(store);
        assert_done(vmscm_file_read(&bytes, path, 1u << 20, &err), &err);
        uint8_t *trailer = bytes.data + bytes.len - 64, *index = trailer - 3 * 48;
        if (kind == 1) { /* P15 */
            memcpy(swap, index, 48);
            memmove(index, index + 48, 48);
            memcpy(index + 48, swap, 48);
        } else if (kind == 2) { /* P16 */
            vmscm_put_le32(index + 36, 20);
            vmscm_put_le32(index + 40, UINT32_MAX - 16);
        }
        vmscm_put_le64(trailer + 16, vmscm_checksum_64(index, 3 * 48, 0));
        vmscm_put_le64(trailer + 48, vmscm_checksum_64(trailer, 48, 0));
        assert_done(vmscm_file_replace(path, bytes.data, bytes.len, 0600, &err), &err);
        assert_done(vmscm_store_open(&store, dir, &err), &err);
        assert_int_equal(vmscm_store_pack_count(store), 1);
        check.store = store;
        assert_done(vmscm_check_packs(&check, &err), &err);
        assert_int_equal(counts[0], kind == 1);
        assert_int_equal(counts[1], kind == 2);
        vmscm_store_close(store);
        vmscm_buf_release(&bytes);
        free(path);
        assert_int_equal(teardown(NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksum),
        cmocka_unit_test_setup_teardown(confirm, setup, teardown),
        cmocka_unit_test_setup_teardown(chunk_and_leaf, setup, teardown),
        cmocka_unit_test_setup_teardown(many_parts, setup, teardown),
        cmocka_unit_test(lying_index),
    };
    return unit_run(tests);
}
