/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading a stored disk in any order from many threads, and the cache and readahead behind that. */
#include "repo/readahead.h"
#include "store/recordcache.h"
#include "sys/file.h"
#include "sys/workqueue.h"
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vmscm/checkin.h>
#include <vmscm/disk.h>
#include <vmscm/gc.h>
#include <vmscm/revision.h>

#define DISK ((40u << 20) + 5120) /* its last segment is short, its last block half */
#define READERS 32

static char dir[] = "/tmp/vmscm-test-disk-XXXXXX";
static uint8_t *bytes; /* what the disk holds */

static uint64_t next(uint64_t *x)
{
    *x ^= *x << 13, *x ^= *x >> 7, *x ^= *x << 17;
    return *x;
}

/* Data that compresses a little, with holes of all sizes: of blocks, of segments, at the end. */
static void fill(void)
{
    uint64_t x = 88172645463325252u;

    for (size_t at = 0; at < DISK; at += 4096) {
        size_t len = DISK - at < 4096 ? DISK - at : 4096;
        bool hole = (at >= (17u << 20) && at < (33u << 20)) || (at >> 12) % 50 == 7 ||
                    (at >> 12) % 611 > 600;
        for (size_t i = 0; i < len && !hole; i++)
            bytes[at + i] = (uint8_t)(next(&x) & 31);
    }
}

static int setup(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_repo *repo = NULL;
    char *path = NULL, image[64];
    struct vmscm_checkin_disk disk = {.path = image, .id = "vda", .format = "raw"};
    struct vmscm_checkin_options options = {.jobs = 2};
    struct vmscm_checkin_result result;
    int fd;

    memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    if (!mkdtemp(dir) || !(bytes = calloc(1, DISK)))
        return -1;
    fill();
    setenv("HOME", dir, 1);
    snprintf(image, sizeof image, "%s/disk.img", dir);
    fd = open(image, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, bytes, DISK) != (ssize_t)DISK || close(fd) ||
        vmscm_repo_init(&path, dir, 0, &err) || vmscm_repo_open(&repo, path, &err) ||
        vmscm_revision_set_author(repo, "Test <test@example.com>", NULL, &err) ||
        vmscm_checkin(repo, "web", &disk, 1, &options, NULL, &result, &err))
        return -1;
    vmscm_free(path);
    *state = repo;
    return 0;
}

static int teardown(void **state)
{
    vmscm_repo_close(*state);
    free(bytes);
    return vmscm_file_remove_tree(dir, NULL);
}

static struct vmscm_disk *open_disk(struct vmscm_repo *repo, struct vmscm_disk_cache *cache)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_revision *rev = NULL;
    struct vmscm_disk *disk = NULL;

    assert_done(vmscm_revision_resolve(&rev, repo, "web", &err), &err);
    assert_done(vmscm_disk_open_cached(&disk, rev, "vda", cache, &err), &err);
    vmscm_revision_free(rev);
    assert_true(vmscm_disk_size(disk) == DISK);
    assert_string_equal(vmscm_disk_id(disk), "vda");
    return disk;
}

struct reader {
    struct vmscm_disk *disk;
    uint64_t seed;
    bool whole; /* in order; else anywhere, of any length */
    atomic_int wrong;
};

static void *read_much(void *arg)
{
    struct reader *r = arg;
    uint8_t *buf = malloc(300000);
    uint64_t x = r->seed * 2654435769u + 1, at = 0;

    if (!buf)
        atomic_fetch_add(&r->wrong, 1);
    for (int i = 0; buf && i < (r->whole ? 100000 : 60) && at < DISK; i++) {
        uint64_t offset = r->whole ? at : next(&x) % DISK;
        uint64_t len = r->whole ? 65536 : next(&x) % 300000;
        if (len > DISK - offset)
            len = DISK - offset;
        if (vmscm_disk_pread(r->disk, buf, (size_t)len, offset, NULL) ||
            memcmp(buf, bytes + offset, (size_t)len) != 0)
            atomic_fetch_add(&r->wrong, 1);
        at += r->whole ? len : 0;
    }
    free(buf);
    return NULL;
}

static void run_readers(struct vmscm_disk *disk, bool whole)
{
    struct reader readers[READERS] = {{0}};

    for (unsigned i = 0; i < READERS; i++)
        readers[i] = (struct reader){.disk = disk, .seed = i + 1, .whole = whole};
    assert_true(unit_threads(READERS, read_much, readers, sizeof readers[0]));
    for (unsigned i = 0; i < READERS; i++)
        assert_int_equal(readers[i].wrong, 0);
}

static void test_many_readers_read_the_store_once(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_disk_cache *cache = NULL;
    struct vmscm_disk_cache_stats once, stats;

    assert_done(vmscm_disk_cache_new(&cache, 0, 2, &err), &err);
    struct vmscm_disk *disk = open_disk(*state, cache), *same = open_disk(*state, cache);
    struct reader alone = {.disk = disk, .whole = true};
    read_much(&alone);
    assert_int_equal(alone.wrong, 0);
    vmscm_disk_close(disk);
    vmscm_disk_cache_stats(&once, cache);
    assert_true(once.reads > 12 && once.reads < 100);
    assert_true(once.bytes <= once.max && once.max == 128u << 20);
    run_readers(same, true);
    run_readers(same, false);
    vmscm_disk_cache_stats(&stats, cache);
    assert_true(stats.reads == once.reads);
    assert_true(stats.hits > once.hits);
    vmscm_disk_close(same);
    vmscm_disk_cache_free(cache);

    /* All at once from the start. */
    assert_done(vmscm_disk_cache_new(&cache, 0, 2, &err), &err);
    disk = open_disk(*state, cache);
    run_readers(disk, true);
    vmscm_disk_cache_stats(&stats, cache);
    assert_true(stats.reads == once.reads);
    vmscm_disk_close(disk);
    vmscm_disk_cache_free(cache);
}

static void test_a_small_cache_stays_small(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_disk_cache *cache = NULL;
    struct vmscm_disk_cache_stats stats;

    assert_done(vmscm_disk_cache_new(&cache, 3u << 20, 3, &err), &err);
    struct vmscm_disk *disk = open_disk(*state, cache);
    struct reader alone = {.disk = disk, .whole = true};
    run_readers(disk, false);
    read_much(&alone);
    assert_int_equal(alone.wrong, 0);
    vmscm_disk_close(disk);
    vmscm_disk_cache_stats(&stats, cache);
    assert_true(stats.bytes <= 3u << 20);
    vmscm_disk_cache_free(cache);
    disk = open_disk(*state, NULL);
    run_readers(disk, false);
    vmscm_disk_close(disk);
}

static bool zeros(uint64_t from, uint64_t to)
{
    while (from < to && !bytes[from])
        from++;
    return from == to;
}

static void test_extents_are_exact(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_disk *disk = open_disk(*state, NULL);
    uint64_t at = 0, len, holes = 0;
    int zero;

    while (at < DISK) {
        assert_done(vmscm_disk_extent(disk, at, &len, &zero, &err), &err);
        assert_true(len > 0 && len <= DISK - at);
        assert_true(!zero || zeros(at, at + len));
        /* No block of zeros is called data. */
        for (uint64_t b = at; !zero && b < at + len; b += 4096)
            assert_false(zeros(b, b + 4096 < DISK ? b + 4096 : DISK));
        holes += zero;
        at += len;
    }
    assert_true(holes > 100);
    assert_fails(vmscm_disk_extent(disk, DISK, &len, &zero, &err), &err, VMSCM_EUSAGE, "beyond");
    assert_fails(
        vmscm_disk_pread(disk, &zero, 4, DISK - 3, &err), &err, VMSCM_EUSAGE, "beyond its end");
    assert_fails(
        vmscm_disk_pread(disk, &zero, 4, UINT64_MAX - 1, &err), &err, VMSCM_EUSAGE, "beyond");
    assert_done(vmscm_disk_pread(disk, &zero, 0, DISK, &err), &err);
    vmscm_disk_close(disk);
}

/* The largest pack of the repository: that of chunks. */
static void largest_pack(char *path, size_t size)
{
    struct dirent *entry;
    char packs[64], name[PATH_MAX];
    off_t most = 0;

    snprintf(packs, sizeof packs, "%s/.vmscm/packs", dir);
    DIR *d = opendir(packs);
    assert_non_null(d);
    while ((entry = readdir(d))) {
        int fd;
        snprintf(name, sizeof name, "%s/%s", packs, entry->d_name);
        if (strncmp(entry->d_name, "pack-", 5) != 0 || (fd = open(name, O_RDONLY)) < 0)
            continue;
        if (lseek(fd, 0, SEEK_END) > most) {
            most = lseek(fd, 0, SEEK_END);
            snprintf(path, size, "%s", name);
        }
        close(fd);
    }
    closedir(d);
    assert_true(most > 0);
}

static void test_damage_is_where_it_is(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_disk_cache *cache = NULL;
    uint8_t *buf = malloc(4096), broken[64];
    char pack[PATH_MAX];
    unsigned failed = 0, blocks = 0;
    int fd;

    largest_pack(pack, sizeof pack);
    assert_int_equal(chmod(pack, 0600), 0);
    fd = open(pack, O_RDWR);
    assert_true(fd >= 0);
    assert_true(pread(fd, broken, sizeof broken, 9000000) == (ssize_t)sizeof broken);
    for (size_t i = 0; i < sizeof broken; i++)
        broken[i] ^= 255;
    assert_true(pwrite(fd, broken, sizeof broken, 9000000) == (ssize_t)sizeof broken);
    close(fd);

    assert_done(vmscm_disk_cache_new(&cache, 0, 2, &err), &err);
    struct vmscm_disk *disk = open_disk(*state, cache);
    for (int turn = 0; turn < 2; turn++)
        for (uint64_t at = 0; at + 4096 <= DISK; at += 4096, blocks++) {
            int rc = vmscm_disk_pread(disk, buf, 4096, at, &err);
            if (!rc) {
                assert_memory_equal(buf, bytes + at, 4096);
                continue;
            }
            failed++;
            assert_int_equal(rc, VMSCM_EDAMAGED);
            assert_true(strncmp(err.message, "revision ", 9) == 0);
            assert_non_null(strstr(err.message, ": vda, offset "));
            assert_non_null(strstr(err.message, ": chunk "));
        }
    /* No more than one record of it. */
    assert_true(failed > 0 && failed <= blocks / 10);
    vmscm_disk_close(disk);
    vmscm_disk_cache_free(cache);
    free(buf);
}

static void test_a_removed_revision_is_read_to_the_end(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_disk_cache *cache = NULL;
    struct vmscm_gc_options options = {.threshold = 0, .grace = "0"};
    struct vmscm_gc_result result;
    char id[41];

    assert_done(vmscm_disk_cache_new(&cache, 4u << 20, 2, &err), &err);
    struct vmscm_disk *disk = open_disk(*state, cache);
    assert_done(vmscm_repo_config_set(
                    *state, VMSCM_CONFIG_REPOSITORY, "gc.reflogExpire", "now", &err),
        &err);
    assert_done(vmscm_revision_remove(id, *state, "web", &err), &err);
    for (int i = 0; i < 2; i++)
        assert_done(vmscm_gc(*state, &options, NULL, &result, &err), &err);
    struct reader reader = {.disk = disk, .whole = true};
    read_much(&reader);
    assert_int_equal(reader.wrong, 0);
    assert_int_equal(result.dropped_packs, 0);
    /* Nothing else kept it. */
    vmscm_disk_close(disk);
    vmscm_disk_cache_free(cache);
    assert_done(vmscm_gc(*state, &options, NULL, &result, &err), &err);
    assert_true(result.dropped_packs > 0);
}

static void test_sequences_are_seen(void **state)
{
    struct vmscm_readahead ra;
    uint64_t from, to, covered = 0, x = 99;
    const uint64_t size = (uint64_t)1 << 30;

    (void)state;
    vmscm_readahead_init(&ra, 16u << 20);
    /* Two at once, one of them with pairs of reads swapped: each is ahead of its reader. */
    for (uint64_t i = 0; i < 4000; i++) {
        vmscm_readahead_note(&from, &to, &ra, i * 65536, 65536, size);
        assert_true(to <= size && from <= to && to - from <= 17u << 20);
        if (from < to) {
            assert_true(covered == 0 || from <= covered || from == i * 65536 + 65536);
            covered = to;
        }
        assert_true(i < 4 || covered >= (i + 1) * 65536);
        vmscm_readahead_note(
            &from, &to, &ra, (size / 2) + (i ^ 1) * 65536, 65536, size);
        assert_true(to <= size && (from == to || from > size / 2));
    }
    vmscm_readahead_release(&ra);
    /* At random: never, whatever the size of the disk. */
    vmscm_readahead_init(&ra, 16u << 20);
    for (int i = 0; i < 10000; i++) {
        vmscm_readahead_note(&from, &to, &ra, next(&x) % (size >> 12) << 12, 4096, size);
        covered = from < to ? covered + 1 : covered;
    }
    vmscm_readahead_release(&ra);
    vmscm_readahead_init(&ra, 0);
    for (uint64_t i = 0; i < 100; i++) {
        vmscm_readahead_note(&from, &to, &ra, i * 65536, 65536, size);
        assert_true(from == to);
    }
    vmscm_readahead_release(&ra);
}

static atomic_uint tasks_done;

static void count_task(void *owner, uint64_t from, uint64_t to)
{
    (void)owner;
    usleep(100);
    atomic_fetch_add(&tasks_done, (unsigned)(to - from));
}

static void test_tasks_are_done_or_forgotten(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_workqueue *queue = NULL;
    int one, other;

    (void)state;
    assert_done(vmscm_workqueue_new(&queue, 3, &err), &err);
    for (int i = 0; i < 40; i++)
        vmscm_workqueue_add(queue, &(struct vmscm_workqueue_task){count_task, &one, 0, 1});
    for (int i = 0; i < 5000 && atomic_load(&tasks_done) < 40; i++)
        usleep(1000);
    assert_int_equal(atomic_load(&tasks_done), 40);
    for (int i = 0; i < 1000; i++)
        vmscm_workqueue_add(
            queue, &(struct vmscm_workqueue_task){count_task, i % 2 ? &one : &other, 0, 1});
    vmscm_workqueue_forget(queue, &one);
    vmscm_workqueue_forget(queue, &other);
    unsigned done = atomic_load(&tasks_done);
    usleep(5000);
    assert_int_equal(atomic_load(&tasks_done), done);
    assert_true(done < 1040);
    vmscm_workqueue_free(queue);
    assert_done(vmscm_workqueue_new(&queue, 0, &err), &err);
    vmscm_workqueue_add(queue, &(struct vmscm_workqueue_task){count_task, &one, 0, 1});
    vmscm_workqueue_free(queue);
}

struct filler {
    struct vmscm_recordcache *cache;
    atomic_int fills, wrong;
};

/* The first two that are asked to fail at it; the others find what the third made. */
static void *get_record(void *arg)
{
    static const uint8_t pack[VMSCM_MIDX_NAME_SIZE] = "pack";
    struct filler *f = arg;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_recordcache_entry *entry;
    struct vmscm_pack_record record = {.part_count = 1, .plain_len = 4096, .parts = {4096}};
    struct vmscm_plain *plain = NULL;
    bool fill;

    if (vmscm_recordcache_get(&entry, &fill, f->cache, pack, 77, &err)) {
        atomic_fetch_add(&f->wrong, 1);
        return NULL;
    }
    if (fill) {
        usleep(2000);
        if (atomic_fetch_add(&f->fills, 1) < 2) {
            vmscm_recordcache_fail(f->cache, entry);
            return NULL;
        }
        if (vmscm_plain_new(&plain, 4096, &err)) {
            atomic_fetch_add(&f->wrong, 1);
            vmscm_recordcache_fail(f->cache, entry);
            return NULL;
        }
        vmscm_recordcache_fill(f->cache, entry, &record, plain);
    }
    if (!entry->plain || entry->record.plain_len != 4096)
        atomic_fetch_add(&f->wrong, 1);
    vmscm_recordcache_put(f->cache, entry);
    return NULL;
}

static void test_who_fails_to_read_a_record_lets_another_try(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_recordcache_counts counts;
    struct filler f = {.cache = NULL};

    (void)state;
    assert_done(vmscm_recordcache_new(&f.cache, 1u << 20, &err), &err);
    assert_true(unit_threads(READERS, get_record, &f, 0));
    assert_int_equal(f.wrong, 0);
    assert_int_equal(f.fills, 3);
    vmscm_recordcache_count(&counts, f.cache);
    assert_true(counts.misses == 3 && counts.hits == READERS - 3);
    vmscm_recordcache_free(f.cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_many_readers_read_the_store_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_small_cache_stays_small, setup, teardown),
        cmocka_unit_test_setup_teardown(test_extents_are_exact, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage_is_where_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_removed_revision_is_read_to_the_end, setup, teardown),
        cmocka_unit_test(test_sequences_are_seen),
        cmocka_unit_test(test_tasks_are_done_or_forgotten),
        cmocka_unit_test(test_who_fails_to_read_a_record_lets_another_try),
    };

    return unit_run(tests);
}
