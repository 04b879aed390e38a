/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "unit.h"

#include "base/path.h"
#include "base/str.h"
#include "image/writer.h"
#include "memdev.h"
#include "sys/file.h"
#include "sys/spawn.h"
#include "sys/tempdir.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (1u << 20)
#define SIZE (40 * (uint64_t)MIB + 4096 + 512)

struct fixture {
    struct memdev mem;
    char *dir;
    uint64_t last; /* progress */
    uint64_t cancel_at;
};

static int progress(void *data, uint64_t done)
{
    struct fixture *f = data;

    assert_true(done >= f->last && done <= f->mem.dev.size);
    f->last = done;
    return done >= f->cancel_at;
}

static void fill(struct memdev *mem)
{
    uint64_t size = mem->dev.size;

    memdev_fill(mem->bytes, 2 * MIB, 1);
    for (size_t at = 4 * MIB; at < 6 * MIB; at += 128 * 1024)
        memdev_fill(mem->bytes + at, 60 * 1024, at);
    for (size_t i = 20 * MIB; i < 22 * MIB; i++)
        mem->bytes[i] = (uint8_t)("vmscm"[i % 5]);
    memdev_fill(mem->bytes + size - 300, 300, 3);
}

static int setup(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    assert_true(memdev_init(&f->mem, SIZE));
    fill(&f->mem);
    f->cancel_at = UINT64_MAX;
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

/* Files in the directory; their names, each followed by a space. */
static unsigned list(const struct fixture *f, char *names, size_t room)
{
    DIR *d = opendir(f->dir);
    unsigned n = 0;

    assert_non_null(d);
    names[0] = '\0';
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        size_t len = strlen(names);
        snprintf(names + len, room - len, "%s ", e->d_name);
        n++;
    }
    closedir(d);
    return n;
}

static void assert_same(const char *path, const uint8_t *bytes, uint64_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf buf = VMSCM_BUF_INIT;

    assert_done(vmscm_file_read(&buf, path, 1 << 30, &err), &err);
    assert_int_equal(buf.len, size);
    assert_memory_equal(buf.data, bytes, size);
    vmscm_buf_release(&buf);
}

static uint64_t space(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return (uint64_t)st.st_blocks * 512;
}

static void test_raw(void **state)
{
    struct fixture *f = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char *path = in_dir(f, "disk.img");
    uint64_t written = 0;

    for (unsigned jobs = 1; jobs <= 3; jobs += 2) {
        struct vmscm_writer_options o = {
            .format = VMSCM_PROBE_RAW, .jobs = jobs, .progress = progress, .data = f};
        f->last = 0;
        assert_done(vmscm_writer_write(&f->mem.dev, path, &o, &written, &err), &err);
        assert_same(path, f->mem.bytes, SIZE);
        assert_int_equal(f->last, SIZE);
        assert_true(written >= 4 * MIB && written < 6 * MIB);
        assert_true(space(path) < 8 * MIB);
        assert_fails(vmscm_writer_write(&f->mem.dev, path, &o, &written, &err), &err, VMSCM_EEXIST,
            "exists");
        assert_same(path, f->mem.bytes, SIZE);
        unlink(path);
    }
    struct vmscm_machine_option falloc = {(char *)"preallocation", (char *)"falloc"};
    struct vmscm_writer_options o = {
        .format = VMSCM_PROBE_RAW, .jobs = 2, .options = &falloc, .option_count = 1};
    assert_done(vmscm_writer_write(&f->mem.dev, path, &o, NULL, &err), &err);
    assert_same(path, f->mem.bytes, SIZE);
    assert_true(space(path) >= SIZE);
    free(path);
}

static void test_raw_odd_sizes(void **state)
{
    static const uint64_t sizes[] = {1, 511, 1000, 4097, 16 * MIB - 1, 16 * MIB + 1};
    struct fixture *f = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_writer_options o = {.format = VMSCM_PROBE_RAW, .jobs = 2};
    char *path = in_dir(f, "disk.img");

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        f->mem.dev.size = sizes[i];
        assert_done(vmscm_writer_write(&f->mem.dev, path, &o, NULL, &err), &err);
        assert_same(path, f->mem.bytes, sizes[i]);
        unlink(path);
    }
    free(path);
}

static void test_raw_resume(void **state)
{
    struct fixture *f = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_writer_options o = {.format = VMSCM_PROBE_RAW, .jobs = 2, .resume = true};
    char *path = in_dir(f, "disk.img");
    uint64_t written = 0;

    /* Broken off, it stays; then the rest is written. */
    f->mem.bad = 21 * MIB;
    assert_fails(vmscm_writer_write(&f->mem.dev, path, &o, &written, &err), &err, VMSCM_EDAMAGED,
        "mem: bad");
    assert_true(vmscm_file_exists(path));
    f->mem.bad = UINT64_MAX;
    uint64_t rest = 0;
    assert_done(vmscm_writer_write(&f->mem.dev, path, &o, &rest, &err), &err);
    assert_same(path, f->mem.bytes, SIZE);
    assert_true(written > 2 * MIB && rest > 0 && rest < 3 * MIB);
    assert_done(vmscm_writer_write(&f->mem.dev, path, &o, &rest, &err), &err);
    assert_int_equal(rest, 0);

    /* Data where zeros belong, other data, longer and shorter: all mended, still sparse. */
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "xyz", 3, 30 * MIB), 3);    /* in a hole */
    assert_int_equal(pwrite(fd, "xyz", 3, 1 * MIB), 3);     /* in data */
    assert_int_equal(pwrite(fd, "xyz", 3, 4 * MIB + 61440), 3); /* zeros between data */
    assert_int_equal(ftruncate(fd, (off_t)(SIZE - 5000)), 0);
    close(fd);
    assert_done(vmscm_writer_write(&f->mem.dev, path, &o, &rest, &err), &err);
    assert_same(path, f->mem.bytes, SIZE);
    assert_true(rest > 0 && rest <= 3 * 4096);
    assert_true(space(path) < 8 * MIB);
    assert_int_equal(truncate(path, (off_t)(SIZE + 100000)), 0);
    assert_done(vmscm_writer_write(&f->mem.dev, path, &o, &rest, &err), &err);
    assert_same(path, f->mem.bytes, SIZE);

    /* Never through a symlink, never over what is no file. */
    char *link = in_dir(f, "link.img");
    assert_int_equal(symlink(path, link), 0);
    assert_int_equal(vmscm_writer_write(&f->mem.dev, link, &o, NULL, &err), VMSCM_EIO);
    unlink(link);
    assert_int_equal(mkfifo(link, 0600), 0);
    assert_true(vmscm_writer_write(&f->mem.dev, link, &o, NULL, &err) < 0);
    free(link);
    free(path);
}

static void test_raw_update(void **state)
{
    struct fixture *f = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_writer_options o = {.format = VMSCM_PROBE_RAW, .jobs = 2};
    char *path = in_dir(f, "disk.img");
    uint64_t written = 0;

    assert_done(vmscm_writer_write(&f->mem.dev, path, &o, NULL, &err), &err);
    /* Ranges within a segment, across the end of one, past the end of the disk; what is outside
     * them is left as it is, whatever that may be. */
    const struct vmscm_diff_range ranges[] = {{1 * MIB, 8192}, {4 * MIB, 1 * MIB},
        {16 * MIB - 4096, 3 * 4096}, {SIZE - 512, 1 * MIB}};
    memdev_fill(f->mem.bytes + MIB, 5000, 10);
    memset(f->mem.bytes + 4 * MIB, 0, MIB);
    memdev_fill(f->mem.bytes + 16 * MIB - 4096, 2 * 4096, 11);
    memdev_fill(f->mem.bytes + SIZE - 10, 10, 12);
    uint64_t before = space(path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "xyz", 3, 2 * MIB - 3), 3);
    close(fd);
    o.update = true;
    o.ranges = ranges;
    o.range_count = sizeof ranges / sizeof *ranges;
    f->last = 0;
    o.progress = progress;
    o.data = f;
    assert_done(vmscm_writer_write(&f->mem.dev, path, &o, &written, &err), &err);
    assert_int_equal(f->last, SIZE);
    assert_int_equal(written, 2 * 4096 + 2 * 4096 + 512);
    assert_true(space(path) + 400 * 1024 < before);
    memcpy(f->mem.bytes + 2 * MIB - 3, "xyz", 3);
    assert_same(path, f->mem.bytes, SIZE);

    /* A smaller disk, and nothing to write. */
    f->mem.dev.size = 3 * MIB + 100;
    o.range_count = 0;
    f->last = 0;
    assert_done(vmscm_writer_write(&f->mem.dev, path, &o, &written, &err), &err);
    assert_int_equal(written, 0);
    assert_same(path, f->mem.bytes, 3 * MIB + 100);
    f->mem.dev.size = SIZE;

    /* Broken off, it stays. */
    o.range_count = 1;
    f->mem.bad = MIB + 1;
    assert_fails(vmscm_writer_write(&f->mem.dev, path, &o, &written, &err), &err, VMSCM_EDAMAGED,
        "mem: bad");
    assert_true(vmscm_file_exists(path));
    free(path);
}

static void test_raw_failures(void **state)
{
    struct fixture *f = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_writer_options o = {
        .format = VMSCM_PROBE_RAW, .jobs = 3, .progress = progress, .data = f};
    char *path = in_dir(f, "disk.img"), *missing = in_dir(f, "none/disk.img"), names[256];

    f->mem.bad = 5 * MIB;
    assert_fails(vmscm_writer_write(&f->mem.dev, path, &o, NULL, &err), &err, VMSCM_EDAMAGED,
        "mem: bad");
    f->mem.bad = UINT64_MAX;
    f->last = 0;
    f->cancel_at = 16 * MIB;
    assert_fails(
        vmscm_writer_write(&f->mem.dev, path, &o, NULL, &err), &err, VMSCM_ECANCELED, "canceled");
    assert_int_equal(list(f, names, sizeof names), 0);
    f->cancel_at = UINT64_MAX;
    assert_int_equal(vmscm_writer_write(&f->mem.dev, missing, &o, NULL, &err), VMSCM_ENOTFOUND);
    free(path);
    free(missing);
}

static void compare(const struct fixture *f, const char *format, const char *path)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf out = VMSCM_BUF_INIT;
    char *raw = in_dir(f, "reference");

    if (!vmscm_file_exists(raw))
        assert_done(vmscm_file_replace(raw, f->mem.bytes, f->mem.dev.size, 0600, &err), &err);
    const char *const argv[] = {
        "qemu-img", "compare", "-f", "raw", "-F", format, raw, path, NULL};
    struct vmscm_spawn_options o = {.argv = argv};
    assert_done(vmscm_spawn_run(&out, 1 << 20, &o, NULL, NULL, &err), &err);
    assert_non_null(strstr(vmscm_buf_str(&out), "identical"));
    assert_null(strstr(vmscm_buf_str(&out), "mismatch"));
    vmscm_buf_release(&out);
    free(raw);
}

#define OPTIONS_MAX 3
struct format_case {
    enum vmscm_probe_format format;
    const char *options[2 * OPTIONS_MAX + 1];
    unsigned files;
    const char *names; /* one of them */
    uint64_t most;     /* bytes of space; 0: any */
};

static const struct format_case format_cases[] = {
    {VMSCM_PROBE_QCOW2, {NULL}, 1, "d.img", 8 * MIB},
    {VMSCM_PROBE_QCOW2, {"cluster_size", "512", "compat", "0.10", NULL}, 1, "d.img", 8 * MIB},
    {VMSCM_PROBE_QCOW2, {"cluster_size", "2M", "lazy_refcounts", "on", NULL}, 1, "d.img", 0},
    {VMSCM_PROBE_QCOW2, {"extended_l2", "on", "compression_type", "zstd", NULL}, 1, "d.img", 8 * MIB},
    {VMSCM_PROBE_QCOW2, {"preallocation", "metadata", "refcount_bits", "1", NULL}, 1, "d.img", 0},
    {VMSCM_PROBE_VMDK, {NULL}, 1, "d.img", 8 * MIB},
    {VMSCM_PROBE_VMDK, {"subformat", "monolithicSparse", "adapter_type", "lsilogic", NULL}, 1,
        "d.img", 8 * MIB},
    {VMSCM_PROBE_VMDK, {"subformat", "streamOptimized", NULL}, 1, "d.img", 8 * MIB},
    {VMSCM_PROBE_VMDK, {"subformat", "monolithicFlat", NULL}, 2, "d-flat.img", 8 * MIB},
    {VMSCM_PROBE_VMDK, {"subformat", "twoGbMaxExtentSparse", NULL}, 2, "d-s001.img", 8 * MIB},
    {VMSCM_PROBE_VMDK, {"subformat", "twoGbMaxExtentFlat", NULL}, 2, "d-f001.img", 8 * MIB},
    {VMSCM_PROBE_VDI, {NULL}, 1, "d.img", 12 * MIB},
    {VMSCM_PROBE_VDI, {"static", "on", NULL}, 1, "d.img", 0},
    {VMSCM_PROBE_VPC, {NULL}, 1, "d.img", 16 * MIB},
    {VMSCM_PROBE_VPC, {"subformat", "fixed", NULL}, 1, "d.img", 0},
    {VMSCM_PROBE_VHDX, {NULL}, 1, "d.img", 24 * MIB},
    {VMSCM_PROBE_VHDX, {"subformat", "fixed", "block_size", "2M", NULL}, 1, "d.img", 0},
    {VMSCM_PROBE_PARALLELS, {NULL}, 1, "d.img", 12 * MIB},
};

static size_t list_options(struct vmscm_machine_option out[OPTIONS_MAX],
    const struct format_case *c)
{
    size_t n = 0;

    for (; c->options[2 * n]; n++)
        out[n] = (struct vmscm_machine_option){
            (char *)c->options[2 * n], (char *)c->options[2 * n + 1]};
    return n;
}

static void test_formats(void **state)
{
    struct fixture *f = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char *path = in_dir(f, "d.img"), *reference = in_dir(f, "reference"), names[256];

    for (size_t i = 0; i < sizeof format_cases / sizeof *format_cases; i++) {
        const struct format_case *c = &format_cases[i];
        struct vmscm_machine_option options[OPTIONS_MAX];
        struct vmscm_writer_options o = {.format = c->format, .options = options,
            .option_count = list_options(options, c), .jobs = 2, .progress = progress, .data = f};
        uint64_t written = 0;
        f->last = 0;
        assert_done(vmscm_writer_write(&f->mem.dev, path, &o, &written, &err), &err);
        assert_int_equal(f->last, SIZE);
        assert_true(written >= 4 * MIB && written <= 8 * MIB);
        if (list(f, names, sizeof names) != c->files + vmscm_file_exists(reference) ||
            !strstr(names, c->names))
            fail_msg("case %zu made: %s", i, names);
        compare(f, vmscm_probe_format_name(c->format), path);
        char *extent = in_dir(f, c->names);
        if (c->most && space(extent) > c->most)
            fail_msg("case %zu takes %llu bytes", i, (unsigned long long)space(extent));
        /* What is there is never overwritten, whichever of the files it is. */
        if (c->files > 1)
            unlink(path);
        int rc = vmscm_writer_write(&f->mem.dev, path, &o, &written, &err);
        assert_fails(rc, &err, VMSCM_EEXIST, c->names);
        unlink(path);
        unlink(extent);
        free(extent);
    }
    free(reference);
    free(path);
}

/* Sizes that are not nice are held to the byte where the format can, else rounded as said. */
static void test_sizes(void **state)
{
    static const uint64_t sizes[] = {1000, 1 * MIB + 512, 10 * MIB - 4096, 33 * MIB + 1536};
    struct fixture *f = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char *path = in_dir(f, "d.img");

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int format = VMSCM_PROBE_RAW; format <= VMSCM_PROBE_PARALLELS; format++) {
            enum vmscm_probe_format fmt = (enum vmscm_probe_format)format;
            struct vmscm_writer_options o = {.format = fmt, .jobs = 2};
            struct vmscm_buf out = VMSCM_BUF_INIT;
            uint64_t size = 0;
            char expected[64];
            f->mem.dev.size = sizes[i];
            assert_done(vmscm_writer_size(&size, fmt, sizes[i], &err), &err);
            assert_int_equal(
                size, fmt == VMSCM_PROBE_RAW ? sizes[i] : (sizes[i] + 511) / 512 * 512);
            assert_done(vmscm_writer_write(&f->mem.dev, path, &o, NULL, &err), &err);
            const char *const argv[] = {"qemu-img", "info", "--output=json", "-f",
                vmscm_probe_format_name(fmt), path, NULL};
            struct vmscm_spawn_options so = {.argv = argv};
            assert_done(vmscm_spawn_run(&out, 1 << 20, &so, NULL, NULL, &err), &err);
            snprintf(expected, sizeof expected, "\"virtual-size\": %llu,",
                (unsigned long long)((size + 511) / 512 * 512));
            if (!strstr(vmscm_buf_str(&out), expected))
                fail_msg("%s: %s is not in %s", argv[4], expected, vmscm_buf_str(&out));
            vmscm_buf_release(&out);
            unlink(path);
        }
    uint64_t size;
    assert_fails(vmscm_writer_size(&size, VMSCM_PROBE_VPC, UINT64_C(2041) << 30, &err), &err,
        VMSCM_EUNSUPPORTED, "vpc cannot hold");
    assert_done(vmscm_writer_size(&size, VMSCM_PROBE_VPC, UINT64_C(2040) << 30, &err), &err);
    assert_fails(vmscm_writer_size(&size, VMSCM_PROBE_VHDX, (UINT64_C(64) << 40) + 1, &err), &err,
        VMSCM_EUNSUPPORTED, "vhdx cannot hold");
    assert_fails(vmscm_writer_size(&size, VMSCM_PROBE_RAW, UINT64_MAX, &err), &err,
        VMSCM_EUNSUPPORTED, "raw cannot hold");
    assert_int_equal(vmscm_writer_size(&size, VMSCM_PROBE_QCOW2, UINT64_MAX, &err),
        VMSCM_EUNSUPPORTED);
    free(path);
}

static void test_convert_failures(void **state)
{
    struct fixture *f = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char *path = in_dir(f, "d.img"), *missing = in_dir(f, "none/d.img"), names[256];

    for (size_t i = 0; i < sizeof format_cases / sizeof *format_cases; i++) {
        const struct format_case *c = &format_cases[i];
        struct vmscm_machine_option options[OPTIONS_MAX];
        struct vmscm_writer_options o = {.format = c->format, .options = options,
            .option_count = list_options(options, c), .jobs = 2, .progress = progress, .data = f};
        f->last = 0;
        f->cancel_at = UINT64_MAX;
        f->mem.bad = 20 * MIB + 5;
        assert_fails(vmscm_writer_write(&f->mem.dev, path, &o, NULL, &err), &err, VMSCM_EDAMAGED,
            "mem: bad");
        f->mem.bad = UINT64_MAX;
        f->last = 0;
        f->cancel_at = 1;
        assert_fails(vmscm_writer_write(&f->mem.dev, path, &o, NULL, &err), &err, VMSCM_ECANCELED,
            "canceled");
        if (list(f, names, sizeof names))
            fail_msg("case %zu left: %s", i, names);
    }
    f->cancel_at = UINT64_MAX;
    struct vmscm_writer_options o = {.format = VMSCM_PROBE_QCOW2, .jobs = 1};
    assert_int_equal(vmscm_writer_write(&f->mem.dev, missing, &o, NULL, &err), VMSCM_ENOTFOUND);
    /* What qemu-img itself refuses: no refcounts of 64 bits in the old version. */
    struct vmscm_machine_option both[] = {{(char *)"compat", (char *)"0.10"},
        {(char *)"refcount_bits", (char *)"64"}};
    o.options = both;
    o.option_count = 2;
    assert_fails(
        vmscm_writer_write(&f->mem.dev, path, &o, NULL, &err), &err, VMSCM_ETOOL, "efcount");
    assert_int_equal(list(f, names, sizeof names), 0);
    free(path);
    free(missing);
}

static void test_options(void **state)
{
    static const struct {
        enum vmscm_probe_format format;
        const char *name, *value, *message; /* NULL: fine */
    } cases[] = {
        {VMSCM_PROBE_QCOW2, "cluster_size", "64k", NULL},
        {VMSCM_PROBE_QCOW2, "cluster_size", "65536", NULL},
        {VMSCM_PROBE_QCOW2, "cluster_size", "65537", "cluster_size=65537"},
        {VMSCM_PROBE_QCOW2, "cluster_size", "4M", "cluster_size=4M"},
        {VMSCM_PROBE_QCOW2, "cluster_size", "", "cluster_size="},
        {VMSCM_PROBE_QCOW2, "cluster_size", "64k,backing_file=/etc/passwd", "cluster_size="},
        {VMSCM_PROBE_QCOW2, "backing_file", "/etc/passwd", "backing_file: not an option"},
        {VMSCM_PROBE_QCOW2, "data_file", "x", "data_file: not an option"},
        {VMSCM_PROBE_QCOW2, "encrypt.format", "luks", "encrypt.format: not an option"},
        {VMSCM_PROBE_QCOW2, "size", "1", "size: not an option"},
        {VMSCM_PROBE_QCOW2, "compat", "1.1", NULL},
        {VMSCM_PROBE_QCOW2, "compat", "1", "compat=1"},
        {VMSCM_PROBE_QCOW2, "compat", "", "compat="},
        {VMSCM_PROBE_QCOW2, "compat", "0.10 1.1", "compat="},
        {VMSCM_PROBE_QCOW2, "refcount_bits", "16", NULL},
        {VMSCM_PROBE_QCOW2, "refcount_bits", "3", "refcount_bits=3"},
        {VMSCM_PROBE_VMDK, "subformat", "streamOptimized", NULL},
        {VMSCM_PROBE_VMDK, "subformat", "vmfs", "subformat=vmfs"},
        {VMSCM_PROBE_VMDK, "cluster_size", "64k", "format vmdk"},
        {VMSCM_PROBE_VPC, "force_size", "off", NULL},
        {VMSCM_PROBE_VHDX, "block_size", "2M", NULL},
        {VMSCM_PROBE_VHDX, "log_size", "1", "log_size=1"},
        {VMSCM_PROBE_VDI, "static", "maybe", "static=maybe"},
        {VMSCM_PROBE_PARALLELS, "cluster_size", "1M", NULL},
        {VMSCM_PROBE_RAW, "preallocation", "falloc", NULL},
        {VMSCM_PROBE_RAW, "subformat", "fixed", "format raw"},
    };
    struct fixture *f = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char *path = in_dir(f, "d.img");

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int rc = vmscm_writer_check_option(cases[i].format, cases[i].name, cases[i].value, &err);
        if (!cases[i].message) {
            assert_done(rc, &err);
            continue;
        }
        assert_fails(rc, &err, VMSCM_EUSAGE, cases[i].message);
        assert_true(err.hint[0] != '\0');
        struct vmscm_machine_option option = {(char *)cases[i].name, (char *)cases[i].value};
        struct vmscm_writer_options o = {
            .format = cases[i].format, .options = &option, .option_count = 1, .jobs = 1};
        assert_int_equal(vmscm_writer_write(&f->mem.dev, path, &o, NULL, &err), VMSCM_EUSAGE);
        assert_false(vmscm_file_exists(path));
    }
    /* The last of two counts. */
    struct vmscm_machine_option twice[] = {{(char *)"cluster_size", (char *)"2M"},
        {(char *)"cluster_size", (char *)"512"}};
    struct vmscm_writer_options o = {
        .format = VMSCM_PROBE_QCOW2, .options = twice, .option_count = 2, .jobs = 1};
    uint8_t order[4];
    assert_done(vmscm_writer_write(&f->mem.dev, path, &o, NULL, &err), &err);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, order, 4, 20), 4);
    close(fd);
    assert_int_equal(order[3], 9); /* 2^9 */
    free(path);
}

/* A relative name, and one that QEMU would take for a protocol. */
static void test_relative_path(void **state)
{
    struct fixture *f = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_writer_options o = {.format = VMSCM_PROBE_QCOW2, .jobs = 1};
    char *old = getcwd(NULL, 0), *path = in_dir(f, "nbd:x,y");

    assert_non_null(old);
    assert_int_equal(chdir(f->dir), 0);
    int rc = vmscm_writer_write(&f->mem.dev, "nbd:x,y", &o, NULL, &err);
    assert_int_equal(chdir(old), 0);
    assert_done(rc, &err);
    compare(f, "qcow2", path);
    free(old);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_raw, setup, teardown),
        cmocka_unit_test_setup_teardown(test_raw_odd_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_raw_update, setup, teardown),
        cmocka_unit_test_setup_teardown(test_raw_resume, setup, teardown),
        cmocka_unit_test_setup_teardown(test_raw_failures, setup, teardown),
        cmocka_unit_test_setup_teardown(test_formats, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_convert_failures, setup, teardown),
        cmocka_unit_test_setup_teardown(test_options, setup, teardown),
        cmocka_unit_test_setup_teardown(test_relative_path, setup, teardown),
    };
    return unit_run(tests);
}
