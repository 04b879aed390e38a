/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A small pack damaged at every byte and cut at every length: every record that is whole is saved, and
 * nothing that is wrong. */
#include "base/endian.h"
#include "codec/compress.h"
#include "formats.h"
#include "store/fetch.h"
#include "store/packscan.h"
#include "store/packwriter.h"
#include "store/salvage.h"
#include "storedir.h"

#include <fcntl.h>
#include <unistd.h>

#define PARTS 6
#define LEN_MAX 400u

/* In place of the system's: thousands of packs are written, and no power is lost. */
int fsync(int fd)
{
    (void)fd;
    return 0;
}

/* What the sample pack holds: the record that a part is in, and what that is stored against. */
static const struct {
    unsigned record;
    int base;
    size_t len;
    bool text;
    enum vmscm_pack_type type;
} parts[PARTS] = {
    {0, -1, 40, false, VMSCM_PACK_CHUNK},
    {0, -1, 50, false, VMSCM_PACK_CHUNK},
    {0, -1, 60, false, VMSCM_PACK_CHUNK},
    {1, -1, LEN_MAX, true, VMSCM_PACK_CHUNK},
    {2, -1, 70, false, VMSCM_PACK_LEAF},
    {3, 1, LEN_MAX, true, VMSCM_PACK_CHUNK}, /* record 1 */
};

struct sample {
    uint8_t plain[PARTS][LEN_MAX];
    struct vmscm_id ids[PARTS];
    size_t at[5]; /* where records 0 to 3 begin, in the order of the pack, and the index */
    uint8_t *bytes;
    size_t len;
};

static void make_plain(struct sample *s)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_hash *hash;

    assert_done(vmscm_hash_new(&hash, &err), &err);
    for (size_t i = 0; i < PARTS; i++) {
        make_noise(s->plain[i], parts[i].len, i + 1);
        /* The two that lean on one another differ in a byte. */
        for (size_t n = 0; parts[i].text && n < parts[i].len; n++)
            s->plain[i][n] = (uint8_t)("0123456789abcdef"[(n * n + n / 7) % 16]);
        s->plain[i][3] ^= (uint8_t)i;
        assert_done(vmscm_hash_compute(hash, &s->ids[i], s->plain[i], parts[i].len, &err), &err);
    }
    vmscm_hash_free(hash);
}

static void write_record(struct vmscm_packwriter *writer, const struct sample *s, unsigned record)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_pack_record *head = calloc(1, sizeof *head);
    struct vmscm_packwriter_part list[PARTS];
    uint8_t plain[PARTS * LEN_MAX], bytes[VMSCM_PACK_HEAD_MAX + PARTS * LEN_MAX];
    enum vmscm_compress_algorithm algorithm;
    struct vmscm_compress *compress;
    const uint8_t *prefix = NULL;
    size_t count = 0, len = 0, stored;

    for (size_t i = 0; i < PARTS; i++) {
        if (parts[i].record != record)
            continue;
        memcpy(plain + len, s->plain[i], parts[i].len);
        len += parts[i].len;
        list[count] = (struct vmscm_packwriter_part){s->ids[i], (uint32_t)parts[i].len};
        head->parts[count++] = (uint32_t)parts[i].len;
        head->type = (uint8_t)parts[i].type;
        if (parts[i].base >= 0) {
            prefix = s->plain[3];
            head->bases[0] = s->ids[3];
            head->base_count = 1;
        }
    }
    head->part_count = (uint16_t)count;
    head->plain_len = (uint32_t)len;
    size_t head_len = vmscm_pack_record_head(head);
    assert_done(vmscm_compress_new(&compress, 3, &err), &err);
    assert_done(vmscm_compress_encode(compress, bytes + head_len, &stored, &algorithm, plain, len,
                    prefix, prefix ? LEN_MAX : 0, &err),
        &err);
    head->compression = (uint8_t)algorithm;
    head->stored_len = (uint32_t)stored;
    vmscm_pack_encode_record(bytes, head, bytes + head_len);
    assert_done(vmscm_packwriter_add(writer,
                    &(struct vmscm_packwriter_record){.type = head->type,
                        .has_base = head->base_count > 0,
                        .parts = list,
                        .part_count = count,
                        .bytes = bytes,
                        .len = head_len + stored},
                    &err),
        &err);
    vmscm_compress_free(compress);
    free(head);
}

/* The pack, taken out of the repository. The leaf is held back: it comes last. */
static void make_sample(struct sample *s)
{
    static const unsigned order[] = {0, 1, 3, 2};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf bytes = VMSCM_BUF_INIT;
    struct vmscm_packscan_record *r = calloc(1, sizeof *r);
    struct vmscm_packwriter *writer;
    struct vmscm_packscan *scan;
    char file[VMSCM_PACKFILE_NAME], path[128];
    uint64_t size;
    size_t n = 0, at = VMSCM_PACK_HEADER_SIZE;

    make_plain(s);
    assert_done(vmscm_packwriter_open(&writer, dir, false, &err), &err);
    for (unsigned record = 0; record < 4; record++)
        write_record(writer, s, record);
    assert_done(vmscm_packwriter_finish(writer, file, &size, &err), &err);
    snprintf(path, sizeof path, "%s/packs/%s", dir, file);
    assert_done(vmscm_file_read(&bytes, path, 1u << 20, &err), &err);
    assert_done(vmscm_packscan_open(&scan, path, &err), &err);
    while (vmscm_packscan_next(scan, r)) {
        assert_true(r->sound && n < 4);
        s->at[order[n++]] = at;
        at += r->len;
    }
    assert_int_equal(n, 4);
    s->at[4] = at;
    vmscm_packscan_close(scan);
    free(r);
    unlink(path);
    s->len = bytes.len;
    s->bytes = (uint8_t *)vmscm_buf_steal(&bytes);
}

/* Where a record ends. */
static size_t end_of(const struct sample *s, unsigned record)
{
    size_t end = s->at[4];

    for (size_t i = 0; i < 4; i++)
        if (s->at[i] > s->at[record] && s->at[i] < end)
            end = s->at[i];
    return end;
}

static bool trusted(void *data, const struct vmscm_packfile *pack)
{
    (void)data;
    (void)pack;
    return true;
}

static int go_on(void *data, struct vmscm_error *err)
{
    (void)data;
    (void)err;
    return 0;
}

/* Salvage these bytes into an empty repository; saved[i]: part i can be read there. */
static struct vmscm_salvage_counts salvage(const struct sample *s, const uint8_t *bytes, size_t len,
    bool (*wanted)(void *, const struct vmscm_id *), bool saved[PARTS])
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_salvage_counts counts;
    struct vmscm_buf got = VMSCM_BUF_INIT;
    struct vmscm_store *store;
    struct vmscm_fetch *fetch;
    char path[128];
    int fd;

    snprintf(path, sizeof path, "%s/damaged.vpk", dir);
    assert_done(vmscm_file_open(&fd, path, O_WRONLY | O_CREAT | O_TRUNC, 0666, &err), &err);
    assert_done(vmscm_file_write(fd, bytes, len, path, &err), &err);
    close(fd);
    assert_done(vmscm_store_open(&store, dir, &err), &err);
    struct vmscm_salvage what = {.store = store,
        .repo_dir = dir,
        .level = 3,
        .wanted = wanted,
        .trusted = trusted,
        .canceled = go_on,
        .data = (void *)(uintptr_t)s};
    assert_done(vmscm_salvage_pack(&what, path, &counts, &err), &err);
    vmscm_store_close(store);

    assert_done(vmscm_store_open(&store, dir, &err), &err);
    assert_done(vmscm_fetch_new(&fetch, store, &err), &err);
    for (size_t i = 0; i < PARTS; i++) {
        saved[i] =
            !vmscm_fetch_read_buf(fetch, parts[i].type, &s->ids[i], &got, LEN_MAX, NULL);
        if (saved[i]) {
            assert_int_equal(got.len, parts[i].len);
            assert_memory_equal(got.data, s->plain[i], got.len);
        }
    }
    uint64_t entries = 0;
    for (size_t i = 0; i < vmscm_store_pack_count(store); i++) {
        entries += vmscm_store_pack(store, i)->trailer.entry_count;
        unlink(vmscm_store_pack(store, i)->path);
    }
    /* Nothing but what was copied, and that once. */
    assert_int_equal(entries, counts.copied);
    vmscm_fetch_free(fetch);
    vmscm_store_close(store);
    vmscm_buf_release(&got);
    return counts;
}

static void flips(void **state)
{
    struct sample s;
    bool saved[PARTS];

    (void)state;
    make_sample(&s);
    for (size_t at = 0; at < s.len; at++) {
        for (unsigned bits = 0; bits < 2; bits++) {
            uint8_t mask = bits ? 0xff : (uint8_t)(1u << at % 8);
            s.bytes[at] ^= mask;
            salvage(&s, s.bytes, s.len, NULL, saved);
            s.bytes[at] ^= mask;
            for (size_t i = 0; i < PARTS; i++) {
                unsigned r = parts[i].record;
                bool hit = at >= s.at[r] && at < end_of(&s, r);
                bool base_hit = parts[i].base >= 0 && at >= s.at[1] && at < end_of(&s, 1);
                if (!hit && !base_hit && !saved[i])
                    fail_msg("byte %zu: part %zu is not saved", at, i);
            }
            /* The index says where the parts are: one that is damaged does not take the others with
             * it, nor does the header. */
            if (at >= s.at[0] && at < end_of(&s, 0) && saved[0] + saved[1] + saved[2] < 2)
                fail_msg("byte %zu: only %d parts of three", at, saved[0] + saved[1] + saved[2]);
        }
    }
    free(s.bytes);
}

static void cuts(void **state)
{
    struct sample s;
    bool saved[PARTS];

    (void)state;
    make_sample(&s);
    for (size_t len = 0; len <= s.len; len++) {
        struct vmscm_salvage_counts counts = salvage(&s, s.bytes, len, NULL, saved);
        for (size_t i = 0; i < PARTS; i++)
            if (len >= end_of(&s, parts[i].record) && !saved[i])
                fail_msg("%zu bytes: part %zu is not saved", len, i);
        assert_int_equal(counts.index_right, len == s.len);
        assert_int_equal(counts.claimed, len == s.len ? PARTS : 0);
        assert_int_equal(counts.kept, counts.claimed);
    }
    free(s.bytes);
}

static bool is_first(void *data, const struct vmscm_id *id)
{
    const struct sample *s = data;

    return vmscm_hash_cmp(id, &s->ids[0]) == 0;
}

/* What is known to be wanted vouches for itself, and nothing else is taken. */
static void wanted(void **state)
{
    struct sample s;
    bool saved[PARTS];

    (void)state;
    make_sample(&s);
    struct vmscm_salvage_counts counts = salvage(&s, s.bytes, s.len, is_first, saved);
    assert_int_equal(counts.copied, 1);
    assert_true(saved[0]);
    /* The record ends in its second part, and there is no index. */
    counts = salvage(&s, s.bytes, s.at[0] + VMSCM_PACK_RECORD_SIZE + 12 + 60, is_first, saved);
    assert_int_equal(counts.copied, 1);
    assert_true(saved[0]);
    free(s.bytes);
}

/* What another pack has is not copied, unless it leans on something there. */
static bool no_pack(void *data, const struct vmscm_packfile *pack)
{
    (void)data;
    (void)pack;
    return false;
}

static void again(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_salvage_counts counts;
    struct vmscm_store *store;
    struct sample s;
    char path[128];
    int fd;

    (void)state;
    make_sample(&s);
    snprintf(path, sizeof path, "%s/damaged.vpk", dir);
    assert_done(vmscm_file_open(&fd, path, O_WRONLY | O_CREAT | O_TRUNC, 0666, &err), &err);
    assert_done(vmscm_file_write(fd, s.bytes, s.len, path, &err), &err);
    close(fd);
    assert_done(vmscm_store_open(&store, dir, &err), &err);
    struct vmscm_salvage what = {
        .store = store, .repo_dir = dir, .level = 3, .trusted = trusted, .canceled = go_on};
    assert_done(vmscm_salvage_pack(&what, path, &counts, &err), &err);
    assert_int_equal(counts.copied, PARTS);
    assert_done(vmscm_salvage_pack(&what, path, &counts, &err), &err);
    assert_int_equal(counts.good, PARTS);
    assert_int_equal(counts.copied, 1);
    what.trusted = no_pack;
    assert_done(vmscm_salvage_pack(&what, path, &counts, &err), &err);
    assert_int_equal(counts.copied, PARTS);
    vmscm_store_close(store);
    free(s.bytes);
}

/* A record of a later version is counted, and not taken for damage: its checksum is right. */
static void unsupported(void **state)
{
    struct vmscm_pack_record *head = calloc(1, sizeof *head);
    struct vmscm_salvage_counts counts;
    struct sample s;
    bool saved[PARTS];

    (void)state;
    make_sample(&s);
    assert_int_equal(
        vmscm_pack_decode_record(head, s.bytes + s.at[1], end_of(&s, 1) - s.at[1], NULL), 0);
    head->compression = 77;
    vmscm_pack_encode_record(
        s.bytes + s.at[1], head, s.bytes + s.at[1] + vmscm_pack_record_head(head));
    counts = salvage(&s, s.bytes, s.len, NULL, saved);
    assert_int_equal(counts.unsupported, 1);
    assert_true(saved[0] && saved[1] && saved[2] && saved[4] && !saved[3] && !saved[5]);
    s.bytes[s.at[1] + 40] ^= 1;
    counts = salvage(&s, s.bytes, s.len, NULL, saved);
    assert_int_equal(counts.unsupported, 0);
    free(head);
    free(s.bytes);
}

/* Bytes that look like the beginning of a record everywhere: it ends, soon. */
static void lookalikes(void **state)
{
    size_t len = 300000;
    uint8_t *bytes = calloc(1, len);
    struct vmscm_salvage_counts counts;
    struct sample s;
    bool saved[PARTS];

    (void)state;
    make_sample(&s);
    memcpy(bytes, s.bytes, s.at[4]);
    for (size_t at = s.at[4]; at + 32 <= len; at += 32) {
        memcpy(bytes + at, "VREC\001\000\001\000", 8);
        vmscm_put_le32(bytes + at + 8, (uint32_t)(len - at - 32));
        vmscm_put_le32(bytes + at + 12, (uint32_t)(len - at - 32));
        vmscm_put_le32(bytes + at + 16, 1);
        if (len - at - 32 > VMSCM_PACK_PART_MAX || len - at - 32 == 0)
            bytes[at + 16] = 0;
    }
    counts = salvage(&s, bytes, len, NULL, saved);
    assert_int_equal(counts.good, PARTS);
    free(bytes);
    free(s.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(flips, setup, teardown),
        cmocka_unit_test_setup_teardown(cuts, setup, teardown),
        cmocka_unit_test_setup_teardown(wanted, setup, teardown),
        cmocka_unit_test_setup_teardown(again, setup, teardown),
        cmocka_unit_test_setup_teardown(unsupported, setup, teardown),
        cmocka_unit_test_setup_teardown(lookalikes, setup, teardown),
    };

    return unit_run(tests);
}
