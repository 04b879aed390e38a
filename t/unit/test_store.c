/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/store: what is added is read back, once, in one order, and damage is noticed. */
#include "codec/compress.h"
#include "codec/hash.h"
#include "store/check.h"
#include "store/fetch.h"
#include "store/ingest.h"
#include "store/packwriter.h"
#include "store/walk.h"
#include "storedir.h"
#include "sys/file.h"
#include "sys/parallel.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Contents number n: half noise, half text, 1 to 64 KiB. */
static size_t make_data(uint8_t *data, uint64_t n)
{
    size_t len = 1 + (size_t)(n * 2654435761u % 65536);
    uint64_t x = n * 0x9e3779b97f4a7c15u + 1;

    for (size_t i = 0; i < len; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        data[i] = i < len / 2 ? (uint8_t)x : (uint8_t)("vmscm"[i % 5]);
    }
    return len;
}

static void id_of(struct vmscm_id *id, const void *data, size_t len)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_hash *hash;

    assert_done(vmscm_hash_new(&hash, &err), &err);
    assert_done(vmscm_hash_compute(hash, id, data, len, &err), &err);
    vmscm_hash_free(hash);
}

/* Units of 16 chunks; each chunk comes in two units, or, if they are to be apart, in one. */
struct job {
    struct vmscm_ingest *ingest;
    atomic_uint next;
    unsigned units;
    bool apart;
};

static int add_units(struct vmscm_parallel *p, unsigned index, struct vmscm_error *err)
{
    struct job *job = p->data;
    struct vmscm_ingest_lane *lane = NULL;
    struct vmscm_hash *hash = NULL;
    uint8_t *data = malloc(65536);
    unsigned unit;
    int rc = data ? 0 : vmscm_error_nomem(err);

    (void)index;
    if (rc || (rc = vmscm_ingest_lane_new(&lane, job->ingest, err)))
        goto out;
    rc = vmscm_hash_new(&hash, err);
    while (!rc && (unit = atomic_fetch_add(&job->next, 1)) < job->units) {
        for (unsigned i = 0; i < 16 && !rc; i++) {
            struct vmscm_id id;
            size_t len = make_data(data, (job->apart ? unit : unit / 2) * 16 + i);
            vmscm_hash_compute(hash, &id, data, len, err);
            rc = vmscm_ingest_lane_add(lane, unit, VMSCM_PACK_CHUNK, &id, data, len, err);
        }
        if (!rc)
            rc = vmscm_ingest_lane_end_unit(lane, unit, err);
    }
out:
    if (rc)
        vmscm_ingest_stop(job->ingest);
    vmscm_ingest_lane_free(lane);
    vmscm_hash_free(hash);
    free(data);
    return rc;
}

static struct vmscm_ingest_counts run_job(struct vmscm_store *store, unsigned jobs, struct job job)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_ingest_counts counts;

    assert_done(vmscm_ingest_open(&job.ingest, store, dir, 3, NULL, &err), &err);
    assert_done(vmscm_parallel_run(jobs, add_units, &job, &err), &err);
    assert_done(vmscm_ingest_finish(job.ingest, &counts, &err), &err);
    return counts;
}

static struct vmscm_ingest_counts ingest(struct vmscm_store *store, unsigned jobs, unsigned units)
{
    return run_job(store, jobs, (struct job){.units = units});
}

static void check_all(struct vmscm_store *store, unsigned units)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_fetch *fetch;
    uint8_t *data = malloc(65536), *back = malloc(65536);

    assert_done(vmscm_fetch_new(&fetch, store, &err), &err);
    for (unsigned n = 0; n < units / 2 * 16; n++) {
        struct vmscm_id id;
        size_t len = make_data(data, n);
        id_of(&id, data, len);
        assert_done(vmscm_fetch_read(fetch, VMSCM_PACK_CHUNK, &id, back, len, &err), &err);
        assert_memory_equal(data, back, len);
    }
    vmscm_fetch_free(fetch);
    free(data);
    free(back);
}

static void file_bytes(struct vmscm_buf *buf, const struct vmscm_packfile *pack)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    assert_done(vmscm_file_read(buf, pack->path, 1u << 30, &err), &err);
}

/* Each chunk is stored once, whatever the number of threads that bring it. */
static void each_once(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_store *store;
    struct vmscm_ingest_counts counts;

    for (unsigned jobs = 1; jobs <= 8; jobs *= 2) {
        assert_done(vmscm_store_open(&store, dir, &err), &err);
        counts = ingest(store, jobs, 100);
        assert_int_equal(counts.fresh_chunks, 50 * 16);
        assert_int_equal(vmscm_store_pack_count(store), 1);
        assert_int_equal(counts.stored, vmscm_store_pack(store, 0)->file_size);
        assert_int_equal(vmscm_store_pack(store, 0)->trailer.entry_count, 50 * 16);
        check_all(store, 100);
        counts = ingest(store, jobs, 100);
        assert_int_equal(counts.fresh_chunks, 0);
        assert_int_equal(counts.stored, 0);
        assert_int_equal(vmscm_store_pack_count(store), 1);
        vmscm_store_close(store);
        teardown(NULL);
        assert_int_equal(setup(state), 0);
    }
}

/* The same pack bytes, whatever the number of threads. */
static void same_with_any_threads(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf first = VMSCM_BUF_INIT, second = VMSCM_BUF_INIT;
    struct vmscm_store *store;

    for (unsigned jobs = 1; jobs <= 8; jobs += 7) {
        assert_done(vmscm_store_open(&store, dir, &err), &err);
        run_job(store, jobs, (struct job){.units = 100, .apart = true});
        assert_int_equal(vmscm_store_pack_count(store), 1);
        file_bytes(jobs == 1 ? &first : &second, vmscm_store_pack(store, 0));
        check_all(store, 200);
        vmscm_store_close(store);
        teardown(NULL);
        assert_int_equal(setup(state), 0);
    }
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.data, second.data, first.len);
    vmscm_buf_release(&first);
    vmscm_buf_release(&second);
}

static void found_by_others(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_store *ours, *theirs;

    (void)state;
    assert_done(vmscm_store_open(&theirs, dir, &err), &err);
    assert_done(vmscm_store_open(&ours, dir, &err), &err);
    ingest(ours, 2, 10);
    check_all(theirs, 10); /* reloads when it misses */
    vmscm_store_close(ours);
    vmscm_store_close(theirs);
}

struct walked {
    struct vmscm_id last;
    unsigned records;
    int rc; /* to answer after the first */
};

static int walk_one(void *data, const struct vmscm_packfile *pack,
    const struct vmscm_pack_entry *entry)
{
    struct walked *w = data;
    struct vmscm_pack_entry there;

    if (w->records++)
        assert_true(vmscm_hash_cmp(&w->last, &entry->id) < 0);
    w->last = entry->id;
    assert_true(vmscm_packfile_find(pack, &there, &entry->id));
    assert_int_equal(there.offset, entry->offset);
    return w->rc;
}

/* Of what two writers stored without knowing of each other, each record is walked once. */
static void walk_meets_each_once(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_store *ours, *theirs;
    struct walked w = {.rc = 0};
    bool changed;

    (void)state;
    assert_done(vmscm_store_open(&theirs, dir, &err), &err);
    assert_done(vmscm_walk_records(theirs, walk_one, &w, &err), &err);
    assert_int_equal(w.records, 0);
    assert_done(vmscm_store_open(&ours, dir, &err), &err);
    ingest(ours, 2, 10);
    ingest(theirs, 2, 30);
    assert_done(vmscm_store_reload(ours, &changed, &err), &err);
    ingest(ours, 2, 40);
    assert_int_equal(vmscm_store_pack_count(ours), 3);
    assert_done(vmscm_walk_records(ours, walk_one, &w, &err), &err);
    assert_int_equal(w.records, 20 * 16);
    w = (struct walked){.rc = 7};
    assert_int_equal(vmscm_walk_records(ours, walk_one, &w, &err), 7);
    assert_int_equal(w.records, 1);
    vmscm_store_close(ours);
    vmscm_store_close(theirs);
}

/* Ten packs: a multi-pack index comes, everything is found with it, without it, and when it lies. */
static void multi_pack_index(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_store *store;

    (void)state;
    assert_done(vmscm_store_open(&store, dir, &err), &err);
    for (unsigned n = 2; n <= 20; n += 2)
        ingest(store, 2, n);
    assert_int_equal(vmscm_store_pack_count(store), 10);
    char half[128];
    snprintf(half, sizeof half, "%s/packs/midx-00.tmp", dir);
    close(open(half, O_CREAT | O_WRONLY, 0600));
    assert_done(vmscm_store_reindex(store, &err), &err);
    assert_int_equal(vmscm_store_midx_count(store), 1);
    struct vmscm_midxfile *midx = vmscm_store_midx(store, 0);
    assert_done(vmscm_midxfile_check(midx, &err), &err);
    assert_int_equal(midx->header.entry_count, 160);
    check_all(store, 20);

    assert_done(vmscm_store_reindex(store, &err), &err);
    assert_int_equal(vmscm_store_midx_count(store), 1);
    assert_false(vmscm_file_exists(half));

    /* Every word in it wrong: the packs' own indexes save the day. */
    char *path = strdup(vmscm_store_midx(store, 0)->path);
    midx = vmscm_store_midx(store, 0);
    uint64_t at = midx->header.words_at, entries = midx->header.entry_count;
    vmscm_store_close(store);
    assert_int_equal(chmod(path, 0600), 0);
    int fd = open(path, O_WRONLY);
    for (uint64_t i = 0; i < entries; i++)
        assert_int_equal(pwrite(fd, "\x11\x22", 2, (off_t)(at + i * VMSCM_MIDX_WORD_SIZE + 4)), 2);
    close(fd);
    assert_done(vmscm_store_open(&store, dir, &err), &err);
    assert_fails(vmscm_midxfile_check(vmscm_store_midx(store, 0), &err), &err, VMSCM_EDAMAGED,
        "wrong checksum");
    check_all(store, 20);
    vmscm_store_close(store);

    assert_int_equal(truncate(path, 100), 0);
    assert_done(vmscm_store_open(&store, dir, &err), &err);
    assert_int_equal(vmscm_store_midx_count(store), 0);
    check_all(store, 20);
    vmscm_store_close(store);
    free(path);
}

static void count_bad(void *data, const struct vmscm_packfile *pack, const struct vmscm_id *id,
    const struct vmscm_error *why)
{
    (void)pack, (void)id;
    assert_true(why->message[0] != '\0');
    ++*(unsigned *)data;
}

static int go_on(void *data, uint64_t bytes)
{
    (void)data, (void)bytes;
    return 0;
}

static unsigned checked_bad(struct vmscm_store *store)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    unsigned bad = 0;
    struct vmscm_check check = {
        .store = store, .jobs = 1, .found = count_bad, .progress = go_on, .data = &bad};

    assert_done(vmscm_check_packs(&check, &err), &err);
    return bad;
}

/* Any byte of a pack changed: nothing wrong is ever handed out. */
static void damage_is_noticed(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_store *store;
    struct vmscm_fetch *fetch;
    struct vmscm_buf whole = VMSCM_BUF_INIT;
    uint8_t *data = malloc(65536), *back = malloc(65536);
    unsigned noticed = 0;

    (void)state;
    assert_done(vmscm_store_open(&store, dir, &err), &err);
    ingest(store, 1, 2);
    char *path = strdup(vmscm_store_pack(store, 0)->path);
    file_bytes(&whole, vmscm_store_pack(store, 0));
    vmscm_store_close(store);
    assert_int_equal(chmod(path, 0600), 0);
    for (size_t at = 0; at < whole.len; at += whole.len < 400 ? 1 : whole.len / 400) {
        uint8_t flipped = whole.data[at] ^ 0x40;
        int fd = open(path, O_WRONLY);
        assert_int_equal(pwrite(fd, &flipped, 1, (off_t)at), 1);
        assert_done(vmscm_store_open(&store, dir, &err), &err);
        assert_done(vmscm_fetch_new(&fetch, store, &err), &err);
        unsigned bad = 0;
        for (unsigned n = 0; n < 16; n++) {
            struct vmscm_id id;
            size_t len = make_data(data, n);
            id_of(&id, data, len);
            int rc = vmscm_fetch_read(fetch, VMSCM_PACK_CHUNK, &id, back, len, &err);
            if (rc)
                bad++;
            else
                assert_memory_equal(data, back, len);
        }
        /* Header and index damage the whole pack, a record only itself. The bytes of a checksum
         * are for fsck; reading rests on the hash. */
        bad += checked_bad(store);
        noticed += bad != 0;
        assert_true(bad != 0);
        vmscm_fetch_free(fetch);
        vmscm_store_close(store);
        assert_int_equal(pwrite(fd, whole.data + at, 1, (off_t)at), 1);
        close(fd);
    }
    assert_in_range(noticed, 100, 1000);
    vmscm_buf_release(&whole);
    free(path);
    free(data);
    free(back);
}

/* Append a record of one chunk, of bases that are chunks with these contents. */
static void add_record(struct vmscm_packwriter *writer, const uint8_t *data, size_t len,
    const uint8_t *const *bases, const size_t *base_lens, size_t base_count)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_pack_record r = {.type = VMSCM_PACK_CHUNK,
        .plain_len = (uint32_t)len,
        .part_count = 1,
        .parts = {(uint32_t)len},
        .base_count = (uint8_t)base_count};
    struct vmscm_buf prefix = VMSCM_BUF_INIT, bytes = VMSCM_BUF_INIT;
    struct vmscm_packwriter_part part = {.plain_len = (uint32_t)len};
    struct vmscm_compress *compress;
    enum vmscm_compress_algorithm algorithm;
    uint8_t *payload = malloc(len);
    size_t stored;

    for (size_t i = 0; i < base_count; i++) {
        id_of(&r.bases[i], bases[i], base_lens[i]);
        assert_done(vmscm_buf_append(&prefix, bases[i], base_lens[i], &err), &err);
    }
    id_of(&part.id, data, len);
    assert_done(vmscm_compress_new(&compress, 3, &err), &err);
    assert_done(vmscm_compress_encode(compress, payload, &stored, &algorithm, data, len,
                    base_count ? prefix.data : NULL, prefix.len, &err),
        &err);
    if (base_count)
        assert_in_range(stored, 1, 200);
    r.compression = (uint8_t)algorithm;
    r.stored_len = (uint32_t)stored;
    assert_done(vmscm_buf_reserve(&bytes, vmscm_pack_record_head(&r), &err), &err);
    bytes.len = vmscm_pack_encode_record(bytes.data, &r, payload);
    assert_done(vmscm_buf_append(&bytes, payload, stored, &err), &err);
    assert_done(vmscm_packwriter_add(writer,
                    &(struct vmscm_packwriter_record){.type = VMSCM_PACK_CHUNK,
                        .has_base = base_count > 0,
                        .parts = &part,
                        .part_count = 1,
                        .bytes = bytes.data,
                        .len = bytes.len},
                    &err),
        &err);
    vmscm_compress_free(compress);
    vmscm_buf_release(&prefix);
    vmscm_buf_release(&bytes);
    free(payload);
}

static int read_back(struct vmscm_store *store, const uint8_t *data, size_t len)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_fetch *fetch;
    struct vmscm_id id;
    uint8_t *back = malloc(len);

    id_of(&id, data, len);
    assert_done(vmscm_fetch_new(&fetch, store, &err), &err);
    int rc = vmscm_fetch_read(fetch, VMSCM_PACK_CHUNK, &id, back, len, &err);
    if (!rc)
        assert_memory_equal(data, back, len);
    vmscm_fetch_free(fetch);
    free(back);
    return rc;
}

/* A chunk compressed against two others, and one whose base has a base. */
static void record_with_bases(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_packwriter *writer;
    struct vmscm_store *store;
    uint8_t *a = malloc(65536), *b = malloc(65536), *both = malloc(131072), *deep = malloc(131072);
    size_t lens[2] = {0, 0}, len;
    char file[VMSCM_PACKFILE_NAME];
    uint64_t bytes, n = 0;

    (void)state;
    while (lens[0] < 30000)
        lens[0] = make_data(a, ++n);
    while (lens[1] < 30000)
        lens[1] = make_data(b, ++n);
    memcpy(both, a, lens[0]);
    memcpy(both + lens[0], b, lens[1]);
    len = lens[0] + lens[1];
    both[len / 3] ^= 1;
    memcpy(deep, both, len);
    deep[len / 4] ^= 1;
    assert_done(vmscm_packwriter_open(&writer, dir, false, &err), &err);
    add_record(writer, a, lens[0], NULL, NULL, 0);
    add_record(writer, b, lens[1], NULL, NULL, 0);
    add_record(writer, both, len, (const uint8_t *[]){a, b}, lens, 2);
    add_record(writer, deep, len, (const uint8_t *[]){both}, &len, 1);
    assert_done(vmscm_packwriter_finish(writer, file, &bytes, &err), &err);
    assert_done(vmscm_store_open(&store, dir, &err), &err);
    assert_int_equal(read_back(store, both, len), 0);
    assert_int_equal(read_back(store, deep, len), VMSCM_EDAMAGED);
    assert_int_equal(checked_bad(store), 1);
    vmscm_store_close(store);
    free(a);
    free(b);
    free(both);
    free(deep);
}

/* What a dead writer left is swept; what a living one writes is not. */
static void sweep(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_packwriter *writer;
    char path[128];

    (void)state;
    snprintf(path, sizeof path, "%s/tmp/pack-00112233445566778899aabbccddeeff.vpk", dir);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    assert_done(vmscm_packwriter_open(&writer, dir, false, &err), &err);
    assert_done(vmscm_packwriter_sweep(dir, &err), &err);
    assert_false(vmscm_file_exists(path));
    uint8_t one = 1;
    add_record(writer, &one, 1, NULL, NULL, 0);
    char file[VMSCM_PACKFILE_NAME];
    uint64_t size;
    assert_done(vmscm_packwriter_finish(writer, file, &size, &err), &err);
    snprintf(path, sizeof path, "%s/packs/%s", dir, file);
    assert_true(vmscm_file_exists(path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_once, setup, teardown),
        cmocka_unit_test_setup_teardown(same_with_any_threads, setup, teardown),
        cmocka_unit_test_setup_teardown(found_by_others, setup, teardown),
        cmocka_unit_test_setup_teardown(walk_meets_each_once, setup, teardown),
        cmocka_unit_test_setup_teardown(multi_pack_index, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_is_noticed, setup, teardown),
        cmocka_unit_test_setup_teardown(record_with_bases, setup, teardown),
        cmocka_unit_test_setup_teardown(sweep, setup, teardown),
    };
    return unit_run(tests);
}
