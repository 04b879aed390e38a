/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/store/packqueue and what rests on it: several packs of one check-in, in order, and failures. */
#include "codec/hash.h"
#include "formats.h"
#include "store/check.h"
#include "store/fetch.h"
#include "store/ingest.h"
#include "store/packqueue.h"
#include "store/store.h"
#include "storedir.h"
#include "sys/direct.h"
#include "sys/file.h"
#include "sys/parallel.h"

#include <fcntl.h>
#include <unistd.h>

#define PARTS VMSCM_PACK_PARTS_MAX
#define PACK_RECORDS (VMSCM_PACKQUEUE_ENTRIES / PARTS) /* of PARTS chunks each, in a full pack */

/* Record number n: plain, PARTS chunks of one byte. */
static struct vmscm_packqueue_item *make_record(unsigned n)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_packqueue_item *item = calloc(1, sizeof *item + PARTS * sizeof *item->parts);
    struct vmscm_pack_record *r = calloc(1, sizeof *r);
    uint8_t payload[PARTS];

    assert_non_null(item);
    assert_non_null(r);
    r->type = VMSCM_PACK_CHUNK;
    r->part_count = r->plain_len = r->stored_len = PARTS;
    memset(payload, (int)n, sizeof payload);
    item->type = VMSCM_PACK_CHUNK;
    item->part_count = PARTS;
    item->at = n % 3; /* what comes before it is not the record's */
    for (unsigned i = 0; i < PARTS; i++) {
        r->parts[i] = 1;
        item->parts[i] = (struct vmscm_packwriter_part){make_id((uint64_t)n * PARTS + i), 1};
    }
    size_t head = vmscm_pack_record_head(r);
    assert_done(vmscm_buf_reserve(&item->bytes, item->at + head + PARTS, &err), &err);
    vmscm_pack_encode_record(item->bytes.data + item->at, r, payload);
    memcpy(item->bytes.data + item->at + head, payload, PARTS);
    item->bytes.len = item->at + head + PARTS;
    free(r);
    return item;
}

struct seen {
    unsigned packs;
    unsigned fail_at; /* the pack at which to fail */
    char files[4][VMSCM_PACKFILE_NAME];
};

static int see(void *data, const char *file, uint64_t bytes, unsigned pack,
    struct vmscm_error *err)
{
    struct seen *seen = data;
    struct stat st;
    char path[128];

    if (pack == seen->fail_at)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "made to fail");
    snprintf(path, sizeof path, "%s/packs/%s", dir, file);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, bytes);
    assert_int_equal(pack, seen->packs);
    snprintf(seen->files[seen->packs++], VMSCM_PACKFILE_NAME, "%s", file);
    return 0;
}

/* Packs end where they are full, are told of in order once they are there, and hold what they must,
 * whether they went through the page cache or past it. */
static void in_order(void **state)
{
    enum { COUNT = 2 * PACK_RECORDS + 3 };
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_packqueue *queue;
    struct vmscm_store *store;
    struct seen seen = {.fail_at = 99};

    (void)state;
    assert_done(vmscm_packqueue_open(&queue, dir, NULL, see, &seen, &err), &err);
    for (unsigned n = 0; n < COUNT; n++) {
        assert_int_equal(vmscm_packqueue_pack(queue), n / PACK_RECORDS);
        assert_done(vmscm_packqueue_put(queue, make_record(n), &err), &err);
        assert_done(vmscm_packqueue_wait(queue, &err), &err);
    }
    assert_done(vmscm_packqueue_close(queue, &err), &err);
    assert_int_equal(seen.packs, 3);
    assert_done(vmscm_store_open(&store, dir, &err), &err);
    assert_done(vmscm_store_examine(store, &err), &err);
    assert_int_equal(vmscm_store_pack_count(store), 3);
    for (uint64_t n = 0; n < COUNT * PARTS; n += PARTS - 1) {
        struct vmscm_pack_entry entry;
        struct vmscm_pack_record *r = malloc(sizeof *r);
        struct vmscm_id id = make_id(n);
        uint8_t bytes[VMSCM_PACK_RECORD_SIZE + 5 * PARTS];
        struct vmscm_packfile *pack = vmscm_store_locate(store, &entry, &id, 0);
        assert_non_null(pack);
        assert_string_equal(
            strrchr(pack->path, '/') + 1, seen.files[n / PARTS / PACK_RECORDS]);
        assert_int_equal(entry.length, sizeof bytes);
        assert_done(vmscm_store_pread(store, pack, bytes, sizeof bytes, entry.offset, &err), &err);
        assert_done(vmscm_pack_decode_record(r, bytes, sizeof bytes, &err), &err);
        assert_true(vmscm_pack_check_record(r, bytes));
        assert_int_equal(bytes[sizeof bytes - 1], (uint8_t)(n / PARTS));
        free(r);
    }
    vmscm_store_close(store);
}

static void nothing_put(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_packqueue *queue;
    struct seen seen = {.fail_at = 99};

    (void)state;
    assert_done(vmscm_packqueue_open(&queue, dir, NULL, see, &seen, &err), &err);
    assert_done(vmscm_packqueue_close(queue, &err), &err);
    assert_int_equal(seen.packs, 0);
}

/* A failure of the queue's threads is told to those who put, to those who wait, and by close. */
static void failures(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_packqueue *queue;
    struct seen seen = {.fail_at = 1};
    char path[128];
    unsigned n = 0;
    int rc;

    (void)state;
    assert_done(vmscm_packqueue_open(&queue, dir, NULL, see, &seen, &err), &err);
    do
        rc = vmscm_packqueue_put(queue, make_record(n), &err);
    while (!rc && n++ < 8 * PACK_RECORDS && !(rc = vmscm_packqueue_wait(queue, &err)));
    assert_in_range(n, 2 * PACK_RECORDS - 1, 8 * PACK_RECORDS - 1);
    assert_int_equal(rc, VMSCM_EDAMAGED);
    assert_fails(vmscm_packqueue_put(queue, make_record(n), &err), &err, VMSCM_EDAMAGED, "made");
    assert_fails(vmscm_packqueue_wait(queue, &err), &err, VMSCM_EDAMAGED, "made to fail");
    assert_fails(vmscm_packqueue_close(queue, &err), &err, VMSCM_EDAMAGED, "made to fail");
    assert_int_equal(seen.packs, 1);

    /* The last pack, and one that cannot even be begun. */
    seen.fail_at = 1;
    seen.packs = 0;
    vmscm_error_clear(&err);
    assert_done(vmscm_packqueue_open(&queue, dir, NULL, see, &seen, &err), &err);
    for (n = 0; n <= PACK_RECORDS; n++)
        assert_done(vmscm_packqueue_put(queue, make_record(n), &err), &err);
    assert_fails(vmscm_packqueue_close(queue, &err), &err, VMSCM_EDAMAGED, "made to fail");
    snprintf(path, sizeof path, "%s/tmp", dir);
    assert_done(vmscm_file_remove_tree(path, &err), &err);
    vmscm_error_clear(&err);
    assert_done(vmscm_packqueue_open(&queue, dir, NULL, see, &seen, &err), &err);
    assert_done(vmscm_packqueue_put(queue, make_record(0), &err), &err);
    assert_fails(vmscm_packqueue_close(queue, &err), &err, VMSCM_ENOTFOUND, "/tmp/pack-");
}

/* What was put and never finished leaves nothing. */
static void aborted(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_packqueue *queue;
    struct seen seen = {.fail_at = 99};
    char path[128];

    (void)state;
    assert_done(vmscm_packqueue_open(&queue, dir, NULL, see, &seen, &err), &err);
    for (unsigned n = 0; n < 10; n++)
        assert_done(vmscm_packqueue_put(queue, make_record(n), &err), &err);
    vmscm_packqueue_abort(queue);
    assert_int_equal(seen.packs, 0);
    snprintf(path, sizeof path, "%s/tmp", dir);
    assert_int_equal(rmdir(path), 0);
}

#define UNITS (3 * VMSCM_PACKQUEUE_ENTRIES / PARTS)

struct job {
    struct vmscm_ingest *ingest;
    atomic_uint next;
};

/* Unit n brings the chunks of number n, and those of n / 2 that another brings, too, some later than
 * the pack that has them. */
static int add_units(struct vmscm_parallel *p, unsigned index, struct vmscm_error *err)
{
    struct job *job = p->data;
    struct vmscm_ingest_lane *lane = NULL;
    unsigned unit;
    int rc = vmscm_ingest_lane_new(&lane, job->ingest, err);

    (void)index;
    while (!rc && (unit = atomic_fetch_add(&job->next, 1)) < UNITS) {
        for (unsigned i = 0; i < 2 * PARTS && !rc; i++) {
            uint64_t n = (uint64_t)(i < PARTS ? unit : unit / 2) * PARTS + i % PARTS;
            struct vmscm_id id = make_id(n);
            rc = vmscm_ingest_lane_add(lane, unit, VMSCM_PACK_CHUNK, &id, &n, sizeof n, err);
        }
        if (!rc)
            rc = vmscm_ingest_lane_end_unit(lane, unit, err);
    }
    if (rc)
        vmscm_ingest_stop(job->ingest);
    vmscm_ingest_lane_free(lane);
    return rc;
}

/* A check-in that fills several packs stores each chunk once, whatever the number of threads. */
static void each_once(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_ingest_counts counts;
    struct vmscm_store *store;

    for (unsigned jobs = 1; jobs <= 4; jobs *= 2) {
        struct job job = {0};
        uint64_t stored = 0;
        assert_done(vmscm_store_open(&store, dir, &err), &err);
        assert_done(vmscm_ingest_open(&job.ingest, store, dir, 1, NULL, &err), &err);
        assert_done(vmscm_parallel_run(jobs, add_units, &job, &err), &err);
        assert_done(vmscm_ingest_finish(job.ingest, &counts, &err), &err);
        assert_int_equal(counts.fresh_chunks, UNITS * PARTS);
        assert_int_equal(counts.fresh, UNITS * PARTS * 8);
        assert_int_equal(vmscm_store_pack_count(store), 3);
        for (size_t i = 0; i < 3; i++) {
            stored += vmscm_store_pack(store, i)->file_size;
            assert_int_equal(
                vmscm_store_pack(store, i)->trailer.entry_count, VMSCM_PACKQUEUE_ENTRIES);
        }
        assert_int_equal(counts.stored, stored);
        vmscm_store_close(store);
        teardown(NULL);
        assert_int_equal(setup(state), 0);
    }
}

/* What cannot be written past the page cache goes through it; what is written either way is there. */
static void direct(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    uint8_t *bytes = vmscm_direct_alloc(2 * VMSCM_DIRECT_BLOCK);
    uint8_t back[VMSCM_DIRECT_BLOCK + 100];
    char path[128];
    bool on;
    int fd;

    (void)state;
    assert_non_null(bytes);
    memset(bytes, 7, 2 * VMSCM_DIRECT_BLOCK);
    snprintf(path, sizeof path, "%s/file", dir);
    assert_done(vmscm_file_open(&fd, path, O_RDWR | O_CREAT, 0666, &err), &err);
    on = vmscm_direct_set(fd, true);
    assert_int_equal(on, (fcntl(fd, F_GETFL) & O_DIRECT) != 0);
    assert_done(vmscm_direct_pwrite(fd, &on, bytes, VMSCM_DIRECT_BLOCK, 0, path, &err), &err);
    /* Neither memory, length nor offset of whole blocks. */
    assert_done(vmscm_direct_pwrite(fd, &on, bytes + 1, 100, VMSCM_DIRECT_BLOCK, path, &err), &err);
    assert_int_equal(on, (fcntl(fd, F_GETFL) & O_DIRECT) != 0);
    assert_false(vmscm_direct_set(fd, false));
    assert_done(vmscm_file_pread(fd, back, sizeof back, 0, path, &err), &err);
    for (size_t i = 0; i < sizeof back; i++)
        assert_int_equal(back[i], 7);
    on = vmscm_direct_set(fd, true);
    close(fd);
    assert_fails(vmscm_direct_pwrite(fd, &on, bytes, VMSCM_DIRECT_BLOCK, 0, path, &err), &err,
        VMSCM_EIO, path);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_put, setup, teardown),
        cmocka_unit_test_setup_teardown(failures, setup, teardown),
        cmocka_unit_test_setup_teardown(aborted, setup, teardown),
        cmocka_unit_test_setup_teardown(each_once, setup, teardown),
        cmocka_unit_test_setup_teardown(direct, setup, teardown),
    };

    return unit_run(tests);
}
