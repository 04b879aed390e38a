/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Records stored against others, vmscm-format-pack(5): wherever their bases are, and what a check-in
 * relies on that finds such a record. */
#include "codec/compress.h"
#include "formats.h"
#include "store/check.h"
#include "store/fetch.h"
#include "store/ingest.h"
#include "store/packwriter.h"
#include "storedir.h"
#include "sys/parallel.h"

#include <sched.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEN 20000u /* of a part */

/* Contents number n; those from 1000 on differ from the ones 1000 before in few places. */
static void make_part(uint8_t out[LEN], unsigned n)
{
    make_noise(out, LEN, n % 1000);
    for (unsigned i = 0; i < n / 1000; i++)
        out[5000 + i] ^= 1;
}

static void part_id(struct vmscm_id *id, unsigned n)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_hash *hash;
    uint8_t bytes[LEN];

    make_part(bytes, n);
    assert_done(vmscm_hash_new(&hash, &err), &err);
    assert_done(vmscm_hash_compute(hash, id, bytes, LEN, &err), &err);
    vmscm_hash_free(hash);
}

/* Append a record of `count` parts, contents `first` and those after it, against `base_count` bases,
 * each `step` after the one before. */
static void add(struct vmscm_packwriter *writer, unsigned first, unsigned count, unsigned base,
    unsigned step, unsigned base_count)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_pack_record *r = calloc(1, sizeof *r);
    struct vmscm_packwriter_part *parts = calloc(count, sizeof *parts);
    uint8_t *plain = malloc(count * LEN), *prefix = malloc((base_count + 1) * LEN);
    uint8_t *payload = malloc(count * LEN);
    enum vmscm_compress_algorithm algorithm;
    struct vmscm_buf bytes = VMSCM_BUF_INIT;
    struct vmscm_compress *compress;
    size_t stored;

    for (unsigned i = 0; i < count; i++) {
        make_part(plain + i * LEN, first + i);
        part_id(&parts[i].id, first + i);
        r->parts[i] = parts[i].plain_len = LEN;
    }
    for (unsigned i = 0; i < base_count; i++) {
        make_part(prefix + i * LEN, base + i * step);
        part_id(&r->bases[i], base + i * step);
    }
    assert_done(vmscm_compress_new(&compress, 3, &err), &err);
    assert_done(vmscm_compress_encode(compress, payload, &stored, &algorithm, plain, count * LEN,
                    base_count ? prefix : NULL, base_count * LEN, &err),
        &err);
    r->type = VMSCM_PACK_CHUNK;
    r->compression = (uint8_t)algorithm;
    r->base_count = (uint8_t)base_count;
    r->part_count = (uint16_t)count;
    r->plain_len = count * LEN;
    r->stored_len = (uint32_t)stored;
    assert_done(vmscm_buf_reserve(&bytes, vmscm_pack_record_head(r), &err), &err);
    bytes.len = vmscm_pack_encode_record(bytes.data, r, payload);
    assert_done(vmscm_buf_append(&bytes, payload, stored, &err), &err);
    assert_done(vmscm_packwriter_add(writer,
                    &(struct vmscm_packwriter_record){.type = VMSCM_PACK_CHUNK,
                        .has_base = base_count > 0,
                        .parts = parts,
                        .part_count = count,
                        .bytes = bytes.data,
                        .len = bytes.len},
                    &err),
        &err);
    vmscm_compress_free(compress);
    vmscm_buf_release(&bytes);
    free(payload);
    free(prefix);
    free(plain);
    free(parts);
    free(r);
}

static struct vmscm_packwriter *begin(void)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_packwriter *writer;

    assert_done(vmscm_packwriter_open(&writer, dir, false, &err), &err);
    return writer;
}

/* As a pack whose name begins with that letter: packs are searched in the order of their names. */
static void finish(struct vmscm_packwriter *writer, char letter, char path[128])
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char file[VMSCM_PACKFILE_NAME], from[128];
    uint64_t size;

    assert_done(vmscm_packwriter_finish(writer, file, &size, &err), &err);
    snprintf(from, sizeof from, "%s/packs/%s", dir, file);
    file[5] = letter;
    snprintf(path, 128, "%s/packs/%s", dir, file);
    assert_int_equal(rename(from, path), 0);
}

static int read_part(struct vmscm_fetch *fetch, unsigned n, struct vmscm_error *err)
{
    uint8_t want[LEN], got[LEN];
    struct vmscm_id id;

    make_part(want, n);
    part_id(&id, n);
    int rc = vmscm_fetch_read(fetch, VMSCM_PACK_CHUNK, &id, got, LEN, err);
    if (!rc)
        assert_memory_equal(want, got, LEN);
    return rc;
}

static int go_on(void *data, uint64_t bytes)
{
    (void)data, (void)bytes;
    return 0;
}

static void count_bad(void *data, const struct vmscm_packfile *pack, const struct vmscm_id *id,
    const struct vmscm_error *why)
{
    (void)pack, (void)id;
    assert_true(why->message[0] != '\0');
    ++*(unsigned *)data;
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

/* More bases, each in a large record of its own, than a reader keeps records. */
static void many_bases(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_packwriter *writer = begin();
    struct vmscm_store *store;
    struct vmscm_fetch *fetch;
    char path[128];

    (void)state;
    for (unsigned n = 0; n < VMSCM_PACK_BASES_MAX; n++)
        add(writer, 10 * n, 3 + 4 * (n % 2), 0, 0, 0);
    add(writer, 1000, 2, 0, 10, VMSCM_PACK_BASES_MAX);
    add(writer, 1010, 7, 0, 10, VMSCM_PACK_BASES_MAX);
    finish(writer, '0', path);
    assert_done(vmscm_store_open(&store, dir, &err), &err);
    assert_done(vmscm_fetch_new(&fetch, store, &err), &err);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned n = 0; n < 2; n++) /* P11 */
            assert_done(read_part(fetch, 1000 + n, &err), &err);
        for (unsigned n = 0; n < 7; n++)
            assert_done(read_part(fetch, 1010 + n, &err), &err);
        for (unsigned n = 0; n < VMSCM_PACK_BASES_MAX; n++)
            assert_done(read_part(fetch, 10 * n + 2, &err), &err);
    }
    vmscm_fetch_free(fetch);
    assert_int_equal(checked_bad(store), 0);
    vmscm_store_close(store);
}

/* A base that is a part of the same record, or the record itself. */
static void own_base(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_packwriter *writer = begin();
    struct vmscm_store *store;
    struct vmscm_fetch *fetch;
    char path[128];

    (void)state;
    add(writer, 1, 2, 1, 1, 1);
    add(writer, 10, 1, 10, 1, 1);
    add(writer, 20, 1, 30, 1, 1);
    add(writer, 30, 1, 20, 1, 1);
    finish(writer, '0', path);
    assert_done(vmscm_store_open(&store, dir, &err), &err);
    assert_done(vmscm_fetch_new(&fetch, store, &err), &err);
    static const unsigned all[] = {1, 2, 10, 20, 30};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) /* P11 */
        assert_fails(
            read_part(fetch, all[i], &err), &err, VMSCM_EDAMAGED, "a base has a base");
    vmscm_fetch_free(fetch);
    assert_int_equal(checked_bad(store), 5);
    vmscm_store_close(store);
}

/* A chunk that is found first where its base has gone, in a directory that changes while the base is
 * looked for. */
static void moved_meanwhile(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_packwriter *writer = begin();
    struct vmscm_store *store;
    struct vmscm_fetch *fetch;
    char base[128], path[128];

    (void)state;
    add(writer, 1, 1, 0, 0, 0);
    finish(writer, '5', base);
    writer = begin();
    add(writer, 1001, 1, 1, 1, 1);
    finish(writer, '6', path);
    assert_done(vmscm_store_open(&store, dir, &err), &err);
    assert_int_equal(unlink(base), 0);
    writer = begin();
    add(writer, 1001, 1, 0, 0, 0);
    finish(writer, '1', path);
    assert_done(vmscm_fetch_new(&fetch, store, &err), &err);
    assert_done(read_part(fetch, 1001, &err), &err); /* P22 */
    vmscm_fetch_free(fetch);
    vmscm_store_close(store);
}

/* Bring contents number n, near others; returns how many chunks were new. */
static uint64_t bring_near(struct vmscm_store *store, unsigned n, const unsigned *near,
    size_t count)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_ingest_counts counts;
    struct vmscm_ingest_lane *lane;
    struct vmscm_ingest *ingest;
    struct vmscm_id id, near_ids[2];
    uint8_t bytes[LEN];

    make_part(bytes, n);
    part_id(&id, n);
    for (size_t i = 0; i < count; i++)
        part_id(&near_ids[i], near[i]);
    assert_done(vmscm_ingest_open(&ingest, store, dir, 3, NULL, &err), &err);
    assert_done(vmscm_ingest_lane_new(&lane, ingest, &err), &err);
    assert_done(
        vmscm_ingest_lane_add_near(lane, 0, &id, bytes, LEN, near_ids, count, &err), &err);
    assert_done(vmscm_ingest_lane_end_unit(lane, 0, &err), &err);
    vmscm_ingest_lane_free(lane);
    assert_done(vmscm_ingest_finish(ingest, &counts, &err), &err);
    return counts.fresh_chunks;
}

static uint64_t bring(struct vmscm_store *store, unsigned n, const unsigned *near)
{
    return bring_near(store, n, near, near != NULL);
}

/* Of the chunks at a place only those become bases that have something of the new one. */
static void others_dropped(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    static const unsigned near[2][2] = {{2, 1}, {1, 2}};
    struct vmscm_store *store;
    struct vmscm_fetch *fetch;

    (void)state;
    assert_done(vmscm_store_open(&store, dir, &err), &err);
    assert_done(vmscm_fetch_new(&fetch, store, &err), &err);
    bring(store, 1, NULL);
    bring(store, 2, NULL);
    for (unsigned i = 0; i < 2; i++) {
        struct vmscm_id id, is, bases[VMSCM_PACK_BASES_MAX];
        size_t count = 0;
        assert_int_equal(bring_near(store, 1001 + 1000 * i, near[i], 2), 1);
        part_id(&id, 1001 + 1000 * i);
        assert_done(vmscm_fetch_find_bases(fetch, &id, bases, &count, &err), &err);
        part_id(&is, 1);
        assert_int_equal(count, 1);
        assert_int_equal(vmscm_hash_cmp(&bases[0], &is), 0);
        assert_done(read_part(fetch, 1001 + 1000 * i, &err), &err);
    }
    vmscm_fetch_free(fetch);
    vmscm_store_close(store);
}

/* Nothing is stored against a chunk that is damaged, wherever in its record. */
static void base_damaged(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    static const unsigned near = 1;
    struct vmscm_store *store;
    struct vmscm_fetch *fetch;
    struct vmscm_pack_entry entry;
    struct vmscm_id id;
    unsigned char byte;

    (void)state;
    assert_done(vmscm_store_open(&store, dir, &err), &err);
    bring(store, 1, NULL);
    int fd = open(vmscm_store_pack(store, 0)->path, O_RDONLY);
    assert_true(fd >= 0 && fchmod(fd, 0600) == 0 && close(fd) == 0);
    fd = open(vmscm_store_pack(store, 0)->path, O_RDWR);
    part_id(&id, 1);
    assert_true(vmscm_store_find(store, &entry, &id));
    for (unsigned i = 0; i < 2; i++) {
        off_t at = (off_t)entry.offset + (i ? (off_t)entry.length - 1 : VMSCM_PACK_RECORD_SIZE);
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        assert_int_equal(bring(store, 1001 + 1000 * i, &near), 1);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        struct vmscm_pack_entry new;
        part_id(&id, 1001 + 1000 * i);
        assert_true(vmscm_store_find(store, &new, &id));
        assert_false(new.has_base);
    }
    close(fd);
    bring(store, 3001, &near);
    part_id(&id, 3001);
    assert_true(vmscm_store_find(store, &entry, &id));
    assert_true(entry.has_base);
    assert_done(vmscm_fetch_new(&fetch, store, &err), &err);
    for (unsigned n = 1; n < 4000; n += 1000)
        assert_done(read_part(fetch, n, &err), &err);
    vmscm_fetch_free(fetch);
    vmscm_store_close(store);
}

/* A chunk whose base is gone is not one that is there, until it is brought again. */
static void base_gone(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    static const unsigned near = 1;
    struct vmscm_store *store;
    struct vmscm_fetch *fetch;
    struct vmscm_pack_entry entry;
    struct vmscm_id id;

    (void)state;
    assert_done(vmscm_store_open(&store, dir, &err), &err);
    assert_int_equal(bring(store, 1, NULL), 1);
    char *base = strdup(vmscm_store_pack(store, 0)->path);
    assert_int_equal(bring(store, 1001, &near), 1);
    part_id(&id, 1001);
    assert_true(vmscm_store_find(store, &entry, &id));
    assert_true(entry.has_base);
    assert_int_equal(bring(store, 1001, &near), 0);
    vmscm_store_close(store);
    assert_int_equal(unlink(base), 0);
    assert_done(vmscm_store_open(&store, dir, &err), &err);
    assert_int_equal(bring(store, 1001, &near), 1);
    assert_int_equal(bring(store, 1001, &near), 0);
    assert_done(vmscm_fetch_new(&fetch, store, &err), &err);
    assert_done(read_part(fetch, 1001, &err), &err);
    vmscm_fetch_free(fetch);
    vmscm_store_close(store);
    free(base);
}

/* Who finds a chunk relies on its base, too, wherever that is. */
static void base_relied_on(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    static const unsigned near = 1;
    struct vmscm_store *store;

    (void)state;
    assert_done(vmscm_store_open(&store, dir, &err), &err);
    bring(store, 1, NULL);
    char *base = strdup(vmscm_store_pack(store, 0)->path), away[64];
    snprintf(away, sizeof away, "%s/away", dir);
    bring(store, 1001, &near);
    vmscm_store_close(store);
    for (int found = 0; found < 2; found++) {
        assert_done(vmscm_store_open(&store, dir, &err), &err);
        assert_done(vmscm_store_confirm(store, &err), &err);
        if (found)
            assert_int_equal(bring(store, 1001, NULL), 0);
        else
            assert_int_equal(bring(store, 2001, &near), 1);
        assert_int_equal(rename(base, away), 0);
        assert_fails(vmscm_store_confirm(store, &err), &err, VMSCM_EBUSY, "relied on");
        vmscm_error_clear(&err);
        assert_int_equal(rename(away, base), 0);
        vmscm_store_close(store);
    }
    free(base);
}

/* A base that is stored in two packs, in the first of them against another: it is taken from the
 * second. */
static void base_in_two(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_packwriter *writer;
    struct vmscm_store *store;
    struct vmscm_fetch *fetch;
    char path[128];

    (void)state;
    writer = begin();
    add(writer, 1, 1, 0, 0, 0);
    add(writer, 1001, 1, 1, 1, 1);
    finish(writer, '1', path);
    writer = begin();
    add(writer, 1001, 1, 0, 0, 0);
    add(writer, 2001, 1, 1001, 1, 1);
    finish(writer, '2', path);
    assert_done(vmscm_store_open(&store, dir, &err), &err);
    assert_done(vmscm_fetch_new(&fetch, store, &err), &err);
    assert_done(read_part(fetch, 2001, &err), &err); /* P11 */
    vmscm_fetch_free(fetch);
    assert_int_equal(bring(store, 2001, NULL), 0);
    assert_int_equal(checked_bad(store), 0);
    vmscm_store_close(store);
}

struct readers {
    struct vmscm_store *store;
    unsigned n;
    atomic_uint ready;
    atomic_uint failed;
};

static int read_at_once(struct vmscm_parallel *p, unsigned index, struct vmscm_error *err)
{
    struct readers *r = p->data;
    struct vmscm_fetch *fetch;
    struct vmscm_id id;
    uint8_t got[LEN];

    (void)index;
    part_id(&id, r->n);
    if (vmscm_fetch_new(&fetch, r->store, err))
        return VMSCM_ENOMEM;
    atomic_fetch_add(&r->ready, 1);
    for (unsigned i = 0; i < 100000 && atomic_load(&r->ready) < p->jobs; i++)
        sched_yield();
    if (vmscm_fetch_read(fetch, VMSCM_PACK_CHUNK, &id, got, LEN, err))
        atomic_fetch_add(&r->failed, 1);
    vmscm_fetch_free(fetch);
    return 0;
}

/* A pack that came later, looked for by several threads: whichever reads the directory, all find it. */
static void missed_at_once(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct readers r = {0};
    char path[128];

    (void)state;
    assert_done(vmscm_store_open(&r.store, dir, &err), &err);
    for (r.n = 1; r.n <= 100; r.n++) {
        struct vmscm_packwriter *writer = begin();
        add(writer, r.n, 1, 0, 0, 0);
        finish(writer, '0', path);
        atomic_store(&r.ready, 0);
        assert_done(vmscm_parallel_run(2, read_at_once, &r, &err), &err);
        assert_int_equal(atomic_load(&r.failed), 0);
    }
    vmscm_store_close(r.store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(many_bases, setup, teardown),
        cmocka_unit_test_setup_teardown(own_base, setup, teardown),
        cmocka_unit_test_setup_teardown(moved_meanwhile, setup, teardown),
        cmocka_unit_test_setup_teardown(others_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(base_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(base_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(base_relied_on, setup, teardown),
        cmocka_unit_test_setup_teardown(base_in_two, setup, teardown),
        cmocka_unit_test_setup_teardown(missed_at_once, setup, teardown),
    };
    return unit_run(tests);
}
