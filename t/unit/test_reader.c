/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "unit.h"

#include "base/path.h"
#include "image/lockcheck.h"
#include "image/reader.h"
#include "memdev.h"
#include "sys/file.h"
#include "sys/spawn.h"
#include "sys/tempdir.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#define MIB (1u << 20)
#define SIZE (24 * (uint64_t)MIB + 512)

static char *dir;

static char *in_dir(const char *name)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char *path = NULL;

    assert_done(vmscm_path_join(&path, dir, name, &err), &err);
    return path;
}

static int setup(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;

    (void)state;
    assert_done(vmscm_tempdir_make(&dir, NULL, &err), &err);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vmscm_tempdir_remove(dir);
    dir = NULL;
    return 0;
}

/* Runs a tool in dir; arguments are separated by single spaces. */
static void run(const char *command)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char script[2048];
    const char *const argv[] = {"sh", "-c", script, NULL};
    struct vmscm_spawn_options o = {.argv = argv};

    snprintf(script, sizeof script, "cd '%s' && %s", dir, command);
    assert_done(vmscm_spawn_run(NULL, 1 << 20, &o, NULL, NULL, &err), &err);
}

/* A probe by hand, as image/probe.h describes it. Further files are those named after the first. */
static struct vmscm_probe *make_probe(enum vmscm_probe_format format, uint64_t size,
    struct vmscm_probe *backing, const char *const *names)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_probe *p = calloc(1, sizeof *p);

    assert_non_null(p);
    p->format = format;
    p->size = size;
    p->backing = backing;
    p->path = in_dir(names[0]);
    for (; *names; names++) {
        struct vmscm_probe_file *f = NULL;
        assert_done(vmscm_vec_add(&p->files, &f, &err), &err);
        f->path = in_dir(*names);
        assert_int_equal(stat(f->path, &f->st), 0);
    }
    return p;
}

static void free_probe(struct vmscm_probe *p)
{
    while (p) {
        struct vmscm_probe *next = p->backing;
        for (size_t i = 0; i < p->files.len; i++)
            free(p->files.items[i].path);
        vmscm_vec_release(&p->files);
        free(p->path);
        free(p);
        p = next;
    }
}

#define NAMES(...)                                                                                 \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

/* What the guest sees: data of several kinds, with holes between. */
static uint8_t *pattern(uint64_t size)
{
    uint8_t *p = calloc(1, size);

    assert_non_null(p);
    memdev_fill(p, 2 * MIB, 1);
    for (size_t at = 4 * MIB; at < 6 * MIB; at += 128 * 1024)
        memdev_fill(p + at, 64 * 1024, at);
    for (size_t i = 8 * MIB; i < 10 * MIB; i++) /* compresses well */
        p[i] = (uint8_t)("vmscm"[i % 5]);
    memdev_fill(p + size - 700, 700, 3);
    return p;
}

static void write_raw(const char *name, const uint8_t *bytes, uint64_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char *path = in_dir(name);
    int fd = open(path, O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    for (uint64_t at = 0; at < size; at += 65536) {
        size_t n = size - at < 65536 ? (size_t)(size - at) : 65536;
        bool zero = !bytes[at] && memcmp(bytes + at, bytes + at + 1, n - 1) == 0;
        if (!zero)
            assert_done(vmscm_file_pwrite(fd, bytes + at, n, at, path, &err), &err);
    }
    close(fd);
    free(path);
}

struct check {
    struct vmscm_blockdev *dev;
    const uint8_t *bytes;
    uint64_t first, step; /* in pieces of PIECE */
    const char *failure;
    uint64_t zeros;
};

#define PIECE 300000u

/* Each thread reads every step-th piece and checks each extent that it calls zero. */
static void *check_run(void *data)
{
    struct check *c = data;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    uint8_t *buf = malloc(PIECE);

    if (!buf)
        c->failure = "no memory";
    for (uint64_t at = c->first * PIECE; buf && at < c->dev->size;
         at += c->step * PIECE) {
        uint64_t left = c->dev->size - at, len;
        size_t n = left < PIECE ? (size_t)left : PIECE;
        memset(buf, 0x55, n);
        if (vmscm_blockdev_pread(c->dev, buf, n, at, &err) || memcmp(buf, c->bytes + at, n) != 0) {
            c->failure = "the bytes differ";
            fprintf(stderr, "# at %llu: %s\n", (unsigned long long)at, err.message);
            break;
        }
        for (uint64_t i = at; i < at + n; i += len) {
            bool zero;
            if (vmscm_blockdev_extent(c->dev, i, &len, &zero, &err)) {
                c->failure = "no extent";
                fprintf(stderr, "# %s\n", err.message);
                break;
            }
            if (len > at + n - i)
                len = at + n - i;
            if (!zero)
                continue;
            c->zeros += len;
            if (c->bytes[i] || memcmp(c->bytes + i, c->bytes + i + 1, len - 1) != 0)
                c->failure = "an extent of zeros is none";
        }
    }
    free(buf);
    return NULL;
}

/* Opens and compares with three threads; returns how many bytes were known to be zeros. */
static uint64_t check_reader(const struct vmscm_probe *probe, const uint8_t *bytes)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_blockdev *dev = NULL;
    struct check checks[3];
    uint64_t zeros = 0;

    assert_done(vmscm_reader_open(&dev, probe, 3, false, NULL, &err), &err);
    assert_int_equal(dev->size, probe->size);
    for (unsigned i = 0; i < 3; i++)
        checks[i] = (struct check){dev, bytes, i, 3, NULL, 0};
    assert_true(unit_threads(3, check_run, checks, sizeof checks[0]));
    for (unsigned i = 0; i < 3; i++) {
        if (checks[i].failure)
            fail_msg("%s: %s", probe->path, checks[i].failure);
        zeros += checks[i].zeros;
    }
    assert_done(vmscm_blockdev_unchanged(dev, &err), &err);
    vmscm_blockdev_close(dev);
    return zeros;
}

static void test_raw(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_blockdev *dev = NULL;
    uint64_t size = 20 * (uint64_t)MIB + 1001; /* not whole sectors */
    uint8_t *bytes = pattern(size), byte;

    (void)state;
    write_raw("disk", bytes, size);
    struct vmscm_probe *p = make_probe(VMSCM_PROBE_RAW, size, NULL, NAMES("disk"));
    assert_true(check_reader(p, bytes) > 10 * MIB);
    assert_done(vmscm_reader_open(&dev, p, 1, false, NULL, &err), &err);
    assert_fails(vmscm_blockdev_pread(dev, &byte, 1, size, &err), &err, VMSCM_EINPUT, "past");
    assert_int_equal(truncate(p->path, 1000), 0);
    assert_fails(
        vmscm_blockdev_pread(dev, &byte, 1, size - 1, &err), &err, VMSCM_EBUSY, "shrank");
    assert_int_equal(vmscm_blockdev_unchanged(dev, &err), VMSCM_EBUSY);
    vmscm_blockdev_close(dev);
    dev = NULL;
    /* Another file in its place, and one that is none. */
    assert_fails(
        vmscm_reader_open(&dev, p, 1, false, NULL, &err), &err, VMSCM_EBUSY, "changed while it was opened");
    unlink(p->path);
    assert_int_equal(mkfifo(p->path, 0600), 0);
    assert_true(vmscm_reader_open(&dev, p, 1, false, NULL, &err) < 0);
    unlink(p->path);
    assert_int_equal(vmscm_reader_open(&dev, p, 1, false, NULL, &err), VMSCM_ENOTFOUND);
    free_probe(p);
    free(bytes);
}

/* Every format that one file holds. */
static void test_formats(void **state)
{
    static const struct {
        enum vmscm_probe_format format;
        const char *create;
        bool direct; /* extents are known */
    } cases[] = {
        {VMSCM_PROBE_QCOW2, "-O qcow2", true},
        {VMSCM_PROBE_QCOW2, "-O qcow2 -o cluster_size=512", true},
        {VMSCM_PROBE_QCOW2, "-O qcow2 -o cluster_size=2M,preallocation=metadata", true},
        {VMSCM_PROBE_QCOW2, "-O qcow2 -o compat=0.10", true},
        {VMSCM_PROBE_QCOW2, "-O qcow2 -o extended_l2=on,cluster_size=128k", true},
        {VMSCM_PROBE_QCOW2, "-c -O qcow2", true},
        {VMSCM_PROBE_QCOW2, "-c -O qcow2 -o compression_type=zstd", true},
        {VMSCM_PROBE_VMDK, "-O vmdk", true},
        {VMSCM_PROBE_VMDK, "-O vmdk -o subformat=streamOptimized", true},
        {VMSCM_PROBE_VDI, "-O vdi", true},
        {VMSCM_PROBE_VDI, "-O vdi -o static=on", true},
        {VMSCM_PROBE_VPC, "-O vpc -o force_size=on", true},
        {VMSCM_PROBE_VPC, "-O vpc -o force_size=on,subformat=fixed", true},
        {VMSCM_PROBE_VHDX, "-O vhdx", true},
        {VMSCM_PROBE_VHDX, "-O vhdx -o block_size=1M", true},
        {VMSCM_PROBE_VHDX, "-O vhdx -o subformat=fixed", true},
        {VMSCM_PROBE_PARALLELS, "-O parallels", true},
    };
    uint8_t *bytes = pattern(SIZE);

    (void)state;
    write_raw("disk.raw", bytes, SIZE);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char command[256], name[32];
        snprintf(name, sizeof name, "image%zu", i);
        snprintf(command, sizeof command, "qemu-img convert -f raw %s disk.raw %s",
            cases[i].create, name);
        run(command);
        struct vmscm_probe *p = make_probe(cases[i].format, SIZE, NULL, NAMES(name));
        uint64_t zeros = check_reader(p, bytes);
        if (cases[i].direct && zeros < 8 * MIB)
            fail_msg("%s: just %llu bytes known to be zeros", cases[i].create,
                (unsigned long long)zeros);
        free_probe(p);
    }
    free(bytes);
}

static void test_vmdk_of_several_files(void **state)
{
    static const struct {
        const char *subformat;
        const char *extent;
    } cases[] = {{"monolithicFlat", "m-flat.vmdk"}, {"twoGbMaxExtentSparse", "m-s001.vmdk"},
        {"twoGbMaxExtentFlat", "m-f001.vmdk"}};
    uint8_t *bytes = pattern(SIZE);

    (void)state;
    write_raw("disk.raw", bytes, SIZE);
    for (size_t i = 0; i < 3; i++) {
        char command[256];
        snprintf(command, sizeof command,
            "qemu-img convert -f raw -O vmdk -o subformat=%s disk.raw m.vmdk", cases[i].subformat);
        run(command);
        struct vmscm_probe *p =
            make_probe(VMSCM_PROBE_VMDK, SIZE, NULL, NAMES("m.vmdk", cases[i].extent));
        check_reader(p, bytes);
        free_probe(p);
    }
    free(bytes);
}

/* A chain of three formats, whose tops are longer than their bases, and a data file. */
static void test_chain(void **state)
{
    uint8_t *bytes = pattern(SIZE);
    uint64_t base_size = 5 * (uint64_t)MIB;

    (void)state;
    write_raw("base.raw", bytes, base_size);
    memset(bytes + base_size, 0, SIZE - base_size);
    run("qemu-img create -q -f qcow2 -b base.raw -F raw middle.qcow2 12M &&"
        "qemu-io -f qcow2 -c 'write -P 7 1M 256k' -c 'write -P 8 11M 64k' -c 'write -z 64k 64k' "
        "-c 'write -c -P 11 512k 64k' middle.qcow2");
    run("qemu-img create -q -f qcow2 -o data_file=top.data,backing_file=middle.qcow2,"
        "backing_fmt=qcow2 top.qcow2 25166336 &&"
        "qemu-io -f qcow2 -c 'write -P 9 2M 100k' -c 'write -P 10 20M 64k' top.qcow2");
    memset(bytes + 1 * MIB, 7, 256 << 10);
    memset(bytes + 11 * MIB, 8, 64 << 10);
    memset(bytes + (64 << 10), 0, 64 << 10);
    memset(bytes + (512 << 10), 11, 64 << 10);
    memset(bytes + 2 * MIB, 9, 100 << 10);
    memset(bytes + 20 * MIB, 10, 64 << 10);
    struct vmscm_probe *base = make_probe(VMSCM_PROBE_RAW, base_size, NULL, NAMES("base.raw"));
    struct vmscm_probe *middle =
        make_probe(VMSCM_PROBE_QCOW2, 12 * MIB, base, NAMES("middle.qcow2"));
    struct vmscm_probe *top =
        make_probe(VMSCM_PROBE_QCOW2, SIZE, middle, NAMES("top.qcow2", "top.data"));
    assert_true(check_reader(top, bytes) > 10 * MIB);

    /* The chain is what the probe says, not what the header does: without backing, zeros. */
    top->backing = NULL;
    memset(bytes, 0, SIZE);
    memset(bytes + 20 * MIB, 10, 64 << 10);
    uint8_t *read_back = malloc(64 << 10);
    assert_non_null(read_back);
    struct vmscm_blockdev *dev = NULL;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    assert_done(vmscm_reader_open(&dev, top, 1, false, NULL, &err), &err);
    assert_done(vmscm_blockdev_pread(dev, read_back, 64 << 10, 1 * MIB, &err), &err);
    assert_memory_equal(read_back, bytes + 1 * MIB, 64 << 10);
    assert_done(vmscm_blockdev_pread(dev, read_back, 64 << 10, 20 * MIB, &err), &err);
    assert_memory_equal(read_back, bytes + 20 * MIB, 64 << 10);
    vmscm_blockdev_close(dev);
    free(read_back);
    free_probe(top);
    free_probe(middle);
    free(bytes);
}

/* Names with everything that option syntaxes trip over. */
static void test_odd_names(void **state)
{
    uint8_t *bytes = pattern(SIZE);

    (void)state;
    write_raw("disk.raw", bytes, SIZE);
    run("qemu-img convert -f raw -O qcow2 disk.raw x && mv x 'a,driver=nbd,b=\"c\"\\d:e' &&"
        "qemu-img convert -c -f raw -O qcow2 disk.raw x && mv x 'json:{}' &&"
        "cp 'json:{}' \"$(printf 'latin\\351')\"");
    struct vmscm_probe *p =
        make_probe(VMSCM_PROBE_QCOW2, SIZE, NULL, NAMES("a,driver=nbd,b=\"c\"\\d:e"));
    check_reader(p, bytes);
    free_probe(p);
    p = make_probe(VMSCM_PROBE_QCOW2, SIZE, NULL, NAMES("json:{}"));
    check_reader(p, bytes);
    free_probe(p);
    p = make_probe(VMSCM_PROBE_QCOW2, SIZE, NULL, NAMES("latin\351"));
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_blockdev *dev = NULL;
    assert_fails(vmscm_reader_open(&dev, p, 1, false, NULL, &err), &err, VMSCM_EINPUT, "not UTF-8");
    free_probe(p);
    free(bytes);
}

/* The header's size and QEMU's must be one. */
static void test_sizes_disagree(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_blockdev *dev = NULL;
    uint8_t byte;

    (void)state;
    run("qemu-img create -q -f qcow2 q 8M && qemu-img create -q -f vhdx x 8M");
    struct vmscm_probe *p = make_probe(VMSCM_PROBE_QCOW2, 9 * MIB, NULL, NAMES("q"));
    assert_fails(vmscm_reader_open(&dev, p, 1, false, NULL, &err), &err, VMSCM_EINPUT, "QEMU maps");
    p->size = 7 * MIB;
    assert_int_equal(vmscm_reader_open(&dev, p, 1, false, NULL, &err), VMSCM_EINPUT);
    free_probe(p);
    p = make_probe(VMSCM_PROBE_QCOW2, 8 * MIB, NULL, NAMES("x")); /* of another format */
    assert_fails(vmscm_reader_open(&dev, p, 1, false, NULL, &err), &err, VMSCM_ETOOL, "qcow2");
    free_probe(p);
    run("qemu-img create -q -f vmdk -o subformat=monolithicFlat f.vmdk 8M");
    p = make_probe(VMSCM_PROBE_VMDK, 9 * MIB, NULL, NAMES("f.vmdk", "f-flat.vmdk"));
    assert_done(vmscm_reader_open(&dev, p, 1, false, NULL, &err), &err);
    assert_fails(vmscm_blockdev_pread(dev, &byte, 1, 0, &err), &err, VMSCM_EINPUT, "QEMU sees");
    assert_fails(vmscm_blockdev_pread(dev, &byte, 1, 0, &err), &err, VMSCM_EINPUT, "QEMU sees");
    vmscm_blockdev_close(dev);
    free_probe(p);
}

/* The descriptor names a file that the probe did not list: QEMU cannot open it. */
static void test_confined(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_blockdev *dev = NULL;
    uint8_t byte;

    (void)state;
    if (!strstr(vmscm_spawn_confinement(), "landlock")) {
        printf("# not tested: no Landlock here\n");
        return;
    }
    run("qemu-img create -q -f vmdk -o subformat=monolithicFlat f.vmdk 8M && cp f.vmdk other");
    struct vmscm_probe *p =
        make_probe(VMSCM_PROBE_VMDK, 8 * MIB, NULL, NAMES("f.vmdk", "other"));
    assert_done(vmscm_reader_open(&dev, p, 1, false, NULL, &err), &err);
    assert_fails(
        vmscm_blockdev_pread(dev, &byte, 1, 0, &err), &err, VMSCM_ETOOL, "Permission denied");
    vmscm_blockdev_close(dev);
    free_probe(p);
}

/* What a VHDX's own tables say is checked again; a log that is not applied is QEMU's to judge. */
static void test_vhdx_tables(void **state)
{
    static const struct {
        uint64_t offset;
        uint64_t value;
        unsigned len;
        const char *message;
    } cases[] = {{192 << 10, 0, 4, "region table"}, {(192 << 10) + 8, 5000, 4, "region table"},
        {(192 << 10) + 8, 1, 4, "a region is missing"}, {(192 << 10) + 16 + 24, 8, 4, "too small"},
        {(192 << 10) + 16 + 32 + 16, UINT64_C(1) << 62, 8, "metadata"}};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_blockdev *dev = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t bytes[8];
        run("qemu-img create -q -f vhdx x 64M");
        struct vmscm_probe *p = make_probe(VMSCM_PROBE_VHDX, 64 * MIB, NULL, NAMES("x"));
        for (unsigned b = 0; b < 8; b++)
            bytes[b] = (uint8_t)(cases[i].value >> 8 * b);
        int fd = open(p->path, O_RDWR | O_CLOEXEC);
        assert_int_equal(
            pwrite(fd, bytes, cases[i].len, (off_t)cases[i].offset), cases[i].len);
        close(fd);
        int rc = vmscm_reader_open(&dev, p, 1, false, NULL, &err);
        if (!rc || (i < 4 && (rc != VMSCM_EINPUT || !strstr(err.message, cases[i].message))))
            fail_msg("case %zu: %d %s", i, rc, err.message);
        free_probe(p);
    }
}

static void test_in_use(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_blockdev *dev = NULL;
    struct vmscm_spawn child = VMSCM_SPAWN_INIT;

    (void)state;
    run("qemu-img create -q -f qcow2 q 8M");
    struct vmscm_probe *p = make_probe(VMSCM_PROBE_QCOW2, 8 * MIB, NULL, NAMES("q"));
    const char *const argv[] = {"qemu-io", "-f", "qcow2", "-c", "sleep 60000", p->path, NULL};
    struct vmscm_spawn_options o = {.argv = argv};
    assert_done(vmscm_spawn_start(&child, &o, false, &err), &err);
    /* Not by opening it ourselves: that would be in the way of qemu-io's own locking. */
    bool held = false;
    for (int i = 0; i < 1000 && !held; i++) {
        assert_done(vmscm_lockcheck_writer(&held, p->path, &err), &err);
        usleep(10000);
    }
    assert_true(held);
    int rc = vmscm_reader_open(&dev, p, 1, false, NULL, &err);
    assert_fails(rc, &err, VMSCM_EBUSY, "a running machine writes to it");
    assert_non_null(strstr(err.hint, "shut the machine down"));
    vmscm_spawn_kill(&child);
    assert_done(vmscm_reader_open(&dev, p, 1, false, NULL, &err), &err);
    vmscm_blockdev_close(dev);
    free_probe(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_raw, setup, teardown),
        cmocka_unit_test_setup_teardown(test_formats, setup, teardown),
        cmocka_unit_test_setup_teardown(test_vmdk_of_several_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_chain, setup, teardown),
        cmocka_unit_test_setup_teardown(test_odd_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sizes_disagree, setup, teardown),
        cmocka_unit_test_setup_teardown(test_confined, setup, teardown),
        cmocka_unit_test_setup_teardown(test_vhdx_tables, setup, teardown),
        cmocka_unit_test_setup_teardown(test_in_use, setup, teardown),
    };
    return unit_run(tests);
}
