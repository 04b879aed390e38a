/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/image/bitmap: what QEMU noted is what is read, and a bitmap that is not quite right is none. */
#include "image/bitmap.h"
#include "base/endian.h"
#include "unit.h"

#include "images.h"

#define KIB UINT64_C(1024)
#define MIB (UINT64_C(1) << 20)

static struct vmscm_probe *probe_of(const char *name)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_probe *probe = NULL;

    assert_done(vmscm_probe_open(&probe, in_dir(name), "qcow2", 0, &err), &err);
    return probe;
}

static char *lay(const char *image, const char *keep)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_probe *probe = probe_of(image);
    char *name = NULL;

    assert_done(vmscm_bitmap_lay(&name, probe, keep, &err), &err);
    vmscm_probe_close(probe);
    return name;
}

static int read_changes(struct vmscm_changes *changes, const char *image, const char *name,
    struct vmscm_error *err)
{
    struct vmscm_probe *probe = probe_of(image);
    int rc = vmscm_bitmap_read(changes, probe, name, err);

    vmscm_probe_close(probe);
    return rc;
}

static void test_what_was_written(void **state)
{
    static const char *const clusters[] = {
        "cluster_size=512", "cluster_size=64k", "cluster_size=2M"};
    struct vmscm_error err = VMSCM_ERROR_INIT;

    (void)state;
    NEED_QEMU();
    for (size_t i = 0; i < 3; i++) {
        struct vmscm_changes c = {0};
        RUN("qemu-img", "create", "-q", "-f", "qcow2", "-o", clusters[i], "a.qcow2", "70000K");
        char *name = lay("a.qcow2", NULL);
        assert_done(read_changes(&c, "a.qcow2", name, &err), &err);
        assert_int_equal(c.runs.len, 0);
        /* The first block, a run over a byte of bits, the last block, which is not whole. */
        RUN("qemu-io", "-f", "qcow2", "-c", "write 0 1", "-c", "write 1M 400k", "-c",
            "write 71679488 512", "a.qcow2");
        assert_done(read_changes(&c, "a.qcow2", name, &err), &err);
        assert_int_equal(c.runs.len, 3);
        assert_true(c.runs.items[0].start == 0 && c.runs.items[0].end == 16 * KIB);
        assert_true(c.runs.items[1].start == MIB && c.runs.items[1].end == MIB + 400 * KIB);
        assert_true(c.runs.items[2].start == 71679488 / (16 * KIB) * (16 * KIB) &&
            c.runs.items[2].end == 70000 * KIB);
        vmscm_changes_release(&c);
        /* All of it, which QEMU may write as a cluster of ones that is not there. */
        RUN("qemu-io", "-f", "qcow2", "-c", "write -z 0 70000K", "a.qcow2");
        assert_done(read_changes(&c, "a.qcow2", name, &err), &err);
        assert_true(c.runs.len == 1 && vmscm_changes_total(&c) == 70000 * KIB);
        vmscm_changes_release(&c);
        free(name);
    }
}

static void test_names(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_changes c = {0};

    (void)state;
    NEED_QEMU();
    RUN("qemu-img", "create", "-q", "-f", "qcow2", "n.qcow2", "8M");
    RUN("qemu-img", "bitmap", "--add", "n.qcow2", "backup");
    char *first = lay("n.qcow2", NULL);
    RUN("qemu-io", "-f", "qcow2", "-c", "write 0 16k", "n.qcow2");
    char *second = lay("n.qcow2", first);
    assert_string_not_equal(first, second);
    RUN("qemu-io", "-f", "qcow2", "-c", "write 1M 16k", "n.qcow2");
    assert_done(read_changes(&c, "n.qcow2", first, &err), &err);
    assert_int_equal(c.runs.len, 2);
    vmscm_changes_release(&c);
    assert_done(read_changes(&c, "n.qcow2", second, &err), &err);
    assert_int_equal(c.runs.len, 1);
    vmscm_changes_release(&c);
    /* The one that is kept stays, all others of ours go, and those of others stay. */
    char *third = lay("n.qcow2", second);
    assert_fails(read_changes(&c, "n.qcow2", first, &err), &err, VMSCM_ENOTFOUND, "is gone");
    assert_done(read_changes(&c, "n.qcow2", second, &err), &err);
    vmscm_changes_release(&c);
    RUN("qemu-img", "bitmap", "--clear", "n.qcow2", "backup");
    free(first);
    free(second);
    free(third);
}

/* Each of these makes it unusable. */
static void test_not_quite_right(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_changes c = {0};
    uint64_t directory, table;
    uint8_t b[24], old[24];

    (void)state;
    NEED_QEMU();
    RUN("qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", "h.qcow2", "64M");
    char *name = lay("h.qcow2", NULL);
    RUN("qemu-io", "-f", "qcow2", "-c", "write 1M 400k", "h.qcow2");
    assert_done(read_changes(&c, "h.qcow2", name, &err), &err);
    assert_int_equal(c.runs.len, 1);
    vmscm_changes_release(&c);
    struct vmscm_probe *probe = probe_of("h.qcow2");
    directory = probe->bitmaps.offset;
    assert_int_equal(probe->bitmaps.count, 1);
    vmscm_probe_close(probe);
    int fd = open(in_dir("h.qcow2"), O_RDONLY);
    assert_int_equal(pread(fd, old, sizeof old, (off_t)directory), sizeof old);
    table = vmscm_get_be64(old);
    assert_int_equal(pread(fd, b, 8, (off_t)table), 8);
    close(fd);

    struct {
        uint64_t at;
        uint8_t byte;
        const char *why;
    } const changes[] = {
        {95, 0, "does not keep bitmaps"}, /* the autoclear bit */
        {directory + 15, 3, "QEMU was killed"},
        {directory + 15, 0, "switched off"},
        {directory + 15, 6, "unknown kind"},
        {directory + 16, 2, "unknown kind"},
        {directory + 17, 8, "unknown kind"},
        {directory + 17, 32, "unknown kind"},
        {directory + 17, 9, "another size"},
        {directory + 11, 9, "another size"},
        {directory + 0, 0x7f, "truncated"},
        {directory + 18, 0xff, "malformed"},
        {directory + 23, 0xff, "malformed"},
        {directory + 24, 'V', "is gone"},
        {table + 0, 0x01, "malformed"}, /* reserved bits */
        {table + 7, 0x01, "malformed"},
        {table + 6, 0x0e, "malformed"}, /* not aligned */
        {table + 2, 0x7f, "malformed"}, /* far away */
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        uint8_t before;
        fd = open(in_dir("h.qcow2"), O_RDONLY);
        assert_int_equal(pread(fd, &before, 1, (off_t)changes[i].at), 1);
        close(fd);
        poke("h.qcow2", changes[i].at, &changes[i].byte, 1);
        if (read_changes(&c, "h.qcow2", name, &err) != VMSCM_ENOTFOUND ||
            !strstr(err.message, changes[i].why))
            fail_msg("change %zu: not \"%s\" but: %s", i, changes[i].why, err.message);
        assert_int_equal(c.runs.len, 0);
        poke("h.qcow2", changes[i].at, &before, 1);
    }
    assert_done(read_changes(&c, "h.qcow2", name, &err), &err);
    vmscm_changes_release(&c);
    free(name);
}

static void test_cannot_hold_one(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_changes c = {0};
    char *name = NULL;

    (void)state;
    NEED_QEMU();
    RUN("qemu-img", "create", "-q", "-f", "qcow2", "-o", "compat=0.10", "v2.qcow2", "8M");
    struct vmscm_probe *probe = probe_of("v2.qcow2");
    assert_fails(
        vmscm_bitmap_lay(&name, probe, NULL, &err), &err, VMSCM_EUNSUPPORTED, "cannot hold");
    assert_fails(vmscm_bitmap_read(&c, probe, "vmscm-0123456789abcdef", &err), &err,
        VMSCM_ENOTFOUND, "is gone");
    vmscm_probe_close(probe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_was_written, images_setup, images_teardown),
        cmocka_unit_test_setup_teardown(test_names, images_setup, images_teardown),
        cmocka_unit_test_setup_teardown(test_not_quite_right, images_setup, images_teardown),
        cmocka_unit_test_setup_teardown(test_cannot_hold_one, images_setup, images_teardown),
    };

    return unit_run(tests);
}
