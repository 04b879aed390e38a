/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/image/probe: images made by hand to mislead, cut off anywhere, damaged anywhere. */
#include "base/endian.h"
#include "unit.h"
#include "images.h"
#include "probe_checks.h"

/* A version 3 qcow2 of 1 MiB: header, refcount table, L1 table, one cluster each. */
static void put_qcow2(const char *name, const char *backing, uint32_t extension,
    const char *extension_text)
{
    uint8_t b[65536] = "QFI\xfb";
    size_t at = 104;

    vmscm_put_be32(b + 4, 3);
    vmscm_put_be32(b + 20, 16);
    vmscm_put_be64(b + 24, 1 << 20);
    vmscm_put_be32(b + 36, 1);
    vmscm_put_be64(b + 40, 2 << 16);
    vmscm_put_be64(b + 48, 1 << 16);
    vmscm_put_be32(b + 56, 1);
    vmscm_put_be32(b + 96, 4);
    vmscm_put_be32(b + 100, 104);
    if (extension) {
        vmscm_put_be32(b + at, extension);
        vmscm_put_be32(b + at + 4, (uint32_t)strlen(extension_text));
        memcpy(b + at + 8, extension_text, strlen(extension_text));
        at += 8 + (strlen(extension_text) + 7) / 8 * 8;
    }
    if (backing) {
        vmscm_put_be64(b + 8, 4096);
        vmscm_put_be32(b + 16, (uint32_t)strlen(backing));
        memcpy(b + 4096, backing, strlen(backing));
    }
    put_file(name, b, sizeof b, 3 << 16);
}

static void poke32(const char *name, uint64_t offset, uint32_t v)
{
    uint8_t b[4];

    vmscm_put_be32(b, v);
    poke(name, offset, b, 4);
}

static void poke64(const char *name, uint64_t offset, uint64_t v)
{
    uint8_t b[8];

    vmscm_put_be64(b, v);
    poke(name, offset, b, 8);
}

enum { EXT_FORMAT = (int)0xe2792aca, EXT_DATA = 0x44415441 };

static void qcow2_names(void **state)
{
    static const char *const never[] = {"json:{\"driver\":\"file\",\"filename\":\"/etc/passwd\"}",
        "nbd://localhost/x", "nbd:unix:/x", "ssh://h/x", "fd:0", "file:/etc/passwd", "a:b",
        "fat:rw:/etc", "blkdebug::x"};
    static const char *const outside[] = {
        "/etc/passwd", "../x", "/", "/dev/null", "/proc/self/mem"};

    (void)state;
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
        put_qcow2("q", never[i], 0, NULL);
        assert_refused("q", NULL, 0, VMSCM_EREFUSED, "not a plain file name");
        assert_refused("q", NULL, VMSCM_ALLOW_OUTSIDE | VMSCM_ALLOW_AMBIGUOUS, VMSCM_EREFUSED,
            "not a plain file name");
        put_qcow2("q", NULL, EXT_DATA, never[i]);
        poke64("q", 72, 4);
        assert_refused("q", NULL, VMSCM_ALLOW_OUTSIDE, VMSCM_EREFUSED, "not a plain file name");
    }
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        put_qcow2("q", outside[i], 0, NULL);
        assert_refused("q", NULL, 0, VMSCM_EREFUSED, "backing file");
        put_qcow2("q", NULL, EXT_DATA, outside[i]);
        poke64("q", 72, 4);
        assert_refused("q", NULL, 0, VMSCM_EREFUSED, "data file");
    }
    put_qcow2("q", "/etc/passwd", EXT_FORMAT, "raw");
    assert_int_equal(size_of("q", NULL, VMSCM_ALLOW_OUTSIDE), 1 << 20);
    put_qcow2("q", "/dev/null", EXT_FORMAT, "raw");
    assert_refused("q", NULL, VMSCM_ALLOW_OUTSIDE, VMSCM_EINPUT, "a character device");
    put_qcow2("q", ".", EXT_FORMAT, "raw");
    assert_refused("q", NULL, 0, VMSCM_EREFUSED, "outside");
    put_file("base", "x", 1, 4096);
    put_qcow2("q", "base", EXT_FORMAT, "nbd");
    assert_refused("q", NULL, VMSCM_ALLOW_OUTSIDE, VMSCM_EUNSUPPORTED, "\"nbd\" is not supported");
    put_qcow2("q", "base", EXT_FORMAT, "qcow2");
    assert_refused("q", NULL, 0, VMSCM_EINPUT, "not a qcow2 image");
    put_qcow2("q", "base", EXT_FORMAT, "a format's name too long");
    assert_refused("q", NULL, 0, VMSCM_EINPUT, "backing format");
}

static void qcow2_fields(void **state)
{
    static const struct {
        uint32_t offset;
        uint32_t width;
        uint64_t value;
        int code;
        const char *text;
    } t[] = {
        {4, 4, 1, VMSCM_EUNSUPPORTED, "qcow (version 1)"},
        {4, 4, 4, VMSCM_EUNSUPPORTED, "version 4"},
        {20, 4, 8, VMSCM_EINPUT, "cluster size"},
        {20, 4, 22, VMSCM_EINPUT, "cluster size"},
        {20, 4, 0xffffffff, VMSCM_EINPUT, "cluster size"},
        {24, 8, UINT64_C(1) << 63, VMSCM_EINPUT, "too large"},
        {24, 8, UINT64_MAX, VMSCM_EINPUT, "too large"},
        {24, 8, UINT64_C(1) << 62, VMSCM_EINPUT, "too small for the disk"},
        {24, 8, 0, VMSCM_EINPUT, "no size"},
        {24, 8, UINT64_C(1) << 30, VMSCM_EINPUT, "too small for the disk"},
        {32, 4, 1, VMSCM_EREFUSED, "encrypted"},
        {32, 4, 2, VMSCM_EREFUSED, "encrypted"},
        {36, 4, (32 << 20) / 8 + 1, VMSCM_EINPUT, "L1 table is too large"},
        {36, 4, 0xffffffff, VMSCM_EINPUT, "L1 table is too large"},
        {36, 4, 10000, VMSCM_EINPUT, "truncated"},
        {40, 8, 513, VMSCM_EINPUT, "not aligned"},
        {40, 8, UINT64_C(3) << 16, VMSCM_EINPUT, "truncated"},
        {40, 8, UINT64_C(0xffffffffffff0000), VMSCM_EINPUT, "truncated"},
        {48, 8, UINT64_C(3) << 16, VMSCM_EINPUT, "truncated"},
        {48, 8, 1, VMSCM_EINPUT, "not aligned"},
        {56, 4, 0, VMSCM_EINPUT, "no refcount table"},
        {56, 4, 0xffffffff, VMSCM_EINPUT, "refcount table is too large"},
        {60, 4, 65537, VMSCM_EINPUT, "too many snapshots"},
        {60, 4, 65536, VMSCM_EINPUT, "truncated"},
        {72, 8, 1 << 5, VMSCM_EREFUSED, "unknown incompatible"},
        {72, 8, UINT64_C(1) << 63, VMSCM_EREFUSED, "unknown incompatible"},
        {72, 8, 4, VMSCM_EINPUT, "does not name its data file"},
        {72, 8, 8, VMSCM_EINPUT, "compression type"},
        {96, 4, 7, VMSCM_EINPUT, "refcount width"},
        {100, 4, 103, VMSCM_EINPUT, "header length"},
        {100, 4, 65537, VMSCM_EINPUT, "header length"},
        {8, 8, 100, VMSCM_EINPUT, "out of place"},
        {8, 8, 65536, VMSCM_EINPUT, "out of place"},
        {104, 8, UINT64_C(0x0537be7700000000), VMSCM_EREFUSED, "encrypted"},
        {104, 8, UINT64_C(0x12345678ffffffff), VMSCM_EINPUT, "extension too long"},
        {104, 8, UINT64_C(0x1234567800010000), VMSCM_EINPUT, "extension too long"},
        {2 << 16, 8, UINT64_C(3) << 16, VMSCM_EINPUT, "truncated"},   /* L1 entry */
        {2 << 16, 8, 512, VMSCM_EINPUT, "not aligned"},
    };

    (void)state;
    put_qcow2("q", NULL, 0, NULL);
    assert_int_equal(size_of("q", NULL, 0), 1 << 20);
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        put_qcow2("q", NULL, 0, NULL);
        if (t[i].width == 4)
            poke32("q", t[i].offset, (uint32_t)t[i].value);
        else
            poke64("q", t[i].offset, t[i].value);
        assert_refused("q", NULL, 0, t[i].code, t[i].text);
    }
    put_qcow2("q", NULL, 0, NULL);
    poke32("q", 100, 112);
    poke("q", 104, "\2", 1);
    assert_refused("q", NULL, 0, VMSCM_EREFUSED, "compression type");
    put_qcow2("q", NULL, 0, NULL);
    poke64("q", 72, 16); /* extended L2 entries need clusters of 16 KiB */
    poke32("q", 20, 13);
    assert_refused("q", NULL, 0, VMSCM_EINPUT, "too small for extended L2");
}

/* What an L2 entry may point to. */
static void qcow2_clusters(void **state)
{
    static const struct {
        uint64_t entry;
        const char *text; /* NULL: fine */
    } t[] = {
        {0, NULL},
        {UINT64_C(0x8000000000000000) | 2 << 16, NULL},
        {UINT64_C(0x8000000000000000) | 3 << 16, NULL},
        {UINT64_C(0x8000000000000000) | 4 << 16, "truncated"},
        {UINT64_C(0x80fffffffffffe00), "not aligned"},
        {UINT64_C(0x80ffffffffff0000), "truncated"},
        {(4 << 16) | 1, NULL},                        /* zeros, wherever that points */
        {UINT64_C(1) << 62 | ((4 << 16) - 1), NULL},  /* compressed */
        {UINT64_C(1) << 62 | 4 << 16, "truncated"},
        {UINT64_C(1) << 62 | UINT64_C(1) << 54 | ((4 << 16) - 512), "truncated"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        put_qcow2("q", NULL, 0, NULL);
        assert_int_equal(truncate(in_dir("q"), 4 << 16), 0);
        poke64("q", 2 << 16, UINT64_C(0x8000000000000000) | 3 << 16);
        poke64("q", 3 << 16, t[i].entry);
        if (t[i].text)
            assert_refused("q", NULL, 0, VMSCM_EINPUT, t[i].text);
        else
            assert_int_equal(size_of("q", NULL, 0), 1 << 20);
    }
    /* Two L1 entries with one L2 table: a small file would become any size. */
    put_qcow2("q", NULL, 0, NULL);
    poke32("q", 36, 2);
    poke64("q", 24, UINT64_C(1) << 30);
    poke64("q", 2 << 16, 1 << 16);
    poke64("q", (2 << 16) + 8, 1 << 16);
    assert_refused("q", NULL, 0, VMSCM_EINPUT, "used twice");
}

static void two_at_once(void **state)
{
    uint8_t b[512];

    (void)state;
    /* A qcow2 header, and a fixed VHD's footer at the end. */
    put_qcow2("both", NULL, 0, NULL);
    memset(b, 0, sizeof b);
    memcpy(b, "conectix", 8);
    poke("both", (3 << 16) - 512, b, sizeof b);
    assert_refused("both", NULL, 0, VMSCM_EREFUSED, "two formats at once: qcow2 and vpc");
    assert_refused("both", NULL, VMSCM_ALLOW_AMBIGUOUS, VMSCM_EREFUSED, "two formats at once");
    assert_refused("both", "qcow2", 0, VMSCM_EREFUSED, "two formats at once");
    assert_int_equal(size_of("both", "qcow2", VMSCM_ALLOW_AMBIGUOUS), 1 << 20);
    assert_int_equal(size_of("both", "raw", 0), 3 << 16);
    assert_refused("both", "vdi", VMSCM_ALLOW_AMBIGUOUS, VMSCM_EINPUT, "not a vdi image");
    /* VDI leaves its first 64 bytes to anyone. */
    memset(b, 0, sizeof b);
    memcpy(b, "vhdxfile", 8);
    vmscm_put_le32(b + 64, 0xbeda107f);
    put_file("both", b, sizeof b, 4096);
    assert_refused("both", NULL, 0, VMSCM_EREFUSED, "vdi and vhdx");
    memcpy(b, "WithouFreSpacExt", 16);
    put_file("both", b, sizeof b, 4096);
    assert_refused("both", NULL, 0, VMSCM_EREFUSED, "vdi and parallels");
    /* A vmdk descriptor has comments, and they may hold anything. */
    memset(b, 'x', sizeof b);
    memcpy(b, "# Disk DescriptorFile\n#", 23);
    vmscm_put_le32(b + 64, 0xbeda107f);
    put_file("both", b, sizeof b, 0);
    assert_refused("both", NULL, 0, VMSCM_EREFUSED, "vmdk and vdi");
    memcpy(b, "KDMV", 4);
    put_file("both", b, sizeof b, 0);
    assert_refused("both", NULL, 0, VMSCM_EREFUSED, "vmdk and vdi");
    /* And a foreign one. */
    memcpy(b, "QED\0", 4);
    put_file("both", b, sizeof b, 0);
    assert_refused("both", NULL, 0, VMSCM_EREFUSED, "vdi and qed");
}

static void foreign_formats(void **state)
{
    static const struct {
        const char *magic;
        size_t len;
        const char *name;
    } t[] = {{"QFI\xfb\0\0\0\1", 8, "qcow (version 1)"}, {"QED\0", 4, "qed"},
        {"COWD", 4, "COWD"}, {"Bochs Virtual HD Image", 22, "bochs"}, {"LUKS\xba\xbe", 6, "luks"},
        {"#!/bin/sh\n#V2.0 Format\nmodprobe cloop", 37, "cloop"},
        {"\xbe\xba\xfe\xca\0\0\0\0\1\0\0\0\2\0\0\0", 16, "seSparse"}};

    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        put_file("foreign", t[i].magic, t[i].len, 1 << 20);
        assert_refused("foreign", NULL, 0, VMSCM_EUNSUPPORTED, t[i].name);
        assert_refused("foreign", "qcow2", 0, VMSCM_EINPUT, "not a qcow2 image, but looks like");
        assert_int_equal(size_of("foreign", "raw", 0), 1 << 20);
    }
    put_file("foreign", "x", 1, 1 << 20);
    poke("foreign", (1 << 20) - 512, "koly\0\0\0\4\0\0\2\0", 12);
    assert_refused("foreign", NULL, 0, VMSCM_EUNSUPPORTED, "dmg");
}

static void put_footer(const char *name, const char *app, uint64_t current, uint16_t cylinders,
    uint8_t heads, uint8_t sectors, uint32_t type, uint64_t file_size)
{
    uint8_t b[512] = "conectix";
    uint32_t sum = 0;

    memcpy(b + 28, app, 4);
    vmscm_put_be64(b + 48, current);
    vmscm_put_be32(b + 56, (uint32_t)cylinders << 16 | (uint32_t)heads << 8 | sectors);
    vmscm_put_be32(b + 60, type);
    for (size_t i = 0; i < sizeof b; i++)
        sum += b[i];
    vmscm_put_be32(b + 64, ~sum);
    put_file(name, "", 0, file_size);
    poke(name, file_size - 512, b, sizeof b);
}

static void vpc_sizes(void **state)
{
    static const struct {
        const char *app;
        bool by_geometry;
    } t[] = {{"vpc ", true}, {"qemu", true}, {"abcd", true}, {"win ", false}, {"qem2", false},
        {"d2v ", false}, {"tap", false}, {"CTXS", false}};

    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        put_footer("f.vhd", t[i].app, 1000448, 17, 4, 17, 2, 1000960);
        assert_int_equal(size_of("f.vhd", NULL, 0), t[i].by_geometry ? 17 * 4 * 17 * 512 : 1000448);
        put_footer("f.vhd", t[i].app, 1000448, 65535, 16, 255, 2, 1000960);
        assert_int_equal(size_of("f.vhd", NULL, 0), 1000448);
    }
    put_footer("f.vhd", "win ", 1000960, 17, 4, 17, 2, 1000960);
    assert_refused("f.vhd", NULL, 0, VMSCM_EINPUT, "truncated");
    put_footer("f.vhd", "win ", UINT64_C(1) << 63, 17, 4, 17, 2, 1000960);
    assert_refused("f.vhd", NULL, 0, VMSCM_EINPUT, "too large");
    put_footer("f.vhd", "win ", 0, 17, 4, 17, 2, 1000960);
    assert_refused("f.vhd", NULL, 0, VMSCM_EINPUT, "no size");
    put_footer("f.vhd", "win ", 512, 17, 4, 17, 3, 1000960);
    assert_refused("f.vhd", NULL, 0, VMSCM_EINPUT, "disk type 3");
    put_footer("f.vhd", "win ", 512, 17, 4, 17, 4, 1000960);
    assert_refused("f.vhd", NULL, 0, VMSCM_EUNSUPPORTED, "differencing");
    poke("f.vhd", 1000960 - 100, "x", 1);
    assert_refused("f.vhd", NULL, 0, VMSCM_EINPUT, "footer is damaged");
}

struct sample {
    const char *format, *options, *size;
    uint32_t starts[4], ends[4]; /* byte ranges with headers in them; the last ends with 0 */
};

static const struct sample samples[] = {
    {"qcow2", "compat=0.10", "1M", {0}, {600}},
    {"qcow2", "extended_l2=on,lazy_refcounts=on", "1M", {0, 0x30000}, {600, 0x30010}},
    {"qcow2", "compression_type=zstd,cluster_size=512", "1M", {0, 0x600}, {512, 0x640}},
    {"vmdk", "", "1M", {0, 512, 0x2a00}, {80, 960, 0x2a20}},
    {"vmdk", "subformat=monolithicFlat", "1M", {0}, {400}},
    {"vdi", "", "1M", {0, 512}, {512, 520}},
    {"vpc", "subformat=dynamic,force_size", "1M", {0, 512, 1536}, {512, 560, 1544}},
    {"vpc", "subformat=fixed,force_size", "1M", {0, 1 << 20}, {10, (1 << 20) + 512}},
    {"vhdx", "", "1M", {0, 0x10000, 0x30000, 0x300000}, {8, 0x10050, 0x30060, 0x300100}},
    {"parallels", "", "1M", {0}, {80}},
};

static uint64_t make_sample(const struct sample *s)
{
    struct stat st;

    if (*s->options)
        RUN("qemu-img", "create", "-f", s->format, "-o", s->options, "sample", s->size);
    else
        RUN("qemu-img", "create", "-f", s->format, "sample", s->size);
    RUN("qemu-io", "-f", s->format, "-c", "write -P 1 0 64k", "sample");
    assert_int_equal(stat(in_dir("sample"), &st), 0);
    assert_int_equal(size_of("sample", NULL, 0), 1 << 20);
    return (uint64_t)st.st_size;
}

/* Fields of the other formats, in the samples that QEMU makes: little-endian but for vpc. */
static void other_fields(void **state)
{
    static const struct {
        int sample;
        uint32_t offset, width;
        uint64_t value;
        int code;
        const char *text;
    } t[] = {
        {3, 4, 4, 4, VMSCM_EUNSUPPORTED, "vmdk version 4"},
        {3, 8, 4, 0x10003, VMSCM_EINPUT, "disagree"},
        {3, 12, 8, 0, VMSCM_EINPUT, "virtual size"},
        {3, 12, 8, UINT64_C(1) << 54, VMSCM_EINPUT, "virtual size"},
        {3, 12, 8, UINT64_C(1) << 53, VMSCM_EINPUT, "grain directory is too large"},
        {3, 20, 8, 0, VMSCM_EINPUT, "grain size"},
        {3, 20, 8, 129, VMSCM_EINPUT, "grain size"},
        {3, 20, 8, UINT64_C(1) << 40, VMSCM_EINPUT, "grain size"},
        {3, 28, 8, 0, VMSCM_EINPUT, "one of several files"},
        {3, 28, 8, 2, VMSCM_EUNSUPPORTED, "second sector"},
        {3, 28, 8, UINT64_MAX, VMSCM_EINPUT, "truncated"},
        {3, 36, 8, UINT64_MAX, VMSCM_EINPUT, "truncated"},
        {3, 44, 4, 0, VMSCM_EINPUT, "grain tables' size"},
        {3, 44, 4, 513, VMSCM_EINPUT, "grain tables' size"},
        {3, 48, 8, UINT64_MAX, VMSCM_EINPUT, "truncated"},
        {3, 56, 8, UINT64_MAX, VMSCM_EINPUT, "footer"},
        {3, 56, 8, UINT64_MAX / 512, VMSCM_EINPUT, "truncated"},
        {3, 64, 8, UINT64_MAX / 512, VMSCM_EINPUT, "truncated"},
        {3, 73, 4, 0x0a0a0a0a, VMSCM_EINPUT, "text mode"},
        {3, 77, 2, 2, VMSCM_EUNSUPPORTED, "compression method 2"},
        {5, 0x44, 4, 1, VMSCM_EUNSUPPORTED, "VDI version 0.1"},
        {5, 0x4c, 4, 4, VMSCM_EUNSUPPORTED, "differencing"},
        {5, 0x154, 4, 513, VMSCM_EUNSUPPORTED, "not aligned"},
        {5, 0x154, 4, 0xfffffe00, VMSCM_EINPUT, "truncated"},
        {5, 0x158, 4, 0xfffffe00, VMSCM_EINPUT, "truncated"},
        {5, 0x168, 4, 4096, VMSCM_EUNSUPPORTED, "sectors of 4096"},
        {5, 0x170, 8, 0, VMSCM_EINPUT, "no size"},
        {5, 0x170, 8, UINT64_MAX, VMSCM_EINPUT, "too large"},
        {5, 0x170, 8, 3 << 20, VMSCM_EINPUT, "block map is too small"},
        {5, 0x178, 4, 2 << 20, VMSCM_EUNSUPPORTED, "blocks of 2097152"},
        {5, 0x17c, 4, 512, VMSCM_EUNSUPPORTED, "1048576 + 512"},
        {5, 0x180, 4, 0xffffffff, VMSCM_EINPUT, "too large"},
        {5, 0x180, 4, 0x1fffff00, VMSCM_EINPUT, "truncated"},
        {5, 0x1a8, 4, 1, VMSCM_EUNSUPPORTED, "differencing"},
        {5, 0x1b8, 4, 1, VMSCM_EUNSUPPORTED, "differencing"},
        {5, 512, 4, 1, VMSCM_EINPUT, "truncated"},
        {6, 512, 4, 0, VMSCM_EINPUT, "no dynamic disk header"},
        {6, 528, 8, UINT64_MAX, VMSCM_EINPUT, "truncated"},
        {6, 540, 4, 0, VMSCM_EINPUT, "block table too small"},
        {6, 540, 4, 0xffffffff, VMSCM_EUNSUPPORTED, "4294967295 blocks"},
        {6, 540, 4, 1 << 23, VMSCM_EINPUT, "truncated"},
        {6, 544, 4, 0, VMSCM_EINPUT, "block size 0"},
        {6, 544, 4, 3 << 20, VMSCM_EINPUT, "block size 3145728"},
        {6, 1536, 4, 0xfffffffe, VMSCM_EINPUT, "truncated"},
        {8, 0x10000, 4, 0, 0, NULL}, /* the other header is good */
        {8, 0x30000, 4, 0, VMSCM_EINPUT, "region table is damaged"},
        {8, 0x30008, 4, 3, VMSCM_EINPUT, "region table is damaged"},
        {8, 0x300000, 4, 0, VMSCM_EINPUT, "metadata table is damaged"},
        {8, 0x30000a, 2, 0xffff, VMSCM_EINPUT, "metadata table is damaged"},
        {8, 0x30000a, 2, 1, VMSCM_EINPUT, "metadata is missing"},
        {8, 0x300020, 4, 1, VMSCM_EREFUSED, "unknown kind"},
        {8, 0x300030, 4, 0xffffffff, VMSCM_EINPUT, "metadata table"},
        {9, 16, 4, 3, VMSCM_EUNSUPPORTED, "version 3"},
        {9, 28, 4, 0, VMSCM_EINPUT, "cluster size"},
        {9, 28, 4, 0xffffffff, VMSCM_EINPUT, "cluster size"},
        {9, 32, 4, 0, VMSCM_EINPUT, "does not fit"},
        {9, 32, 4, 0xffffffff, VMSCM_EINPUT, "does not fit"},
        {9, 32, 4, 1 << 28, VMSCM_EINPUT, "truncated"},
        {9, 36, 8, 0, VMSCM_EINPUT, "no size"},
        {9, 36, 8, UINT64_MAX, VMSCM_EINPUT, "too large"},
        {9, 36, 8, 1 << 20, VMSCM_EINPUT, "does not fit"},
        {9, 64, 4, 0xffffffff, VMSCM_EINPUT, "truncated"},
    };

    (void)state;
    NEED_QEMU();
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct vmscm_error err = VMSCM_ERROR_INIT;
        struct vmscm_probe *probe = NULL;
        uint8_t b[8];

        if (i == 0 || t[i].sample != t[i - 1].sample)
            make_sample(&samples[t[i].sample]);
        int fd = open(in_dir("sample"), O_RDWR | O_CLOEXEC);
        assert_int_equal(pread(fd, b, 8, t[i].offset), 8);
        if (t[i].sample == 6 && t[i].width == 4)
            poke32("sample", t[i].offset, (uint32_t)t[i].value);
        else
            poke("sample", t[i].offset, &(uint64_t){htole64(t[i].value)}, t[i].width);
        int rc = vmscm_probe_open(&probe, in_dir("sample"), NULL, 0, &err);
        vmscm_probe_close(probe);
        if (rc != t[i].code || (t[i].text && !strstr(err.message, t[i].text)))
            fail_msg("field %zu: %s (%s)", i, vmscm_error_name(rc), err.message);
        assert_int_equal(pwrite(fd, b, 8, t[i].offset), 8);
        close(fd);
    }
}

/* Cut off at every byte of every header: never a crash, never another size. */
static void cut_anywhere(void **state)
{
    (void)state;
    NEED_QEMU();
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        const struct sample *s = &samples[i];
        uint64_t full = make_sample(s);
        bool text = strstr(s->options, "monolithicFlat") != NULL;

        for (int k = 3; k >= 0; k--) {
            for (uint64_t at = s->ends[k]; at-- > s->starts[k];) {
                struct vmscm_error err = VMSCM_ERROR_INIT;
                struct vmscm_probe *probe = NULL;

                if (at >= full)
                    continue;
                assert_int_equal(truncate(in_dir("sample"), (off_t)at), 0);
                int rc = vmscm_probe_open(&probe, in_dir("sample"), s->format, 0, &err);
                vmscm_probe_close(probe);
                /* Of a text, what is left can be whole, or have other words. */
                if (rc != VMSCM_EINPUT && !text)
                    fail_msg("%s %s cut at %llu: %s: %s", s->format, s->options,
                        (unsigned long long)at, vmscm_error_name(rc), err.message);
            }
        }
    }
}

/* Every byte of every header changed: never a crash, a leak, or a size out of bounds. */
static void change_anywhere(void **state)
{
    static const uint8_t flips[] = {0xff, 0x01, 0x80, 0x10};
    size_t refused = 0, tried = 0;

    (void)state;
    NEED_QEMU();
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        const struct sample *s = &samples[i];
        uint64_t full = make_sample(s);
        int fd = open(in_dir("sample"), O_RDWR | O_CLOEXEC);

        assert_true(fd >= 0);
        for (int k = 0; k < 4; k++) {
            for (uint64_t at = s->starts[k]; at < s->ends[k] && at < full; at++) {
                uint8_t was, now;

                assert_int_equal(pread(fd, &was, 1, (off_t)at), 1);
                for (size_t f = 0; f < sizeof flips; f++) {
                    struct vmscm_error err = VMSCM_ERROR_INIT;
                    struct vmscm_probe *probe = NULL;

                    now = was ^ flips[f];
                    assert_int_equal(pwrite(fd, &now, 1, (off_t)at), 1);
                    if (vmscm_probe_open(&probe, in_dir("sample"), NULL, 0, &err))
                        refused++;
                    else
                        assert_in_range(probe->size, 1, UINT64_C(1) << 62);
                    tried++;
                    vmscm_probe_close(probe);
                }
                assert_int_equal(pwrite(fd, &was, 1, (off_t)at), 1);
            }
        }
        close(fd);
        assert_int_equal(size_of("sample", NULL, 0), 1 << 20);
    }
    print_message("# %zu of %zu changes refused\n", refused, tried);
    assert_in_range(refused, 1000, tried - 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(qcow2_names),
        cmocka_unit_test(qcow2_fields),
        cmocka_unit_test(qcow2_clusters),
        cmocka_unit_test(two_at_once),
        cmocka_unit_test(foreign_formats),
        cmocka_unit_test(vpc_sizes),
        cmocka_unit_test(other_fields),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(change_anywhere),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, images_setup, images_teardown);
}
