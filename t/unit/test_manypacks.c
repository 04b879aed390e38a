/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Stores of many packs: found through multi-pack indexes, opened when something in them is needed, and
 * gone or damaged by then. Records play no part here: they are holes. */
#include "base/buf.h"
#include "codec/checksum.h"
#include "formats.h"
#include "store/midxwriter.h"
#include "store/store.h"
#include "storedir.h"
#include "sys/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define STORED 100u /* bytes of a record */

static uint8_t next_name;

/* Names are chosen anew for each store. */
static int setup_names(void **state)
{
    next_name = 0;
    return setup(state);
}

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, VMSCM_HASH_SIZE);
}

/* A pack with the ids numbered first to first + count - 1; its path, for the caller to free. */
static char *make_pack(uint64_t first, uint32_t count)
{
    size_t bytes = count * (size_t)VMSCM_PACK_ENTRY_SIZE;
    uint64_t index_at = VMSCM_PACK_HEADER_SIZE + (uint64_t)count * STORED;
    uint8_t name[VMSCM_MIDX_NAME_SIZE], header[VMSCM_PACK_HEADER_SIZE];
    uint8_t *index = malloc(bytes + VMSCM_PACK_TRAILER_SIZE);
    struct vmscm_id random = make_id(first * 1000003 + next_name++);
    char file[VMSCM_PACKFILE_NAME], *path = NULL;

    memcpy(name, random.bytes, sizeof name);
    vmscm_packfile_format_name(file, name);
    assert_true(asprintf(&path, "%s/packs/%s", dir, file) > 0);
    for (uint32_t i = 0; i < count; i++) {
        struct vmscm_pack_entry entry = {.id = make_id(first + i),
            .offset = VMSCM_PACK_HEADER_SIZE + i * STORED,
            .length = STORED,
            .plain_len = STORED,
            .type = VMSCM_PACK_CHUNK};
        vmscm_pack_encode_entry(index + (size_t)i * VMSCM_PACK_ENTRY_SIZE, &entry);
    }
    qsort(index, count, VMSCM_PACK_ENTRY_SIZE, by_id);
    vmscm_pack_encode_trailer(index + bytes,
        &(struct vmscm_pack_trailer){.index_offset = index_at,
            .entry_count = count,
            .index_checksum = vmscm_checksum_64(index, bytes, 0)});
    vmscm_pack_encode_header(header);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_int_equal(pwrite(fd, header, sizeof header, 0), sizeof header);
    assert_int_equal(pwrite(fd, index, bytes + VMSCM_PACK_TRAILER_SIZE, (off_t)index_at),
        bytes + VMSCM_PACK_TRAILER_SIZE);
    assert_int_equal(close(fd), 0);
    free(index);
    return path;
}

static void make_packs(unsigned packs, uint64_t first, uint32_t count)
{
    for (unsigned n = 0; n < packs; n++)
        free(make_pack(first + (uint64_t)n * count, count));
}

static struct vmscm_store *open_store(void)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_store *store;

    assert_done(vmscm_store_open(&store, dir, &err), &err);
    return store;
}

/* All packs in indexes; none is mapped. */
static struct vmscm_store *open_indexed(void)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_store *store = open_store();

    assert_done(vmscm_store_reindex(store, &err), &err);
    vmscm_store_close(store);
    store = open_store();
    for (size_t n = 0; n < vmscm_store_pack_count(store); n++)
        assert_null(vmscm_store_pack(store, n)->index);
    return store;
}

static bool is_found(struct vmscm_store *store, uint64_t n)
{
    struct vmscm_pack_entry entry;
    struct vmscm_id id = make_id(n);

    if (!vmscm_store_find(store, &entry, &id))
        return false;
    assert_int_equal(vmscm_hash_cmp(&entry.id, &id), 0);
    assert_int_equal(entry.plain_len, STORED);
    return true;
}

static unsigned places(struct vmscm_store *store, uint64_t n)
{
    struct vmscm_pack_entry entry;
    struct vmscm_packfile *seen[8];
    struct vmscm_id id = make_id(n);
    unsigned count = 0;

    for (size_t nth = 0; nth < 16; nth++) {
        struct vmscm_packfile *pack = vmscm_store_locate(store, &entry, &id, nth);
        bool again = false;
        if (!pack)
            return count;
        assert_int_equal(vmscm_hash_cmp(&entry.id, &id), 0);
        for (unsigned i = 0; i < count; i++)
            again = again || seen[i] == pack;
        if (!again)
            seen[count++] = pack;
    }
    fail();
    return 0;
}

static void count_damage(void *data, const char *file, const struct vmscm_error *why)
{
    assert_true(file[0] && why->message[0]);
    ++*(unsigned *)data;
}

static unsigned damage(struct vmscm_store *store)
{
    unsigned count = 0;

    vmscm_store_damage(store, count_damage, &count);
    return count;
}

/* Change every step-th byte of a file from `at` to `end`. */
static void spoil(const char *path, uint64_t at, uint64_t end, unsigned step)
{
    int fd = open(path, O_RDWR);

    for (; at < end; at += step) {
        uint8_t byte;
        assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
        byte ^= 0x5a;
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    }
    assert_int_equal(close(fd), 0);
}

/* Two thousand packs, more than are kept mapped, of a hundred thousand ids in all. */
static void many(void **state)
{
    unsigned mapped = 0, missed = 0, wrong = 0;

    (void)state;
    make_packs(2000, 0, 50);
    struct vmscm_store *store = open_indexed();
    assert_int_equal(vmscm_store_pack_count(store), 2000);
    for (uint64_t n = 0; n < 100000; n++) {
        missed += !is_found(store, n * 7919 % 100000);
        wrong += is_found(store, 100000 + n);
    }
    assert_int_equal(missed, 0);
    assert_int_equal(wrong, 0);
    for (size_t n = 0; n < 2000; n++)
        mapped += vmscm_store_pack(store, n)->index != NULL;
    assert_in_range(mapped, 1, 1025);
    vmscm_store_close(store);
}

/* Gone between the look at the directory and the first use: as if it had never been there. */
static void gone_at_first_use(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    bool changed;

    (void)state;
    char *one = make_pack(0, 10);
    make_packs(8, 5, 10);
    struct vmscm_store *store = open_indexed();
    assert_int_equal(unlink(one), 0);
    assert_false(is_found(store, 2));
    assert_true(is_found(store, 7));
    assert_int_equal(places(store, 7), 1);
    assert_int_equal(places(store, 2), 0);
    assert_int_equal(damage(store), 0);
    assert_done(vmscm_store_confirm(store, &err), &err);
    assert_done(vmscm_store_reload(store, &changed, &err), &err);
    assert_int_equal(vmscm_store_pack_count(store), 8);
    assert_done(vmscm_store_examine(store, &err), &err);
    assert_int_equal(damage(store), 0);
    vmscm_store_close(store);
    free(one);
}

/* Its index damaged: told once it was looked at, and nothing in it is relied on. */
static void damaged_at_first_use(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    bool changed;

    (void)state;
    char *one = make_pack(0, 10);
    make_packs(8, 5, 10);
    struct vmscm_store *store = open_indexed();
    spoil(one, VMSCM_PACK_HEADER_SIZE + 10 * STORED + 40, VMSCM_PACK_HEADER_SIZE + 10 * STORED + 41, 1);
    assert_int_equal(damage(store), 0);
    assert_false(is_found(store, 2));
    assert_true(is_found(store, 7));
    assert_int_equal(damage(store), 1);
    assert_int_equal(places(store, 7), 1);
    for (int i = 0; i < 2; i++) {
        assert_done(vmscm_store_reload(store, &changed, &err), &err);
        assert_done(vmscm_store_examine(store, &err), &err);
        assert_int_equal(damage(store), 1);
        assert_int_equal(vmscm_store_pack_count(store), 8);
        assert_false(is_found(store, 2));
        assert_true(is_found(store, 7));
    }
    vmscm_store_close(store);
    free(one);
}

/* A pack that was opened when it was needed, and relied on, goes. */
static void gone_while_relied_on(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;

    (void)state;
    char *one = make_pack(0, 10);
    make_packs(8, 5, 10);
    struct vmscm_store *store = open_indexed();
    assert_true(is_found(store, 2));
    assert_done(vmscm_store_confirm(store, &err), &err);
    assert_int_equal(unlink(one), 0);
    assert_fails(vmscm_store_confirm(store, &err), &err, VMSCM_EBUSY, "relied on");
    assert_false(is_found(store, 2));
    assert_true(is_found(store, 7));
    vmscm_error_clear(&err);
    assert_done(vmscm_store_confirm(store, &err), &err);
    vmscm_store_close(store);
    free(one);
}

/* Any table of a multi-pack index damaged: readers find all, and the next index is whole. */
static void damaged_index(void **state)
{
    (void)state;
    for (int table = 0; table < 4; table++) {
        struct vmscm_error err = VMSCM_ERROR_INIT;
        unsigned missed = 0;
        assert_int_equal(setup(NULL), 0);
        make_packs(20, 0, 100);
        struct vmscm_store *store = open_indexed();
        const struct vmscm_midx h = vmscm_store_midx(store, 0)->header;
        char *path = strdup(vmscm_store_midx(store, 0)->path);
        const uint64_t starts[] = {
            VMSCM_MIDX_HEADER_SIZE, h.ends_at, h.prints_at, h.words_at, h.sums_at};
        vmscm_store_close(store);
        assert_int_equal(chmod(path, 0600), 0);
        spoil(path, starts[table], starts[table + 1], 1);
        store = open_store();
        assert_int_equal(vmscm_store_midx_count(store), 1);
        for (uint64_t n = 0; n < 2000; n++)
            assert_true(places(store, n) == 1);
        assert_int_equal(places(store, 2000), 0);
        vmscm_store_close(store);

        make_packs(8, 5000, 200);
        store = open_indexed();
        assert_false(vmscm_file_exists(path));
        for (uint64_t n = 0; n < 2000; n++)
            missed += !is_found(store, n);
        assert_int_equal(missed, 0);
        for (size_t i = 0; i < vmscm_store_midx_count(store); i++)
            assert_done(vmscm_midxfile_check(vmscm_store_midx(store, i), &err), &err);
        vmscm_store_close(store);
        free(path);
        assert_int_equal(teardown(NULL), 0);
    }
}

/* While a store is open another writes packs, and replaces the index. */
static void replaced_index(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    bool changed;

    (void)state;
    make_packs(10, 0, 100);
    struct vmscm_store *ours = open_indexed();
    make_packs(20, 1000, 100);
    struct vmscm_store *theirs = open_indexed();
    assert_int_equal(vmscm_store_midx_count(theirs), 1);
    assert_int_equal(vmscm_store_midx(theirs, 0)->header.entry_count, 3000);
    for (uint64_t n = 0; n < 3000; n++)
        assert_int_equal(is_found(ours, n), n < 1000);
    assert_done(vmscm_store_reload(ours, &changed, &err), &err);
    assert_true(changed);
    assert_done(vmscm_store_reload(ours, &changed, &err), &err);
    assert_false(changed);
    for (uint64_t n = 0; n < 3000; n++)
        assert_true(is_found(ours, n));
    vmscm_store_close(ours);
    vmscm_store_close(theirs);
}

/* What is in packs that are gone is not in the next index; nor is a pack of two indexes there twice. */
static void merged(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_midxfile *midxs[2];
    char *gone[5], packs_dir[64];

    (void)state;
    make_packs(10, 0, 100);
    for (int i = 0; i < 5; i++)
        gone[i] = make_pack(1000 + 100 * (uint64_t)i, 100);
    struct vmscm_store *store = open_indexed();
    assert_int_equal(vmscm_store_midx(store, 0)->header.entry_count, 1500);
    /* The same index again, as if it had been written twice. */
    midxs[0] = vmscm_store_midx(store, 0);
    snprintf(packs_dir, sizeof packs_dir, "%s/packs", dir);
    assert_done(vmscm_midxwriter_write(packs_dir, NULL, 0, midxs, 1, &err), &err);
    vmscm_store_close(store);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(unlink(gone[i]), 0);
        free(gone[i]);
    }
    store = open_store();
    assert_int_equal(vmscm_store_midx_count(store), 2);
    assert_done(vmscm_store_reindex(store, &err), &err);
    assert_int_equal(vmscm_store_midx_count(store), 1);
    assert_int_equal(vmscm_store_midx(store, 0)->header.entry_count, 1000);
    assert_int_equal(vmscm_store_midx(store, 0)->header.pack_count, 10);
    assert_done(vmscm_midxfile_check(vmscm_store_midx(store, 0), &err), &err);
    for (uint64_t n = 0; n < 1500; n++)
        assert_int_equal(is_found(store, n), n < 1000);
    vmscm_store_close(store);
}

/* Packs that are added are found, and an index comes before there are many. */
static void added(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_store *store = open_store();

    (void)state;
    for (unsigned n = 0; n < 40; n++) {
        char *path = make_pack(n * 10, 10);
        assert_done(vmscm_store_add(store, strrchr(path, '/') + 1, &err), &err);
        assert_true(is_found(store, n * 10 + 3));
        assert_false(is_found(store, n * 10 + 10));
        assert_int_equal(vmscm_store_midx_count(store) > 0, n >= 15);
        free(path);
    }
    assert_int_equal(vmscm_store_pack_count(store), 40);
    for (uint64_t n = 0; n < 400; n++)
        assert_true(is_found(store, n));
    assert_done(vmscm_store_confirm(store, &err), &err);
    vmscm_store_close(store);
}

static size_t chosen(const uint32_t *sizes, size_t count, uint64_t entries, uint64_t max)
{
    struct vmscm_midxfile files[8] = {0}, *list[8];

    for (size_t i = 0; i < count; i++) {
        files[i].header.entry_count = sizes[i];
        files[i].header.pack_count = files[i].present = 4;
        list[i] = &files[i];
    }
    size_t taken = vmscm_midxwriter_choose(list, count, entries, max);
    for (size_t i = 1; i < count; i++)
        assert_true(list[i - 1]->header.entry_count <= list[i]->header.entry_count);
    return taken;
}

static void which_to_merge(void **state)
{
    (void)state;
    assert_int_equal(chosen(NULL, 0, 10, 1000), 0);
    assert_int_equal(chosen((uint32_t[]){21}, 1, 10, 1000), 0);
    assert_int_equal(chosen((uint32_t[]){20}, 1, 10, 1000), 1);
    assert_int_equal(chosen((uint32_t[]){90, 20, 30}, 3, 10, 1000), 3);
    assert_int_equal(chosen((uint32_t[]){130, 20, 30}, 3, 10, 1000), 2);
    assert_int_equal(chosen((uint32_t[]){90, 20, 30}, 3, 10, 149), 2);
    /* Two that are much alike, whatever is small beside them. */
    assert_int_equal(chosen((uint32_t[]){500, 600}, 2, 1, 2000), 2);
    assert_int_equal(chosen((uint32_t[]){500, 600}, 2, 0, 2000), 2);
    assert_int_equal(chosen((uint32_t[]){500, 600}, 2, 0, 1000), 0);
    assert_int_equal(chosen((uint32_t[]){UINT32_MAX, UINT32_MAX}, 2, 5, UINT64_MAX), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(many, setup_names, teardown),
        cmocka_unit_test_setup_teardown(gone_at_first_use, setup_names, teardown),
        cmocka_unit_test_setup_teardown(damaged_at_first_use, setup_names, teardown),
        cmocka_unit_test_setup_teardown(gone_while_relied_on, setup_names, teardown),
        cmocka_unit_test(damaged_index),
        cmocka_unit_test_setup_teardown(replaced_index, setup_names, teardown),
        cmocka_unit_test_setup_teardown(merged, setup_names, teardown),
        cmocka_unit_test_setup_teardown(added, setup_names, teardown),
        cmocka_unit_test(which_to_merge),
    };
    return unit_run(tests);
}
