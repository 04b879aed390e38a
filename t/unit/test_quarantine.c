/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Quarantines: one that lives is left alone, what a dead one left is used or removed. */
#include "codec/compress.h"
#include "store/packwriter.h"
#include "store/quarantine.h"
#include "storedir.h"

#include <fcntl.h>
#include <unistd.h>

#define PACK "pack-00000000000000000000000000000001.vpk"

static void make_pack(const char *in, const char *name)
{
    char path[600];
    int fd;

    snprintf(path, sizeof path, "%s/packs/%s", in, name);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "12345", 5), 5);
    close(fd);
}

/* One with a chunk in it, as a transfer leaves it; file gets its name. */
static void make_whole(const char *in, char file[VMSCM_PACKFILE_NAME])
{
    struct vmscm_pack_record head = {.type = VMSCM_PACK_CHUNK,
        .compression = VMSCM_COMPRESS_NONE,
        .part_count = 1,
        .parts = {5},
        .plain_len = 5,
        .stored_len = 5};
    struct vmscm_packwriter_part part = {{"an id"}, 5};
    struct vmscm_packwriter_record record = {
        .type = VMSCM_PACK_CHUNK, .parts = &part, .part_count = 1};
    struct vmscm_packwriter *writer;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    uint8_t bytes[200];
    uint64_t size;

    record.len = vmscm_pack_record_head(&head) + 5;
    memcpy(bytes + vmscm_pack_record_head(&head), "12345", 5);
    vmscm_pack_encode_record(bytes, &head, bytes + vmscm_pack_record_head(&head));
    record.bytes = bytes;
    assert_done(vmscm_packwriter_open(&writer, in, false, &err), &err);
    assert_done(vmscm_packwriter_add(writer, &record, &err), &err);
    assert_done(vmscm_packwriter_finish(writer, file, &size, &err), &err);
}

static bool has_pack(const char *in, const char *name)
{
    char path[600];

    snprintf(path, sizeof path, "%s/packs/%s", in, name);
    return access(path, F_OK) == 0;
}

static void test_alive(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_quarantine *q, *other;
    uint64_t count, bytes;
    size_t packs;

    (void)state;
    assert_done(vmscm_quarantine_open(&q, dir, &err), &err);
    make_pack(vmscm_quarantine_dir(q), PACK);
    assert_done(vmscm_quarantine_sweep(dir, &err), &err);
    assert_true(has_pack(vmscm_quarantine_dir(q), PACK));
    assert_false(vmscm_quarantine_any(dir));
    assert_done(vmscm_quarantine_open(&other, dir, &err), &err);
    assert_done(vmscm_quarantine_adopt(other, &packs, &err), &err);
    assert_int_equal(packs, 0);
    vmscm_quarantine_close(other, true);
    assert_done(vmscm_quarantine_measure(dir, &count, &bytes, &err), &err);
    assert_int_equal(count, 0);
    vmscm_quarantine_close(q, false);
}

static void test_kept(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char file[VMSCM_PACKFILE_NAME];
    struct vmscm_quarantine *q;
    uint64_t count, bytes;
    size_t packs;

    (void)state;
    /* One without a whole pack is of no use to anyone. */
    assert_done(vmscm_quarantine_open(&q, dir, &err), &err);
    vmscm_quarantine_close(q, true);
    assert_done(vmscm_quarantine_measure(dir, &count, &bytes, &err), &err);
    assert_int_equal(count, 0);
    assert_done(vmscm_quarantine_open(&q, dir, &err), &err);
    make_whole(vmscm_quarantine_dir(q), file);
    vmscm_quarantine_close(q, true);
    assert_true(vmscm_quarantine_any(dir));
    assert_done(vmscm_quarantine_measure(dir, &count, &bytes, &err), &err);
    assert_int_equal(count, 1);
    assert_true(bytes > 5);
    assert_done(vmscm_quarantine_open(&q, dir, &err), &err);
    assert_done(vmscm_quarantine_adopt(q, &packs, &err), &err);
    assert_int_equal(packs, 1);
    assert_true(has_pack(vmscm_quarantine_dir(q), file));
    assert_false(vmscm_quarantine_any(dir));
    vmscm_quarantine_close(q, true);
    assert_done(vmscm_quarantine_sweep(dir, &err), &err);
    assert_false(vmscm_quarantine_any(dir));
}

/* What is no pack, and packs of which any one byte is another: none is taken over, and none stays. */
static void test_damaged(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char file[VMSCM_PACKFILE_NAME], path[600];
    struct vmscm_quarantine *q;
    struct stat st = {.st_size = 1};
    size_t packs;
    uint8_t byte;

    (void)state;
    for (off_t at = 0; at < st.st_size; at++) {
        assert_done(vmscm_quarantine_open(&q, dir, &err), &err);
        make_pack(vmscm_quarantine_dir(q), PACK);
        make_whole(vmscm_quarantine_dir(q), file);
        snprintf(path, sizeof path, "%s/packs/%s", vmscm_quarantine_dir(q), file);
        assert_int_equal(chmod(path, 0600), 0);
        int fd = open(path, O_RDWR);
        assert_true(fd >= 0 && fstat(fd, &st) == 0 && pread(fd, &byte, 1, at) == 1);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        close(fd);
        vmscm_quarantine_close(q, true);
        assert_done(vmscm_quarantine_open(&q, dir, &err), &err);
        assert_done(vmscm_quarantine_adopt(q, &packs, &err), &err);
        if (packs)
            fail_msg("byte %lld: taken over", (long long)at);
        assert_false(has_pack(vmscm_quarantine_dir(q), PACK));
        assert_false(vmscm_quarantine_any(dir));
        vmscm_quarantine_close(q, false);
    }
    assert_true(st.st_size > 100);
}

static int count_pack(void *data, const char *file, struct vmscm_error *err)
{
    (void)err;
    assert_string_equal(file, PACK);
    ++*(size_t *)data;
    return 0;
}

static void test_install(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_quarantine *q;
    struct vmscm_lease *lease;
    size_t packs = 0;

    (void)state;
    assert_done(vmscm_lease_open(&lease, dir, &err), &err);
    assert_done(vmscm_quarantine_open(&q, dir, &err), &err);
    make_pack(vmscm_quarantine_dir(q), PACK);
    make_pack(vmscm_quarantine_dir(q), "midx-1.tmp");
    assert_done(vmscm_quarantine_install(q, lease, count_pack, &packs, &err), &err);
    assert_int_equal(packs, 1);
    assert_true(has_pack(dir, PACK));
    assert_false(has_pack(dir, "midx-1.tmp"));
    vmscm_quarantine_close(q, false);
    vmscm_lease_close(lease);
    assert_true(has_pack(dir, PACK));
}

static int refuse_pack(void *data, const char *file, struct vmscm_error *err)
{
    (void)data;
    return vmscm_error_set(err, VMSCM_EIO, "%s: cannot be used", file);
}

static void test_install_fails(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_quarantine *q;
    struct vmscm_lease *lease;

    (void)state;
    assert_done(vmscm_lease_open(&lease, dir, &err), &err);
    assert_done(vmscm_quarantine_open(&q, dir, &err), &err);
    make_pack(vmscm_quarantine_dir(q), PACK);
    assert_fails(vmscm_quarantine_install(q, lease, refuse_pack, NULL, &err), &err, VMSCM_EIO, PACK);
    vmscm_quarantine_close(q, false);
    vmscm_lease_close(lease);
}

/* Removed in part, by one who was killed over it; and one that was only just made. */
static void test_torn(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char path[600];

    (void)state;
    snprintf(path, sizeof path, "%s/quarantine/from-1/packs", dir);
    assert_done(vmscm_file_mkdirs(path, &err), &err);
    snprintf(path, sizeof path, "%s/quarantine/from-2", dir);
    assert_done(vmscm_file_mkdirs(path, &err), &err);
    snprintf(path, sizeof path, "%s/quarantine/others", dir);
    assert_done(vmscm_file_mkdirs(path, &err), &err);
    assert_done(vmscm_quarantine_sweep(dir, &err), &err);
    assert_int_equal(access(path, F_OK), 0);
    for (int i = 1; i <= 2; i++) {
        snprintf(path, sizeof path, "%s/quarantine/from-%d", dir, i);
        assert_int_equal(access(path, F_OK), -1);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_alive),
        TEST(test_kept),
        TEST(test_damaged),
        TEST(test_install),
        TEST(test_install_fails),
        TEST(test_torn),
    };

    return unit_run(tests);
}
