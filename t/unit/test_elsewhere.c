/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A store that has its data elsewhere: what comes is believed only if it has the id that was asked for,
 * and the cache keeps what is held. */
#include "codec/compress.h"
#include "storedir.h"
#include "store/batch.h"
#include "store/fetch.h"

#include <pthread.h>
#include <stdatomic.h>

#define CHUNKS 64
#define SIZE 65536u

enum lie {
    HONEST,
    WRONG_BYTES,    /* with a checksum that fits them */
    WRONG_CHECKSUM,
    SOMETHING_ELSE, /* a chunk of which nobody asked */
    TWICE,
    NOTHING,
    LOST_BASE,      /* stored against what is nowhere */
    CUT,
    GARBAGE,
};

struct far {
    uint8_t bytes[CHUNKS][SIZE];
    struct vmscm_id ids[CHUNKS];
    enum lie lie;
    atomic_uint requests;
};

static struct far far;

static void make_far(void)
{
    struct vmscm_hash *hash;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    uint32_t x = 1;

    assert_done(vmscm_hash_new(&hash, &err), &err);
    for (size_t i = 0; i < CHUNKS; i++) {
        for (size_t k = 0; k < SIZE; k++)
            far.bytes[i][k] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
        assert_done(vmscm_hash_compute(hash, &far.ids[i], far.bytes[i], SIZE, &err), &err);
    }
    vmscm_hash_free(hash);
    far.lie = HONEST;
    atomic_store(&far.requests, 0);
}

static int give(struct vmscm_elsewhere_take *take, const uint8_t *bytes, enum lie lie,
    struct vmscm_error *err)
{
    static uint8_t record[SIZE + 200];
    struct vmscm_pack_record head = {.type = VMSCM_PACK_CHUNK,
        .compression = VMSCM_COMPRESS_NONE,
        .part_count = 1,
        .parts = {SIZE},
        .plain_len = SIZE,
        .stored_len = SIZE};
    size_t at, len;

    if (lie == LOST_BASE) {
        head.base_count = 1;
        memset(head.bases[0].bytes, 7, sizeof head.bases[0].bytes);
    }
    at = vmscm_pack_record_head(&head);
    memcpy(record + at, bytes, SIZE);
    record[at + 100] ^= lie == WRONG_BYTES;
    vmscm_pack_encode_record(record, &head, record + at);
    record[at + 200] ^= lie == WRONG_CHECKSUM;
    len = at + SIZE - (lie == CUT);
    if (lie == GARBAGE)
        memset(record, 0xa5, len);
    return vmscm_elsewhere_record(take, record, len, err);
}

static int bring(void *data, const struct vmscm_elsewhere_want *wants, size_t count,
    struct vmscm_elsewhere_take *take, struct vmscm_error *err)
{
    struct far *f = data;
    int rc = 0;

    atomic_fetch_add(&f->requests, 1);
    for (size_t i = 0; i < count && !rc; i++)
        for (size_t k = 0; k < CHUNKS && !rc; k++) {
            if (vmscm_hash_cmp(&wants[i].id, &f->ids[k]) != 0 || f->lie == NOTHING)
                continue;
            rc = give(take, f->bytes[f->lie == SOMETHING_ELSE ? (k + 1) % CHUNKS : k], f->lie, err);
            if (!rc && f->lie == TWICE)
                rc = give(take, f->bytes[k], f->lie, err);
        }
    return rc;
}

static struct vmscm_store *open_store(uint64_t cache_size)
{
    const struct vmscm_elsewhere where = {
        .name = "far", .cache_size = cache_size, .bring = bring, .data = &far};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_store *store;

    assert_done(vmscm_store_open(&store, dir, &err), &err);
    assert_done(vmscm_elsewhere_set(store, &where, &err), &err);
    return store;
}

static int read_chunk(struct vmscm_store *store, size_t i, enum vmscm_fetch_reach reach,
    struct vmscm_error *err)
{
    static _Thread_local uint8_t out[SIZE];
    struct vmscm_fetch *fetch = NULL;
    int rc = vmscm_fetch_new(&fetch, store, err);

    if (rc)
        return rc;
    vmscm_fetch_set_reach(fetch, reach);
    rc = vmscm_fetch_read(fetch, VMSCM_PACK_CHUNK, &far.ids[i], out, SIZE, err);
    if (!rc && memcmp(out, far.bytes[i], SIZE) != 0)
        abort();
    vmscm_fetch_free(fetch);
    return rc;
}

static void test_lies(void **state)
{
    static const struct {
        enum lie lie;
        int code;
    } cases[] = {{WRONG_BYTES, VMSCM_EINPUT}, {WRONG_CHECKSUM, VMSCM_EINPUT},
        {SOMETHING_ELSE, VMSCM_EINPUT}, {TWICE, VMSCM_EINPUT}, {NOTHING, VMSCM_EDAMAGED},
        {LOST_BASE, VMSCM_EDAMAGED}, {CUT, VMSCM_EINPUT}, {GARBAGE, VMSCM_EINPUT}};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_store *store;

    (void)state;
    make_far();
    store = open_store(UINT64_C(1) << 30);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        vmscm_error_clear(&err);
        far.lie = cases[i].lie;
        assert_int_equal(read_chunk(store, i, VMSCM_FETCH_ELSEWHERE, &err), cases[i].code);
        assert_non_null(strstr(err.message, "only at far"));
        /* Of one that was sent twice the first was good. */
        assert_int_equal(read_chunk(store, i, VMSCM_FETCH_CACHED, &err) == 0, cases[i].lie == TWICE);
    }
    far.lie = HONEST;
    for (size_t i = 0; i < CHUNKS; i++)
        assert_done(read_chunk(store, i, VMSCM_FETCH_ELSEWHERE, &err), &err);
    /* What was brought is no part of the repository. */
    assert_int_equal(read_chunk(store, 0, VMSCM_FETCH_OWN, &err), VMSCM_EDAMAGED);
    vmscm_store_close(store);
}

static atomic_uint unread;

static void *reader(void *data)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;

    for (size_t i = 0; i < CHUNKS; i++)
        if (read_chunk(data, i, VMSCM_FETCH_ELSEWHERE, &err))
            atomic_fetch_add(&unread, 1);
    return NULL;
}

/* All miss the same at once: each comes once. */
static void test_threads(void **state)
{
    struct vmscm_store *store;

    (void)state;
    make_far();
    store = open_store(UINT64_C(1) << 30);
    atomic_store(&unread, 0);
    assert_true(unit_threads(8, reader, store, 0));
    assert_int_equal(atomic_load(&unread), 0);
    assert_int_equal(atomic_load(&far.requests), CHUNKS);
    vmscm_store_close(store);
}

/* With no room at all they come again and again, and all are read. */
static void test_threads_without_room(void **state)
{
    struct vmscm_store *store;
    uint64_t packs, bytes;

    (void)state;
    make_far();
    store = open_store(0);
    atomic_store(&unread, 0);
    assert_true(unit_threads(4, reader, store, 0));
    assert_int_equal(atomic_load(&unread), 0);
    assert_int_equal(vmscm_cache_measure(dir, &packs, &bytes, NULL), 0);
    assert_true(packs <= 8);
    vmscm_store_close(store);
}

static atomic_bool evicting;

static void *evictor(void *data)
{
    struct vmscm_cache *cache = data;

    while (atomic_load(&evicting))
        vmscm_cache_evict(cache, 0, NULL);
    return NULL;
}

/* What another process evicts before it was seen is asked for again; that much luck is told as such. */
static void test_evicted_at_once(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_cache *cache;
    struct vmscm_store *store;
    pthread_t thread;

    (void)state;
    make_far();
    store = open_store(UINT64_C(1) << 30);
    assert_done(vmscm_cache_open(&cache, dir, false, &err), &err);
    atomic_store(&evicting, true);
    assert_int_equal(pthread_create(&thread, NULL, evictor, cache), 0);
    for (size_t i = 0; i < 20 * CHUNKS && (!err.code || err.code == VMSCM_EBUSY); i++) {
        vmscm_error_clear(&err);
        read_chunk(store, i % CHUNKS, VMSCM_FETCH_ELSEWHERE, &err);
    }
    atomic_store(&evicting, false);
    pthread_join(thread, NULL);
    if (err.code && err.code != VMSCM_EBUSY)
        fail_msg("%s", err.message);
    vmscm_cache_close(cache);
    vmscm_store_close(store);
}

/* What a batch holds stays, whatever else is brought; then the oldest goes. */
static void test_batch(void **state)
{
    static const struct vmscm_id none;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_store *store;
    struct vmscm_batch batch;
    uint64_t packs, bytes;

    (void)state;
    make_far();
    store = open_store(3 * SIZE);
    assert_true(vmscm_batch_init(&batch, store));
    for (size_t i = 0; i < 16; i++)
        assert_done(vmscm_batch_add_chunk(&batch, &far.ids[i], SIZE, &none, &err), &err);
    assert_int_equal(batch.bytes, 16 * SIZE);
    assert_done(vmscm_batch_bring(&batch, &err), &err);
    assert_int_equal(atomic_load(&far.requests), 1);
    for (size_t i = 16; i < 32; i++)
        assert_done(read_chunk(store, i, VMSCM_FETCH_ELSEWHERE, &err), &err);
    for (size_t i = 0; i < 16; i++)
        assert_done(read_chunk(store, i, VMSCM_FETCH_CACHED, &err), &err);
    assert_int_equal(atomic_load(&far.requests), 17);
    vmscm_batch_release(&batch);
    assert_done(read_chunk(store, 40, VMSCM_FETCH_ELSEWHERE, &err), &err);
    assert_int_equal(read_chunk(store, 0, VMSCM_FETCH_CACHED, &err), VMSCM_EDAMAGED);
    assert_done(read_chunk(store, 40, VMSCM_FETCH_CACHED, &err), &err);
    assert_int_equal(vmscm_cache_measure(dir, &packs, &bytes, NULL), 0);
    assert_true(bytes <= 3 * SIZE);
    vmscm_store_close(store);
}

/* A store that has all does nothing of this. */
static void test_whole(void **state)
{
    static const struct vmscm_id id;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_store *store;
    struct vmscm_batch batch;

    (void)state;
    assert_done(vmscm_store_open(&store, dir, &err), &err);
    assert_false(vmscm_batch_init(&batch, store));
    assert_done(vmscm_batch_add_leaf(&batch, &id, &err), &err);
    assert_done(vmscm_batch_bring(&batch, &err), &err);
    vmscm_batch_release(&batch);
    assert_null(vmscm_elsewhere_of(store));
    vmscm_store_close(store);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_lies),
        TEST(test_threads),
        TEST(test_threads_without_room),
        TEST(test_evicted_at_once),
        TEST(test_batch),
        TEST(test_whole),
    };

    return unit_run(tests);
}
