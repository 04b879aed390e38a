/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * contrib/inspect: rpm's databases of Berkeley DB and ndb. The files are made by db_load and by rpm's own
 * rpmpkg.c, of three packages: of the ndb the second was removed again.
 */
#include "rpmbdb.h"
#include "rpmheader.h"
#include "rpmndb.h"
#include "unit.h"

typedef int (*each_fn)(const unsigned char *bytes, size_t size,
    int (*each)(void *data, const unsigned char *item, size_t len), void *data);

#define FILE_MAX 65536

static const struct {
    const char *file;
    each_fn each;
    const char *names;
} databases[] = {{"hash-little-endian", rpmbdb_each, "hello1 hello2 hello3"},
    {"hash-big-endian", rpmbdb_each, "hello1 hello2 hello3"}, {"ndb", rpmndb_each, "hello1 hello3"}};

static size_t load(unsigned char bytes[FILE_MAX], const char *name)
{
    char path[4096];
    FILE *file;
    size_t size;

    snprintf(path, sizeof path, "%s/%s", CORPUS, name);
    assert_non_null(file = fopen(path, "rb"));
    size = fread(bytes, 1, FILE_MAX, file);
    assert_true(size > 4096 && size < FILE_MAX);
    fclose(file);
    return size;
}

static int add_name(void *data, const unsigned char *item, size_t len)
{
    json_t *app = rpmheader_read(item, len);

    if (app)
        json_array_append_new(data, json_string(facts_get(app, "name")));
    json_decref(app);
    return 1;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* In order, with spaces. Of a copy that ends where it ends, so that a sanitizer sees what is read behind. */
static int names_of(char out[256], each_fn each, const unsigned char *bytes, size_t size)
{
    unsigned char *copy = malloc(size ? size : 1);
    json_t *list = json_array();
    const char *names[16];
    size_t len = 0;
    int rc;

    memcpy(copy, bytes, size);
    rc = each(copy, size, add_name, list);
    assert_true(json_array_size(list) < 16);
    for (size_t i = 0; i < json_array_size(list); i++)
        names[i] = json_string_value(json_array_get(list, i));
    qsort(names, json_array_size(list), sizeof names[0], by_text);
    out[0] = '\0';
    for (size_t i = 0; i < json_array_size(list) && len < 256; i++)
        len += (size_t)snprintf(out + len, 256 - len, "%s%s", i ? " " : "", names[i]);
    json_decref(list);
    free(copy);
    return rc;
}

static void whole(void **state)
{
    unsigned char bytes[FILE_MAX];
    char names[256];

    (void)state;
    for (size_t i = 0; i < sizeof databases / sizeof databases[0]; i++) {
        size_t size = load(bytes, databases[i].file);
        assert_int_equal(names_of(names, databases[i].each, bytes, size), 0);
        assert_string_equal(names, databases[i].names);
        /* None is the other. */
        assert_int_equal(names_of(names, i < 2 ? rpmndb_each : rpmbdb_each, bytes, size), -1);
        assert_string_equal(names, "");
    }
}

/* What is cut off is told, and what is there still read. */
static void cut(void **state)
{
    unsigned char bytes[FILE_MAX];
    char names[256];

    (void)state;
    for (size_t i = 0; i < sizeof databases / sizeof databases[0]; i++) {
        size_t size = load(bytes, databases[i].file), some = 0;
        for (size_t cut = 0; cut < size; cut += 1 + cut % 7) {
            assert_int_equal(names_of(names, databases[i].each, bytes, cut), -1);
            some += *names && strcmp(names, databases[i].names) != 0;
        }
        assert_true(some > 0);
    }
}

static int stop(void *data, const unsigned char *item, size_t len)
{
    (void)item;
    (void)len;
    return ++*(int *)data < 2;
}

static void ended(void **state)
{
    unsigned char bytes[FILE_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof databases / sizeof databases[0]; i++) {
        size_t size = load(bytes, databases[i].file);
        int calls = 0;
        assert_int_equal(databases[i].each(bytes, size, stop, &calls), 0);
        assert_int_equal(calls, 2);
    }
}

/* A blob of ndb has a checksum: a package that differs is not told, and that one is missing is. */
static void changed(void **state)
{
    unsigned char bytes[FILE_MAX];
    char names[256];
    size_t size = load(bytes, "ndb");

    (void)state;
    for (size_t at = 4096; at < size; at += 5) {
        bytes[at] ^= 0x40;
        int rc = names_of(names, rpmndb_each, bytes, size);
        if (strcmp(names, "hello1 hello3") == 0)
            assert_int_equal(rc, 0); /* between the blobs */
        else
            assert_true(rc == -1 && (strcmp(names, "hello1") == 0 || strcmp(names, "hello3") == 0));
        bytes[at] ^= 0x40;
    }
    /* Two slots of one blob, and one that begins in the table. */
    memcpy(bytes + 0x30, bytes + 0x20, 16);
    assert_int_equal(names_of(names, rpmndb_each, bytes, size), 0);
    assert_string_equal(names, "hello1 hello3 hello3");
    for (size_t slot = 0x50; slot < 4096; slot += 16)
        memcpy(bytes + slot, bytes + 0x20, 16);
    assert_int_equal(names_of(names, rpmndb_each, bytes, size), -1); /* at most what is in the file */
    load(bytes, "ndb");
    bytes[0x28] = 1;
    bytes[0x29] = 0;
    assert_int_equal(names_of(names, rpmndb_each, bytes, size), -1);
    assert_string_equal(names, "hello1");
}

static void put32(unsigned char *p, uint32_t n)
{
    for (size_t i = 0; i < 4; i++)
        p[i] = (unsigned char)(n >> i * 8);
}

/* A hash of pages of 512 bytes: one of items, which all say that they go on at page 2 and are len long. */
static size_t make_hash(unsigned char bytes[FILE_MAX], uint32_t len)
{
    unsigned char *page = bytes + 512;
    enum { ITEMS = 20 };

    memset(bytes, 0, 512 * 8);
    put32(bytes + 12, 0x061561);
    put32(bytes + 16, 9);
    put32(bytes + 20, 512);
    put32(bytes + 32, 7);
    put32(page + 8, 1);
    page[20] = ITEMS * 2;
    page[25] = 13;
    for (size_t i = 0, at = 512; i < (size_t)ITEMS * 2; i++) {
        at -= i % 2 ? 12 : 1;
        page[26 + i * 2] = (unsigned char)at;
        page[27 + i * 2] = (unsigned char)(at >> 8);
        page[at] = i % 2 ? 3 : 1;
        if (i % 2) {
            put32(page + at + 4, 2);
            put32(page + at + 8, len);
        }
    }
    for (uint32_t i = 2; i < 8; i++) {
        page = bytes + (size_t)i * 512;
        put32(page + 8, i);
        put32(page + 16, i); /* it goes on at itself */
        page[22] = 100;
        page[25] = 7;
    }
    return 512 * 8;
}

static int count(void *data, const unsigned char *item, size_t len)
{
    (void)item;
    *(size_t *)data += len;
    return 1;
}

/* However often it is pointed to, no more is read than there is. */
static void loops(void **state)
{
    unsigned char bytes[FILE_MAX];
    size_t size = make_hash(bytes, 100), got = 0;

    (void)state;
    assert_int_equal(rpmbdb_each(bytes, size, count, &got), -1);
    assert_int_equal(got, 8 * 100);
    got = 0;
    make_hash(bytes, 800);
    assert_int_equal(rpmbdb_each(bytes, size, count, &got), -1);
    assert_int_equal(got, 800);
    got = 0;
    for (uint32_t len = 512 * 8 + 1; len; len = len > UINT32_MAX / 2 ? 0 : len * 2) {
        make_hash(bytes, len);
        assert_int_equal(rpmbdb_each(bytes, size, count, &got), -1);
        assert_int_equal(got, 0);
    }
}

/* Pages that cannot be of that size, an encrypted one, one of a version to come. */
static void heads(void **state)
{
    static const uint32_t sizes[] = {0, 1, 256, 500, 513, 131072, 0x80000000};
    unsigned char bytes[FILE_MAX];
    size_t size = load(bytes, "hash-little-endian"), got = 0;

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        put32(bytes + 20, sizes[i]);
        assert_int_equal(rpmbdb_each(bytes, size, count, &got), -1);
    }
    put32(bytes + 20, 512);
    bytes[24] = 1;
    assert_int_equal(rpmbdb_each(bytes, size, count, &got), -1);
    bytes[24] = 0;
    bytes[26] = 1;
    assert_int_equal(rpmbdb_each(bytes, size, count, &got), -1);
    bytes[26] = 0;
    bytes[16] = 11;
    assert_int_equal(rpmbdb_each(bytes, size, count, &got), -1);
    assert_int_equal(got, 0);
    bytes[16] = 9;
    assert_int_equal(rpmbdb_each(bytes, size, count, &got), 0);
    assert_true(got > 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(whole), cmocka_unit_test(cut),
        cmocka_unit_test(ended), cmocka_unit_test(changed), cmocka_unit_test(loops), cmocka_unit_test(heads)};

    return unit_run(tests);
}
