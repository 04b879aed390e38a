/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "unit.h"

#include "base/path.h"
#include "image/readback.h"
#include "image/writer.h"
#include "memdev.h"
#include "sys/direct.h"
#include "sys/file.h"
#include "sys/tempdir.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#define MIB (1u << 20)
#define SIZE (40 * (uint64_t)MIB + 4096 + 512)

struct fixture {
    struct memdev mem;
    char *dir;
};

static int setup(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    assert_true(memdev_init(&f->mem, SIZE));
    assert_done(vmscm_tempdir_make(&f->dir, NULL, &err), &err);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    vmscm_blockdev_close(&f->mem.dev);
    vmscm_tempdir_remove(f->dir);
    free(f);
    return 0;
}

static char *in_dir(const struct fixture *f, const char *name)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char *path = NULL;

    assert_done(vmscm_path_join(&path, f->dir, name, &err), &err);
    return path;
}

static bool stop(void *data)
{
    ++*(unsigned *)data;
    return *(unsigned *)data > 1000;
}

static void test_readback(void **state)
{
    struct fixture *f = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_readback rb;
    char *path = in_dir(f, "disk.img");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    const uint64_t at[] = {20 * MIB, 3 * MIB + 5, 6 * MIB}, len[] = {MIB, 300000, 1};
    unsigned asked = 0;

    assert_true(fd >= 0);
    vmscm_readback_init(&rb);
    assert_int_equal(ftruncate(fd, SIZE), 0);
    assert_done(vmscm_readback_check(&rb, fd, path, SIZE, 2, NULL, NULL, &err), &err);
    for (size_t i = 0; i < 3; i++) {
        memdev_fill(f->mem.bytes, len[i], 50 + i);
        assert_int_equal(pwrite(fd, f->mem.bytes, len[i], (off_t)at[i]), len[i]);
        assert_done(vmscm_readback_note(&rb, at[i], f->mem.bytes, len[i], &err), &err);
    }
    assert_done(vmscm_readback_check(&rb, fd, path, SIZE, 2, stop, &asked, &err), &err);
    assert_true(asked > 0);
    /* One byte in each piece, and between, before and behind them. */
    const uint64_t wrong[] = {at[0], at[0] + len[0] - 1, at[1] + 131072, at[2], 0, 5 * MIB,
        at[0] + len[0], SIZE - 1};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint8_t good, bad;
        assert_int_equal(pread(fd, &good, 1, (off_t)wrong[i]), 1);
        bad = good ^ 1;
        assert_int_equal(pwrite(fd, &bad, 1, (off_t)wrong[i]), 1);
        assert_fails(vmscm_readback_check(&rb, fd, path, SIZE, 1 + i % 2, NULL, NULL, &err), &err,
            VMSCM_EIO, "something else reads back");
        assert_int_equal(pwrite(fd, &good, 1, (off_t)wrong[i]), 1);
    }
    assert_done(vmscm_readback_check(&rb, fd, path, SIZE, 3, NULL, NULL, &err), &err);
    asked = 2000;
    assert_fails(vmscm_readback_check(&rb, fd, path, SIZE, 2, stop, &asked, &err), &err,
        VMSCM_ECANCELED, "canceled");
    vmscm_readback_release(&rb);
    close(fd);
    unlink(path);
    free(path);
}

/* What was written past the page cache is compared at once, and what differs is told. */
static void test_compare(void **state)
{
    struct fixture *f = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_readback rb;
    const size_t len = 3 * MIB / 2 + 4096;
    char *path = in_dir(f, "disk.img");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    size_t done;

    assert_true(fd >= 0);
    vmscm_readback_init(&rb);
    assert_int_equal(ftruncate(fd, SIZE), 0);
    memdev_fill(f->mem.bytes, len, 60);
    assert_int_equal(pwrite(fd, f->mem.bytes, len, MIB), len);
    /* A descriptor that does not go past the cache reads the same. */
    assert_done(vmscm_readback_compare(
                    &rb, &done, fd, path, MIB, f->mem.bytes, len + 100, &err), &err);
    assert_int_equal(done, len);
    assert_done(vmscm_readback_check(&rb, fd, path, SIZE, 2, NULL, NULL, &err), &err);
    /* It counts for what it is, and not for what lies beside it. */
    assert_int_equal(pwrite(fd, "x", 1, (off_t)(MIB + len)), 1);
    assert_fails(vmscm_readback_check(&rb, fd, path, SIZE, 2, NULL, NULL, &err), &err, VMSCM_EIO,
        "something else reads back");
    assert_int_equal(pwrite(fd, "\xff", 1, (off_t)(MIB + len - 1)), 1);
    f->mem.bytes[len - 1] = 0;
    assert_fails(vmscm_readback_compare(
                     &rb, &done, fd, path, MIB, f->mem.bytes, len, &err), &err,
        VMSCM_EIO, "something else reads back");
    /* Up to the end of the file. */
    assert_int_equal(ftruncate(fd, 2 * MIB), 0);
    assert_done(vmscm_readback_compare(
                    &rb, &done, fd, path, MIB, f->mem.bytes, len, &err), &err);
    assert_int_equal(done, MIB);
    vmscm_readback_release(&rb);
    close(fd);
    unlink(path);
    free(path);
}

static int object(void *data, struct vmscm_error *err)
{
    (void)data;
    return vmscm_error_set(err, VMSCM_EIO, "as told");
}

/* The writer's own reading back, and its caller's. */
static void test_writer(void **state)
{
    struct fixture *f = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_writer_options o = {.format = VMSCM_PROBE_RAW, .jobs = 2, .readback = true};
    char *path = in_dir(f, "disk.img");

    memdev_fill(f->mem.bytes + 5 * MIB, 3 * MIB, 7);
    assert_done(vmscm_writer_write(&f->mem.dev, path, &o, NULL, &err), &err);
    unlink(path);
    o.written = object;
    assert_fails(
        vmscm_writer_write(&f->mem.dev, path, &o, NULL, &err), &err, VMSCM_EIO, "as told");
    assert_false(vmscm_file_exists(path));
    free(path);
}

static int scatter(struct vmscm_blockdev *dev, uint64_t offset, uint64_t end, unsigned jobs,
    int (*each)(void *data, const void *bytes, size_t len, uint64_t offset,
        struct vmscm_error *err),
    void *data, struct vmscm_error *err)
{
    const struct fixture *f = (const struct fixture *)dev;
    uint8_t *piece = vmscm_direct_alloc(MIB);
    int rc = 0;

    (void)jobs;
    assert_non_null(piece);
    /* From the back, and the last piece is no whole block. */
    while (!rc && end > offset) {
        uint64_t at = (end - 1) / MIB * MIB;
        memcpy(piece, f->mem.bytes + at, (size_t)(end - at));
        rc = each(data, piece, (size_t)(end - at), at, err);
        end = at;
    }
    free(piece);
    return rc;
}

/* Whether the page cache has nothing of the file's beginning. It is not mapped to be read: valgrind looks
 * into each file that is. */
static bool is_past_cache(const char *path)
{
    unsigned char pages[MIB / 4096];
    bool none = true;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *map = mmap(NULL, MIB, PROT_NONE, MAP_SHARED, fd, 0);

    assert_true(map != MAP_FAILED);
    assert_int_equal(mincore(map, MIB, pages), 0);
    for (size_t i = 0; i < sizeof pages; i++)
        none &= !(pages[i] & 1);
    munmap(map, MIB);
    close(fd);
    return none;
}

/* What is larger than memory has room for goes past the page cache, read back or not. */
static void test_large(void **state)
{
    static struct vmscm_blockdev_ops ops; /* the teardown needs it, too */
    struct fixture *f = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char *path = in_dir(f, "disk.img");
    uint8_t *back = malloc(SIZE);
    struct statfs fs;

    assert_non_null(back);
    assert_int_equal(statfs(f->dir, &fs), 0);
    ops = *f->mem.dev.ops;
    ops.scatter = scatter;
    f->mem.dev.ops = &ops;
    memdev_fill(f->mem.bytes, 2 * MIB, 8);
    memdev_fill(f->mem.bytes + SIZE - 700, 700, 9);
    for (int turn = 0; turn < 4; turn++) {
        struct vmscm_writer_options o = {
            .format = VMSCM_PROBE_RAW, .jobs = 2, .readback = turn & 1};
        int fd;
        f->mem.dev.data = turn & 2 ? UINT64_MAX : SIZE;
        assert_done(vmscm_writer_write(&f->mem.dev, path, &o, NULL, &err), &err);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        int direct = vmscm_direct_reopen(fd);
        if (direct >= 0 && fs.f_type != 0x01021994)
            assert_int_equal(is_past_cache(path), f->mem.dev.data == UINT64_MAX);
        assert_int_equal(pread(fd, back, SIZE, 0), SIZE);
        assert_memory_equal(back, f->mem.bytes, SIZE);
        close(fd);
        close(direct);
        unlink(path);
    }
    free(back);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_readback, setup, teardown),
        cmocka_unit_test_setup_teardown(test_compare, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writer, setup, teardown),
    };
    return unit_run(tests);
}
