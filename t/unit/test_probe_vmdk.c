/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/image/probe: vmdk descriptors and extents made by hand. */
#include "base/endian.h"
#include "unit.h"
#include "images.h"
#include "probe_checks.h"

#define VMDK_HEAD "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\n"
#define VMDK_FLAT "createType=\"monolithicFlat\"\n"

static void vmdk_descriptors(void **state)
{
    static const char absolute[] = VMDK_HEAD VMDK_FLAT "RW 1 FLAT \"/etc/passwd\" 0\n";
    static const struct {
        const char *text;
        int code;
        const char *why;
    } t[] = {
        {VMDK_HEAD VMDK_FLAT "RW 8 FLAT \"flat\" 0\n", 0, NULL},
        {VMDK_HEAD VMDK_FLAT "RW 7 FLAT \"flat\" 1\r\nddb.adapterType = \"ide\"\n", 0, NULL},
        {"version=1\n" VMDK_FLAT "RW 8 FLAT \"flat\" 0", 0, NULL},
        {VMDK_HEAD "createType=\"vmfs\"\nRW 8 VMFS \"flat\"\n", 0, NULL},
        {VMDK_HEAD VMDK_FLAT "RW 9 FLAT \"flat\" 0\n", VMSCM_EINPUT, "truncated"},
        {VMDK_HEAD VMDK_FLAT "RW 8 FLAT \"flat\" 1\n", VMSCM_EINPUT, "truncated"},
        {VMDK_HEAD VMDK_FLAT "RW 8 FLAT \"/etc/passwd\" 0\n", VMSCM_EREFUSED, "outside"},
        {VMDK_HEAD VMDK_FLAT "RW 8 FLAT \"../flat\" 0\n", VMSCM_EREFUSED, "outside"},
        {VMDK_HEAD VMDK_FLAT "RW 8 FLAT \"sub/../flat\" 0\n", VMSCM_EREFUSED, "outside"},
        {VMDK_HEAD VMDK_FLAT "RW 8 FLAT \"linked\" 0\n", VMSCM_EREFUSED, "outside"},
        {VMDK_HEAD VMDK_FLAT "RW 8 FLAT \"json:{}\" 0\n", VMSCM_EREFUSED, "not a plain"},
        {VMDK_HEAD VMDK_FLAT "RW 8 FLAT \"nbd:x\" 0\n", VMSCM_EREFUSED, "not a plain"},
        {VMDK_HEAD VMDK_FLAT "RW 8 FLAT \"none\" 0\n", VMSCM_ENOTFOUND, "its extent"},
        {VMDK_HEAD VMDK_FLAT "RW 8 FLAT \"fifo\" 0\n", VMSCM_EINPUT, "is a FIFO"},
        {VMDK_HEAD VMDK_FLAT "RW 8 FLAT \"\" 0\n", VMSCM_EINPUT, "file name"},
        {VMDK_HEAD VMDK_FLAT "RW 8 FLAT \"flat 0\n", VMSCM_EINPUT, "file name"},
        {VMDK_HEAD VMDK_FLAT "RW 8 FLAT flat 0\n", VMSCM_EINPUT, "file name"},
        {VMDK_HEAD VMDK_FLAT "RW 8 FLAT \"flat\"\n", VMSCM_EINPUT, "extent line"},
        {VMDK_HEAD VMDK_FLAT "RW 8 FLAT \"flat\" -1\n", VMSCM_EINPUT, "offset"},
        {VMDK_HEAD VMDK_FLAT "RW 8 FLAT \"flat\" 0 0\n", VMSCM_EINPUT, "extent line"},
        {VMDK_HEAD VMDK_FLAT "RW 0 FLAT \"flat\" 0\n", VMSCM_EINPUT, "extent line"},
        {VMDK_HEAD VMDK_FLAT "RW -8 FLAT \"flat\" 0\n", VMSCM_EINPUT, "extent line"},
        {VMDK_HEAD VMDK_FLAT "RW 18446744073709551615 FLAT \"flat\" 0\n", VMSCM_EINPUT, "extent"},
        {VMDK_HEAD VMDK_FLAT "RW\n8 FLAT \"flat\" 0\n", VMSCM_EINPUT, "extent line"},
        {VMDK_HEAD VMDK_FLAT "\nRW 8 FLAT \"flat\" 0\n", VMSCM_EUNSUPPORTED, "empty lines"},
        {VMDK_HEAD VMDK_FLAT "RW 8 ZERO\nRW 8 FLAT \"flat\" 0\n", VMSCM_EUNSUPPORTED, "ZERO"},
        {VMDK_HEAD VMDK_FLAT "RDONLY 8 FLAT \"flat\" 0\n", VMSCM_EUNSUPPORTED, "RDONLY"},
        {VMDK_HEAD VMDK_FLAT "RW 8 VMFSRDM \"flat\"\n", VMSCM_EREFUSED, "VMFSRDM"},
        {VMDK_HEAD VMDK_FLAT "RW 8 SESPARSE \"flat\"\n", VMSCM_EREFUSED, "SESPARSE"},
        {VMDK_HEAD VMDK_FLAT "RW 8 SPARSE \"flat\"\n", VMSCM_EINPUT, "not a sparse extent"},
        {VMDK_HEAD VMDK_FLAT "no sense\n", VMSCM_EINPUT, "unknown kind of line"},
        {VMDK_HEAD VMDK_FLAT, VMSCM_EINPUT, "no extents"},
        {VMDK_HEAD "RW 8 FLAT \"flat\" 0\n", VMSCM_EINPUT, "no createType"},
        {VMDK_HEAD "createType=\"fullDevice\"\nRW 8 FLAT \"flat\" 0\n", VMSCM_EUNSUPPORTED,
            "fullDevice"},
        {VMDK_HEAD "createType=\"monolithicSparse\"\nRW 8 FLAT \"flat\" 0\n", VMSCM_EUNSUPPORTED,
            "monolithicSparse"},
        {VMDK_HEAD VMDK_FLAT VMDK_FLAT "RW 8 FLAT \"flat\" 0\n", VMSCM_EINPUT, "createType"},
        {VMDK_HEAD "createType=monolithicFlat\nRW 8 FLAT \"flat\" 0\n", VMSCM_EINPUT, "createType"},
        {VMDK_HEAD "#createType=\"x\"\n" VMDK_FLAT "RW 8 FLAT \"flat\" 0\n", VMSCM_EREFUSED,
            "unusual place"},
        /* QEMU finds a parent in comments and values, too. */
        {VMDK_HEAD VMDK_FLAT "RW 8 FLAT \"flat\" 0\n#parentFileNameHint=\"/etc/passwd\"\n",
            VMSCM_EREFUSED, "unusual place"},
        {VMDK_HEAD VMDK_FLAT "RW 8 FLAT \"flat\" 0\nddb.x=\"parentFileNameHint=\"/etc/shadow\"\n",
            VMSCM_EREFUSED, "unusual place"},
        {VMDK_HEAD VMDK_FLAT "RW 8 FLAT \"flat\" 0\nparentFileNameHint=\"flat\"\n", VMSCM_EINPUT,
            "do not fit"},
        {"version=1\nparentCID=1\n" VMDK_FLAT "RW 8 FLAT \"flat\" 0\n", VMSCM_EINPUT,
            "do not fit"},
        {"version=1\nparentCID=1\n" VMDK_FLAT "RW 8 FLAT \"flat\" 0\n"
            "parentFileNameHint=\"/etc/passwd\"\n", VMSCM_EREFUSED, "outside"},
        {"version=1\nparentCID=1\n" VMDK_FLAT "RW 8 FLAT \"flat\" 0\n"
            "parentFileNameHint=\"flat\"\n", VMSCM_EINPUT, "not a vmdk image"},
        {"version=1\nparentCID=xyz\n" VMDK_FLAT "RW 8 FLAT \"flat\" 0\n", VMSCM_EINPUT,
            "content id"},
    };

    (void)state;
    put_file("flat", "x", 1, 4096);
    mkfifo(in_dir("fifo"), 0600);
    assert_int_equal(symlink("/etc/passwd", in_dir("linked")), 0);
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct vmscm_error err = VMSCM_ERROR_INIT;
        struct vmscm_probe *probe = NULL;

        put_file("v.vmdk", t[i].text, strlen(t[i].text), 0);
        int rc = vmscm_probe_open(&probe, in_dir("v.vmdk"), NULL, 0, &err);
        vmscm_probe_close(probe);
        if (rc != t[i].code || (t[i].why && !strstr(err.message, t[i].why)))
            fail_msg("%s: %s (%s)", t[i].text, vmscm_error_name(rc), err.message);
    }
    put_file("v.vmdk", absolute, sizeof absolute - 1, 0);
    assert_int_equal(size_of("v.vmdk", NULL, VMSCM_ALLOW_OUTSIDE), 512);
}

/* A sparse image of 1 MiB with its first grain in use. */
static void make_sparse(void)
{
    RUN("qemu-img", "create", "-f", "vmdk", "sample", "1M");
    RUN("qemu-io", "-f", "vmdk", "-c", "write -P 1 0 64k", "sample");
    assert_int_equal(size_of("sample", NULL, 0), 1 << 20);
}

/* QEMU searches the second sector and what follows for a parent, wherever the descriptor is. */
static void hidden_parent(void **state)
{
    static const char parent[] = "parentFileNameHint=\"/etc/passwd\"\n";
    uint8_t header[512];

    (void)state;
    NEED_QEMU();
    make_sparse();
    int fd = open(in_dir("sample"), O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, header, sizeof header, 0), sizeof header);
    close(fd);
    vmscm_put_le64(header + 28, 0);
    poke("sample", 0, header, sizeof header);
    poke("sample", 512, parent, sizeof parent);
    assert_refused("sample", NULL, 0, VMSCM_EREFUSED, "unusual place");
    /* Behind the descriptor's end, as far as it says. */
    make_sparse();
    vmscm_put_le64(header + 28, 1);
    vmscm_put_le64(header + 36, 1);
    poke("sample", 0, header, sizeof header);
    char text[1024];
    memset(text, '\n', sizeof text);
    fd = open(in_dir("sample"), O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, text, 512, 512), 512);
    close(fd);
    memset(text + strnlen(text, 512), '\n', 512 - strnlen(text, 512));
    memcpy(text + 600, parent, sizeof parent);
    poke("sample", 512, text, sizeof text);
    assert_refused("sample", NULL, 0, VMSCM_EREFUSED, "unusual place");
}

/* A descriptor's sparse extent is another size than the line says; or has extents of its own. */
static void sparse_extents(void **state)
{
    (void)state;
    NEED_QEMU();
    RUN("qemu-img", "create", "-f", "vmdk", "-o", "subformat=twoGbMaxExtentSparse", "s.vmdk", "3G");
    assert_int_equal(size_of("s.vmdk", NULL, 0), UINT64_C(3) << 30);
    poke("s-s002.vmdk", 12, "\0\0\1", 3);
    assert_refused("s.vmdk", NULL, 0, VMSCM_EINPUT, "not of the size");
    /* In one of no size QEMU would look for a descriptor. */
    poke("s-s002.vmdk", 12, "\0\0\0\0\0\0\0\0", 8);
    assert_refused("s.vmdk", NULL, 0, VMSCM_EINPUT, "virtual size");
    assert_refused("s-s001.vmdk", NULL, 0, VMSCM_EINPUT, "one of several files");
    /* Two directory entries with one grain table. */
    make_sparse();
    poke("sample", 12, &(uint64_t){htole64(1 << 17)}, 8);
    poke("sample", 0x2a00, &(uint64_t){htole64(UINT64_C(0x1700000017))}, 8); /* redundant */
    uint8_t directory[8];
    int fd = open(in_dir("sample"), O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, directory, 8, 56), 8);
    close(fd);
    poke("sample", vmscm_get_le64(directory) * 512, &(uint64_t){htole64(UINT64_C(0x1700000017))},
        8);
    assert_refused("sample", NULL, 0, VMSCM_EINPUT, "used twice");
}

/* A stream whose grain directory is known only by the footer, as exporters write it in one go. */
static void footer(void **state)
{
    uint8_t b[3 * 512] = {0};
    struct stat st;

    (void)state;
    NEED_QEMU();
    make_sparse();
    RUN("qemu-img", "convert", "-f", "vmdk", "-O", "vmdk", "-o", "subformat=streamOptimized",
        "sample", "stream");
    assert_int_equal(stat(in_dir("stream"), &st), 0);
    assert_int_equal(st.st_size % 512, 0);
    uint64_t end = (uint64_t)st.st_size;
    int fd = open(in_dir("stream"), O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, b + 512, 512, 0), 512);
    close(fd);
    vmscm_put_le64(b, 1);
    vmscm_put_le32(b + 12, 3);
    poke("stream", end, b, sizeof b);
    poke("stream", 56, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    assert_int_equal(size_of("stream", NULL, 0), 1 << 20);
    RUN("qemu-img", "compare", "-f", "vmdk", "-F", "vmdk", "sample", "stream");

    poke("stream", end + 512 + 56, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    assert_refused("stream", NULL, 0, VMSCM_EINPUT, "does not tell where");
    poke("stream", end + 512, b + 512, 512);
    poke("stream", end + 512 + 12, "\1", 1);
    assert_refused("stream", NULL, 0, VMSCM_EINPUT, "header and footer disagree");
    poke("stream", end + 512, b + 512, 512);
    for (uint64_t cut = 1; cut < sizeof b; cut++) {
        assert_int_equal(truncate(in_dir("stream"), (off_t)(end + sizeof b - cut)), 0);
        assert_refused("stream", NULL, 0, VMSCM_EINPUT, "truncated");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vmdk_descriptors),
        cmocka_unit_test(hidden_parent),
        cmocka_unit_test(sparse_extents),
        cmocka_unit_test(footer),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, images_setup, images_teardown);
}
