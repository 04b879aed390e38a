/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/image/probe: images that QEMU makes, backing chains, what is no image at all. */
#include "base/endian.h"
#include "image/lockcheck.h"
#include "unit.h"
#include "images.h"
#include "probe_checks.h"

#include <jansson.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

static const char *option(const struct vmscm_probe *probe, const char *name)
{
    for (size_t i = 0; i < probe->option_count; i++)
        if (strcmp(probe->options[i].name, name) == 0)
            return probe->options[i].value;
    return NULL;
}

static json_t *qemu_info(const char *name, const char *format)
{
    json_error_t error;

    RUN("qemu-img", "info", "--output=json", "-f", format, name);
    json_t *info = json_load_file(in_dir("output"), 0, &error);
    assert_non_null(info);
    return info;
}

/* What QEMU tells of the image, by the names of creation options. */
static void compare_option(const struct vmscm_probe *probe, const char *name, const json_t *value)
{
    const char *ours = option(probe, name);
    char number[32];

    if (!value)
        return;
    if (!ours)
        fail_msg("%s: no option %s", probe->path, name);
    if (json_is_string(value)) {
        assert_string_equal(ours, json_string_value(value));
    } else if (json_is_boolean(value)) {
        assert_string_equal(ours, json_is_true(value) ? "on" : "off");
    } else {
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        assert_string_equal(ours, number);
    }
}

static void compare_with_qemu(const struct vmscm_probe *probe, const char *name)
{
    const char *format = vmscm_probe_format_name(probe->format);
    json_t *info = qemu_info(name, format);
    json_t *data = json_object_get(json_object_get(info, "format-specific"), "data");
    json_t *cluster = json_object_get(info, "cluster-size");

    assert_int_equal(probe->size, json_integer_value(json_object_get(info, "virtual-size")));
    assert_int_equal(
        probe->snapshots, json_array_size(json_object_get(info, "snapshots")));
    if (probe->format == VMSCM_PROBE_QCOW2) {
        compare_option(probe, "cluster_size", cluster);
        compare_option(probe, "compat", json_object_get(data, "compat"));
        if (strcmp(option(probe, "compat"), "1.1") == 0) {
            compare_option(probe, "compression_type", json_object_get(data, "compression-type"));
            compare_option(probe, "lazy_refcounts", json_object_get(data, "lazy-refcounts"));
            compare_option(probe, "refcount_bits", json_object_get(data, "refcount-bits"));
            compare_option(probe, "extended_l2", json_object_get(data, "extended-l2"));
        }
    } else if (probe->format == VMSCM_PROBE_VMDK) {
        compare_option(probe, "subformat", json_object_get(data, "create-type"));
        assert_int_equal(probe->cid, json_integer_value(json_object_get(data, "cid")));
    } else if (probe->format == VMSCM_PROBE_VHDX) {
        compare_option(probe, "block_size", cluster);
    } else if (probe->format == VMSCM_PROBE_PARALLELS) {
        compare_option(probe, "cluster_size", cluster);
    }
    json_decref(info);
}

/* The recorded options make an image of which the same is recorded. */
static void compare_remade(const struct vmscm_probe *probe)
{
    const char *format = vmscm_probe_format_name(probe->format);
    struct vmscm_probe *again;
    char options[1000] = "", size[32];
    size_t len = 0;

    for (size_t i = 0; i < probe->option_count; i++)
        len += (size_t)snprintf(options + len, sizeof options - len, "%s%s=%s", len ? "," : "",
            probe->options[i].name, probe->options[i].value);
    snprintf(size, sizeof size, "%llu", (unsigned long long)probe->size);
    if (len)
        RUN("qemu-img", "create", "-f", format, "-o", options, "remade", size);
    else
        RUN("qemu-img", "create", "-f", format, "remade", size);
    again = probed("remade", format, 0);
    assert_int_equal(again->option_count, probe->option_count);
    for (size_t i = 0; i < probe->option_count; i++) {
        assert_string_equal(again->options[i].name, probe->options[i].name);
        assert_string_equal(again->options[i].value, probe->options[i].value);
    }
    vmscm_probe_close(again);
}

static void real_images(void **state)
{
    static const struct {
        const char *format, *options, *size;
        int files; /* that the image is made of */
    } images[] = {
        {"raw", "", "1M", 1},
        {"qcow2", "compat=0.10", "10M", 1},
        {"qcow2", "compat=1.1", "10000384", 1},
        {"qcow2", "cluster_size=512", "10M", 1},
        {"qcow2", "cluster_size=2M", "50M", 1},
        {"qcow2", "compression_type=zstd,lazy_refcounts=on", "10M", 1},
        {"qcow2", "extended_l2=on,cluster_size=128k", "10M", 1},
        {"qcow2", "refcount_bits=1", "10M", 1},
        {"qcow2", "refcount_bits=64", "10M", 1},
        {"qcow2", "preallocation=metadata,cluster_size=4k", "10M", 1},
        {"qcow2", "preallocation=metadata,extended_l2=on", "10M", 1},
        {"qcow2", "data_file=data-1.raw", "10M", 2},
        {"qcow2", "data_file=data-2.raw,data_file_raw=on", "10M", 2},
        {"qcow2", "", "64T", 1},
        {"vmdk", "", "10M", 1},
        {"vmdk", "subformat=monolithicSparse,zeroed_grain=on", "10000384", 1},
        {"vmdk", "subformat=monolithicFlat,adapter_type=lsilogic", "10M", 2},
        {"vmdk", "subformat=twoGbMaxExtentSparse,hwversion=7", "5G", 4},
        {"vmdk", "subformat=twoGbMaxExtentFlat", "5G", 4},
        {"vmdk", "subformat=twoGbMaxExtentSparse,zeroed_grain=on", "10M", 2},
        {"vmdk", "subformat=streamOptimized,zeroed_grain=on", "10M", 1},
        {"vmdk", "subformat=streamOptimized,adapter_type=buslogic", "10M", 1},
        {"vmdk", "compat6,adapter_type=legacyESX", "10M", 1},
        {"vdi", "", "10M", 1},
        {"vdi", "static=on", "10000384", 1},
        {"vpc", "", "10M", 1},
        {"vpc", "force_size", "10M", 1},
        {"vpc", "subformat=fixed", "10M", 1},
        {"vpc", "subformat=fixed,force_size", "10000384", 1},
        {"vpc", "", "200G", 1},
        {"vpc", "force_size", "2040G", 1},
        {"vhdx", "", "10M", 1},
        {"vhdx", "subformat=fixed", "10M", 1},
        {"vhdx", "block_size=1M", "100M", 1},
        {"vhdx", "", "64T", 1},
        {"parallels", "", "10M", 1},
        {"parallels", "cluster_size=64k", "10M", 1},
    };

    (void)state;
    NEED_QEMU();
    for (size_t i = 0; i < sizeof images / sizeof images[0]; i++) {
        const char *format = images[i].format;
        char name[40];
        snprintf(name, sizeof name, "real-%zu", i);

        if (*images[i].options)
            RUN("qemu-img", "create", "-f", format, "-o", images[i].options, name, images[i].size);
        else
            RUN("qemu-img", "create", "-f", format, name, images[i].size);
        /* Data at the start and amid the disk, and zeros. */
        if (!strstr(images[i].options, "streamOptimized"))
            RUN("qemu-io", "-f", format, "-c", "write -P 1 3k 5k", "-c", "write -P 2 512k 70k",
                "-c", "write -z 200k 4k", "-c", "write -P 3 900k 512", name);
        struct vmscm_probe *probe = probed(name, NULL, 0);
        assert_string_equal(vmscm_probe_format_name(probe->format), format);
        assert_int_equal(probe->files.len, images[i].files);
        assert_null(probe->backing);
        assert_false(probe->dirty);
        assert_int_equal(probe->compressed, strstr(images[i].options, "streamOptimized") != NULL);
        compare_with_qemu(probe, name);
        compare_remade(probe);
        vmscm_probe_close(probe);
        vmscm_probe_close(probed(name, format, 0));
    }
}

/* An image full of data, as convert writes it, cut in its last sector: noticed. */
static void cut_short(void **state)
{
    static const struct {
        const char *format, *options;
        bool compressed;
    } images[] = {
        {"qcow2", "cluster_size=64k", false},
        {"qcow2", "cluster_size=4k,extended_l2=off", true},
        {"qcow2", "extended_l2=on", false},
        {"qcow2", "compat=0.10", true},
        {"vmdk", "subformat=monolithicSparse", false},
        {"vmdk", "subformat=streamOptimized", false},
        {"vdi", "static=off", false},
        {"vdi", "static=on", false},
        {"vpc", "subformat=dynamic,force_size", false},
        {"vpc", "subformat=fixed,force_size", false},
        {"vhdx", "subformat=dynamic", false},
        {"vhdx", "subformat=fixed", false},
        {"parallels", "cluster_size=64k", false},
    };
    enum { SIZE = 8 << 20, ODD = SIZE - 37 * 512 }; /* whole blocks of every format; not */
    uint8_t *noise = malloc(SIZE);
    uint32_t x = 1;

    (void)state;
    NEED_QEMU();
    assert_non_null(noise);
    for (size_t i = 0; i < SIZE; i++) {
        x = x * 1664525 + 1013904223;
        noise[i] = (uint8_t)(x >> 24) >> (i / 4096 % 3);
    }
    put_file("full.raw", noise, SIZE, SIZE);
    put_file("odd.raw", noise, ODD, ODD);
    free(noise);
    for (size_t i = 0; i < sizeof images / sizeof images[0]; i++) {
        const char *format = images[i].format;
        struct vmscm_probe *probe;
        struct stat st;

        const char *flag = images[i].compressed ? "-c" : "-p";
        RUN("qemu-img", "convert", flag, "-f", "raw", "-O", format, "-o", images[i].options,
            "odd.raw", "full");
        assert_int_equal(size_of("full", NULL, 0), ODD);
        RUN("qemu-img", "convert", flag, "-f", "raw", "-O", format, "-o", images[i].options,
            "full.raw", "full");
        probe = probed("full", NULL, 0);
        assert_int_equal(probe->size, SIZE);
        if (images[i].compressed)
            assert_true(probe->compressed);
        vmscm_probe_close(probe);
        assert_int_equal(stat(in_dir("full"), &st), 0);
        for (int cut = 1; cut <= 3; cut++) {
            /* Files may end in padding, but none in this much. */
            static const off_t lengths[] = {0, 130 * 1024, 512 * 1024, 1200 * 1024};
            struct vmscm_error err = VMSCM_ERROR_INIT;
            off_t left = st.st_size - lengths[cut];

            if (left < 512)
                continue;
            assert_int_equal(truncate(in_dir("full"), left), 0);
            int rc = vmscm_probe_open(&probe, in_dir("full"), format, 0, &err);
            if (rc != VMSCM_EINPUT)
                fail_msg("%s %s cut by %ld: %s %s", format, images[i].options,
                    (long)lengths[cut], vmscm_error_name(rc), err.message);
        }
    }
}

static void snapshots_and_bits(void **state)
{
    struct vmscm_probe *probe;

    (void)state;
    NEED_QEMU();
    RUN("qemu-img", "create", "-f", "qcow2", "snap", "10M");
    RUN("qemu-img", "snapshot", "-c", "one", "snap");
    RUN("qemu-img", "snapshot", "-c", "two", "snap");
    probe = probed("snap", NULL, 0);
    assert_int_equal(probe->snapshots, 2);
    compare_with_qemu(probe, "snap");
    vmscm_probe_close(probe);
    for (int bit = 1; bit <= 2; bit++) { /* dirty, corrupt */
        poke("snap", 79, &(uint8_t){(uint8_t)bit}, 1);
        probe = probed("snap", NULL, 0);
        assert_true(probe->dirty);
        vmscm_probe_close(probe);
    }
}

/* CRC-32C of a VHDX header, whose checksum is at 4, put there. */
static void seal(uint8_t *header)
{
    uint32_t crc = UINT32_MAX;

    memset(header + 4, 0, 4);
    for (size_t i = 0; i < 4096; i++) {
        crc ^= header[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
    }
    vmscm_put_le32(header + 4, ~crc);
}

static void not_closed_cleanly(void **state)
{
    struct vmscm_probe *probe;
    uint8_t header[4096];

    (void)state;
    NEED_QEMU();
    RUN("qemu-img", "create", "-f", "vhdx", "log.vhdx", "10M");
    for (int k = 1; k <= 2; k++) { /* the log's id in each of the two headers */
        int fd = open(in_dir("log.vhdx"), O_RDONLY | O_CLOEXEC);
        assert_int_equal(pread(fd, header, sizeof header, k * 65536), sizeof header);
        close(fd);
        header[48] = 1;
        seal(header);
        poke("log.vhdx", (uint64_t)k * 65536, header, sizeof header);
    }
    probe = probed("log.vhdx", NULL, 0);
    assert_true(probe->dirty);
    vmscm_probe_close(probe);

    /* Parallels: the old kind, whose table counts sectors; and the mark of being in use. */
    RUN("qemu-img", "create", "-f", "parallels", "old.hdd", "10M");
    poke("old.hdd", 0, "WithoutFreeSpace", 16);
    poke("old.hdd", 40, "\1\2\3\4", 4); /* the upper half of the size, which it does not have */
    probe = probed("old.hdd", NULL, 0);
    assert_false(probe->dirty);
    compare_with_qemu(probe, "old.hdd");
    vmscm_probe_close(probe);
    poke("old.hdd", 44, "Ynot", 4);
    probe = probed("old.hdd", NULL, 0);
    assert_true(probe->dirty);
    vmscm_probe_close(probe);
}

/* A backing file that is known not to be an image: by exactly its name. */
static void over(void **state)
{
    static const char name[] = "json:{\"driver\":\"raw\",\"file\":{\"driver\":\"nbd\"}}";
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_probe *probe = NULL;

    (void)state;
    NEED_QEMU();
    RUN("qemu-img", "create", "-u", "-f", "qcow2", "-F", "raw", "-b", name, "thin", "10M");
    assert_done(vmscm_probe_open_over(&probe, in_dir("thin"), name, 0, &err), &err);
    assert_true(probe->over);
    assert_null(probe->backing);
    assert_int_equal(probe->size, 10 << 20);
    vmscm_probe_close(probe);
    assert_fails(vmscm_probe_open_over(&probe, in_dir("thin"), "json:{}", 0, &err), &err,
        VMSCM_EREFUSED, "not a plain file name");
    assert_refused("thin", NULL, 0, VMSCM_EREFUSED, "not a plain file name");
    RUN("qemu-img", "create", "-f", "qcow2", "alone", "10M");
    vmscm_error_clear(&err);
    assert_done(vmscm_probe_open_over(&probe, in_dir("alone"), name, 0, &err), &err);
    assert_false(probe->over);
    vmscm_probe_close(probe);
}

static void backing_chains(void **state)
{
    struct vmscm_probe *probe;
    char outside[700];

    (void)state;
    NEED_QEMU();
    assert_int_equal(mkdir(in_dir("sub"), 0700), 0);
    RUN("qemu-img", "create", "-f", "qcow2", "sub/base", "10M");
    RUN("qemu-img", "create", "-f", "qcow2", "-b", "base", "-F", "qcow2", "sub/mid");
    RUN("qemu-img", "create", "-f", "qcow2", "-b", "sub/mid", "-F", "qcow2", "top");
    probe = probed("top", NULL, 0);
    assert_string_equal(probe->backing->path, in_dir("sub/mid"));
    assert_string_equal(probe->backing->backing->path, in_dir("sub/base"));
    assert_null(probe->backing->backing->backing);
    vmscm_probe_close(probe);

    /* The header says raw: believed, whatever the file begins with. */
    RUN("qemu-img", "create", "-f", "qcow2", "-b", "sub/base", "-F", "raw", "on-raw");
    probe = probed("on-raw", NULL, 0);
    assert_int_equal(probe->backing->format, VMSCM_PROBE_RAW);
    vmscm_probe_close(probe);
    /* The header says nothing: found out. */
    RUN("qemu-img", "create", "-f", "qcow2", "-b", "sub/base", "-F", "qcow2", "unsaid");
    poke("unsaid", 112, "none", 4); /* the first header extension's kind */
    probe = probed("unsaid", NULL, 0);
    assert_int_equal(probe->backing->format, VMSCM_PROBE_QCOW2);
    vmscm_probe_close(probe);

    /* An absolute name of a file in the directory is fine, one above it is not. */
    RUN("qemu-img", "create", "-f", "qcow2", "-b", in_dir("sub/base"), "-F", "qcow2", "absolute");
    vmscm_probe_close(probed("absolute", NULL, 0));
    RUN("qemu-img", "create", "-f", "qcow2", "-b", in_dir("top"), "-F", "qcow2", "sub/above");
    assert_refused("sub/above", NULL, 0, VMSCM_EREFUSED, "outside the image's directory");
    vmscm_probe_close(probed("sub/above", NULL, VMSCM_ALLOW_OUTSIDE));
    RUN("qemu-img", "create", "-f", "qcow2", "-b", "../top", "-F", "qcow2", "sub/above-2");
    assert_refused("sub/above-2", NULL, 0, VMSCM_EREFUSED, "outside the image's directory");
    vmscm_probe_close(probed("sub/above-2", NULL, VMSCM_ALLOW_OUTSIDE));
    /* A link leads outside; a directory whose name only begins alike is outside. */
    put_file("plain", "x", 1, 4096);
    assert_int_equal(symlink("../plain", in_dir("sub/link")), 0);
    RUN("qemu-img", "create", "-f", "qcow2", "-b", "link", "-F", "raw", "sub/linked");
    assert_refused("sub/linked", NULL, 0, VMSCM_EREFUSED, "outside the image's directory");
    assert_int_equal(mkdir(in_dir("sub2"), 0700), 0);
    RUN("qemu-img", "create", "-f", "qcow2", "-b", "../sub/base", "-F", "qcow2", "sub2/x");
    assert_refused("sub2/x", NULL, 0, VMSCM_EREFUSED, "outside the image's directory");
    snprintf(outside, sizeof outside, "%s", in_dir("sub2/none"));
    RUN("qemu-img", "rebase", "-u", "-f", "qcow2", "-b", outside, "-F", "qcow2", "sub/mid");
    assert_refused("sub/mid", NULL, 0, VMSCM_EREFUSED, "outside the image's directory");
    RUN("qemu-img", "rebase", "-u", "-f", "qcow2", "-b", "none", "-F", "qcow2", "sub/mid");
    assert_refused("sub/mid", NULL, 0, VMSCM_ENOTFOUND, "its backing file");

    RUN("qemu-img", "rebase", "-u", "-f", "qcow2", "-b", "mid", "-F", "qcow2", "sub/mid");
    assert_refused("sub/mid", NULL, 0, VMSCM_EREFUSED, "is a loop");
    assert_refused("top", NULL, 0, VMSCM_EREFUSED, "is a loop");
}

static void deep_chain(void **state)
{
    char name[32], below[32] = "deep-0";
    struct vmscm_probe *probe;

    (void)state;
    NEED_QEMU();
    RUN("qemu-img", "create", "-f", "qcow2", below, "1M");
    for (int i = 1; i <= VMSCM_PROBE_DEPTH_MAX; i++) {
        snprintf(name, sizeof name, "deep-%d", i);
        RUN("qemu-img", "create", "-u", "-f", "qcow2", "-b", below, "-F", "qcow2", name, "1M");
        memcpy(below, name, sizeof below);
    }
    snprintf(name, sizeof name, "deep-%d", VMSCM_PROBE_DEPTH_MAX - 1);
    probe = probed(name, NULL, 0);
    vmscm_probe_close(probe);
    assert_refused(below, NULL, 0, VMSCM_EREFUSED, "a backing chain of more than 64 images");
}

static void vmdk_parents(void **state)
{
    struct vmscm_probe *probe;

    (void)state;
    NEED_QEMU();
    RUN("qemu-img", "create", "-f", "vmdk", "parent.vmdk", "10M");
    RUN("qemu-img", "create", "-f", "vmdk", "-b", "parent.vmdk", "-F", "vmdk", "child.vmdk");
    RUN("qemu-img", "create", "-f", "vmdk", "-o", "subformat=twoGbMaxExtentSparse", "-b",
        "child.vmdk", "-F", "vmdk", "grandchild.vmdk");
    probe = probed("grandchild.vmdk", NULL, 0);
    assert_string_equal(probe->backing->backing->path, in_dir("parent.vmdk"));
    assert_string_equal(option(probe, "subformat"), "twoGbMaxExtentSparse");
    vmscm_probe_close(probe);
    RUN("qemu-img", "create", "-f", "vmdk", "parent.vmdk", "10M"); /* another content id */
    assert_refused("child.vmdk", NULL, 0, VMSCM_EINPUT, "was changed after");
}

static void not_images(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    (void)state;
    assert_int_equal(mkdir(in_dir("dir"), 0700), 0);
    assert_refused("dir", NULL, 0, VMSCM_EINPUT, "is a directory");
    assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
    assert_refused("fifo", NULL, 0, VMSCM_EINPUT, "is a FIFO");
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", in_dir("socket"));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_refused("socket", NULL, 0, VMSCM_EINPUT, "is a socket");
    close(fd);
    assert_int_equal(symlink("/dev/null", in_dir("device")), 0);
    assert_refused("device", NULL, 0, VMSCM_EINPUT, "is a character device");
    assert_refused("device", "raw", 0, VMSCM_EINPUT, "is a character device");
    put_file("empty", "", 0, 0);
    assert_refused("empty", NULL, 0, VMSCM_EINPUT, "is empty");
    assert_refused("empty", "raw", 0, VMSCM_EINPUT, "is empty");
    assert_refused("none", NULL, 0, VMSCM_ENOTFOUND, "No such file");
    assert_refused("empty/x", NULL, 0, VMSCM_ENOTFOUND, "Not a directory");
    assert_refused("empty", "nonsense", 0, VMSCM_EUSAGE, "not a disk format");
    put_file("odd", "x", 1, 1000001);
    struct vmscm_probe *probe = probed("odd", NULL, 0);
    assert_int_equal(probe->format, VMSCM_PROBE_RAW);
    assert_int_equal(probe->size, 1000001);
    assert_int_equal(probe->option_count, 0);
    vmscm_probe_close(probe);
    assert_refused("odd", "qcow2", 0, VMSCM_EINPUT, "not a qcow2 image");
}

static void changed_while_read(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_probe *probe;

    (void)state;
    put_file("changing", "x", 1, 4096);
    probe = probed("changing", NULL, 0);
    assert_done(vmscm_probe_unchanged(probe, &err), &err);
    poke("changing", 9, "y", 1);
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1000000000}};
    assert_int_equal(utimensat(AT_FDCWD, in_dir("changing"), times, 0), 0);
    assert_fails(vmscm_probe_unchanged(probe, &err), &err, VMSCM_EBUSY, "changed while");
    assert_int_equal(unlink(in_dir("changing")), 0);
    assert_fails(vmscm_probe_unchanged(probe, &err), &err, VMSCM_EBUSY, "was removed");
    vmscm_probe_close(probe);
}

static void format_names(void **state)
{
    enum vmscm_probe_format format;
    struct vmscm_error err = VMSCM_ERROR_INIT;

    (void)state;
    for (int f = VMSCM_PROBE_RAW; f <= VMSCM_PROBE_PARALLELS; f++) {
        const char *name = vmscm_probe_format_name((enum vmscm_probe_format)f);
        assert_done(vmscm_probe_format_parse(&format, name, &err), &err);
        assert_int_equal(format, f);
        assert_string_not_equal(vmscm_probe_format_suffix(format), "");
    }
    assert_done(vmscm_probe_format_parse(&format, "vhd", &err), &err);
    assert_int_equal(format, VMSCM_PROBE_VPC);
    assert_fails(vmscm_probe_format_parse(&format, "RAW", &err), &err, VMSCM_EUSAGE, "RAW");
}

static bool written(const char *name)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    bool held = false;

    assert_done(vmscm_lockcheck_writer(&held, in_dir(name), &err), &err);
    return held;
}

static void locks(void **state)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 1};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    bool held;
    int fd;

    (void)state;
    put_file("locked", "x", 1, 4096);
    assert_false(written("locked"));
    fd = open(in_dir("locked"), O_RDWR | O_CLOEXEC);
    for (int byte = 100; byte <= 104; byte++) {
        lock.l_start = byte;
        lock.l_type = F_RDLCK;
        assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
        assert_int_equal(written("locked"), byte == 101 || byte == 103);
        lock.l_type = F_UNLCK;
        assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
    }
    close(fd);
    assert_false(written("locked"));
    assert_fails(
        vmscm_lockcheck_writer(&held, in_dir("none"), &err), &err, VMSCM_ENOTFOUND, "none");
    assert_fails(
        vmscm_lockcheck_writer(&held, images_dir, &err), &err, VMSCM_EINPUT, "not a regular file");
}

/* A real qemu-io that has an image open, for writing or not. */
static void real_locks(void **state)
{
    static const char *const modes[] = {"-t", "-r"}; /* -t writeback, the default; read-only */

    (void)state;
    NEED_QEMU();
    RUN("qemu-img", "create", "-f", "qcow2", "busy", "1M");
    for (int i = 0; i < 2; i++) {
        posix_spawn_file_actions_t actions;
        int in[2], out[2];
        char prompt[64];
        pid_t pid;

        assert_int_equal(pipe2(in, O_CLOEXEC), 0);
        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, in[0], 0);
        posix_spawn_file_actions_adddup2(&actions, out[1], 1);
        const char *argv[] = {"qemu-io", "-f", "qcow2", modes[i], i ? in_dir("busy") : "writeback",
            i ? NULL : in_dir("busy"), NULL};
        assert_int_equal(
            posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv, environ), 0);
        posix_spawn_file_actions_destroy(&actions);
        close(in[0]);
        close(out[1]);
        /* It answers once it has the image open. */
        assert_int_equal(write(in[1], "length\n", 7), 7);
        assert_true(read(out[0], prompt, sizeof prompt) > 0);
        assert_int_equal(written("busy"), i == 0);
        close(in[1]);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        close(out[0]);
        assert_false(written("busy"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_images),
        cmocka_unit_test(cut_short),
        cmocka_unit_test(snapshots_and_bits),
        cmocka_unit_test(not_closed_cleanly),
        cmocka_unit_test(over),
        cmocka_unit_test(backing_chains),
        cmocka_unit_test(deep_chain),
        cmocka_unit_test(vmdk_parents),
        cmocka_unit_test(not_images),
        cmocka_unit_test(changed_while_read),
        cmocka_unit_test(format_names),
        cmocka_unit_test(locks),
        cmocka_unit_test(real_locks),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, images_setup, images_teardown);
}
