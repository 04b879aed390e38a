/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What fsck says of reflogs, and what is refused of the indexes of git's packs though their hash is right. */
#include "base/buf.h"
#include "base/endian.h"
#include "codec/hash.h"
#include "gitrepo.h"
#include "history/gitpacks.h"
#include "history/reflogcheck.h"
#include "history/refs.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

struct said {
    int damages, notes;
    char text[1000];
};

static void hear(void *data, const char *file, bool note, const char *text)
{
    struct said *said = data;

    assert_ptr_equal(strstr(file, "git/logs/"), file);
    said->notes += note;
    said->damages += !note;
    snprintf(said->text, sizeof said->text, "%s: %s", file, text);
}

static void put(const char *path, const void *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CREAT, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    close(fd);
}

/* damages and notes that a reflog of this text gets, and what is said. */
static void expect(struct gitrepo *r, const char *log, const char *text, int damages, int notes,
    const char *why)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct said said = {0, 0, ""};
    char path[600];

    snprintf(path, sizeof path, "%s/logs/%s", r->git, log);
    put(path, text, strlen(text));
    assert_done(vmscm_reflogcheck_run(r->db, hear, &said, &err), &err);
    if (said.damages != damages || said.notes != notes || !strstr(said.text, why))
        fail_msg("%s: %d damages, %d notes: %s", log, said.damages, said.notes, said.text);
}

static void reflogs(void **state)
{
#define ZERO "0000000000000000000000000000000000000000"
#define GHOST "00000000000000000000000000000000000000ff"
#define BY " A <a@example.org> 1700000000 +0100\tx\n"
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    const struct vmscm_gitdb_file file = {"machine.json", "{}", 2};
    char one[VMSCM_GITDB_ID], two[VMSCM_GITDB_ID], text[1000];
    struct said said = {0, 0, ""};

    assert_done(vmscm_gitdb_commit(
                    one, r->db, &file, 1, NULL, 0, &gitrepo_who, &gitrepo_who, "1", &err),
        &err);
    assert_done(vmscm_gitdb_commit(
                    two, r->db, &file, 1, NULL, 0, &gitrepo_who, &gitrepo_who, "2", &err),
        &err);
    assert_done(vmscm_refs_update(r->db, "refs/heads/web", "", one, &gitrepo_who, "x", &err), &err);
    assert_done(vmscm_refs_update(r->db, "refs/heads/web", one, two, &gitrepo_who, "x", &err), &err);
    assert_done(vmscm_reflogcheck_run(r->db, hear, &said, &err), &err);
    assert_int_equal(said.damages + said.notes, 0);
    /* What was to become a reflog, of a process that died, is none. */
    expect(r, "refs/heads/web.tmp-0123456789abcdef.lock", "torn\n", 0, 0, "");

#define EXPECT(damages, notes, why, ...)                                                           \
    do {                                                                                           \
        snprintf(text, sizeof text, __VA_ARGS__);                                                  \
        expect(r, "refs/heads/web", text, damages, notes, why);                                    \
    } while (0)
    EXPECT(0, 0, "", "%s %s" BY "%s %s" BY, ZERO, one, one, two);
    /* Expiry may have taken the first lines, or all. */
    EXPECT(0, 0, "", "%s %s" BY, one, two);
    EXPECT(0, 0, "", "%s", "");
    EXPECT(0, 1, "does not end with", "%s %s" BY, ZERO, one);
    EXPECT(0, 1, "line 2 does not go on", "%s %s" BY "%s %s" BY, ZERO, one, two, two);
    EXPECT(0, 0, "", "%s %s" BY "%s %s" BY, ZERO, one, ZERO, two);
    EXPECT(0, 1, "no date", "%s %s" BY "%s %s A <a> soon +0100\tx\n", ZERO, one, one, two);
    EXPECT(1, 0, GHOST " is missing", "%s %s" BY "%s %s" BY, ZERO, GHOST, GHOST, two);
    EXPECT(1, 0, GHOST " is missing", "%s %s" BY, GHOST, two);
    EXPECT(1, 0, "line 1 cannot be read", "%s %.39s" BY "%s %s" BY, ZERO, one, one, two);
    EXPECT(1, 0, "line 1 cannot be read", "\n%s %s" BY, one, two);
    /* A crash tore the last line: what is before it counts. */
    EXPECT(0, 1, "does not end with", "%s %s" BY "%.30s", ZERO, one, one);
    EXPECT(0, 0, "", "%s %s" BY "%.30s", ZERO, two, two);
    snprintf(text, sizeof text, "%s %s" BY, ZERO, one);
    expect(r, "refs/heads/gone", text, 0, 1, "git/logs/refs/heads/gone: there is no such ref");
    expect(r, "HEAD", text, 0, 1, "gone");
    expect(r, "refs/heads/gone", "", 0, 1, "there is no such ref");
    snprintf(text, sizeof text, "%s %s" BY, one, ZERO); /* it was removed, by someone who then died */
    expect(r, "refs/heads/gone", text, 0, 0, "");
}

/* An index of version 2 with these offsets, whose hashes are right. */
static size_t make_index(uint8_t *out, size_t count, const uint32_t *offsets, size_t large_count,
    const uint64_t *large)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    uint8_t *p = out + 8;

    memcpy(out, "\377tOc\0\0\0\2", 8);
    for (int i = 0; i < 256; i++, p += 4)
        vmscm_put_be32(p, (uint32_t)count);
    memset(p, 0, count * 24);
    p += count * 24;
    for (size_t i = 0; i < count; i++, p += 4)
        vmscm_put_be32(p, offsets[i]);
    for (size_t i = 0; i < large_count; i++, p += 8) {
        vmscm_put_be32(p, (uint32_t)(large[i] >> 32));
        vmscm_put_be32(p + 4, (uint32_t)large[i]);
    }
    memset(p, 0, 20);
    p += 20;
    assert_done(vmscm_hash_sha1(p, out, (size_t)(p - out), &err), &err);
    return (size_t)(p + 20 - out);
}

static void indexes(void **state)
{
    static const struct {
        size_t count, large_count;
        uint32_t offsets[3];
        uint64_t large[2];
        bool good;
    } cases[] = {
        {0, 0, {0}, {0}, true},
        {2, 0, {12, 979}, {0}, true},
        {2, 0, {12, 980}, {0}, false},
        {1, 0, {11}, {0}, false},
        {1, 0, {0x7fffffff}, {0}, false},
        {3, 2, {0x80000000, 0x80000001, 50}, {12, 979}, true},
        {1, 1, {0x80000000}, {980}, false},
        {1, 1, {0x80000000}, {UINT64_C(1) << 63}, false},
        {1, 1, {0x80000001}, {12}, false},
        {1, 0, {0x80000000}, {0}, false},
    };
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    static uint8_t idx[4096], pack[1000];
    char objects[600], idx_path[700], pack_path[700];

    snprintf(objects, sizeof objects, "%s/objects", r->git);
    snprintf(idx_path, sizeof idx_path, "%s/pack/pack-a.idx", objects);
    snprintf(pack_path, sizeof pack_path, "%s/pack/pack-a.pack", objects);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t len = make_index(idx, cases[i].count, cases[i].offsets, cases[i].large_count, cases[i].large);
        put(idx_path, idx, len);
        unlink(pack_path);
        assert_done(vmscm_gitpacks_check(objects, &err), &err); /* nobody's */
        put(pack_path, pack, sizeof pack);
        if (cases[i].good)
            assert_done(vmscm_gitpacks_check(objects, &err), &err);
        else
            assert_fails(vmscm_gitpacks_check(objects, &err), &err, VMSCM_EDAMAGED, "pack-a.idx");
        idx[len - 1] ^= 1;
        put(idx_path, idx, len);
        assert_fails(vmscm_gitpacks_check(objects, &err), &err, VMSCM_EDAMAGED, "pack-a.idx");
        assert_non_null(strstr(err.hint, "git index-pack pack-a.pack"));
        for (size_t cut = 0; cut < len; cut += 13) {
            put(idx_path, idx, cut);
            assert_fails(vmscm_gitpacks_check(objects, &err), &err, VMSCM_EDAMAGED, "pack-a.idx");
        }
        put(idx_path, idx, make_index(idx, cases[i].count, cases[i].offsets, 0, NULL));
        put(pack_path, pack, 31);
        assert_fails(vmscm_gitpacks_check(objects, &err), &err, VMSCM_EDAMAGED, "pack-a.idx");
    }
    /* More objects than there is room for. */
    uint32_t one = 12;
    size_t len = make_index(idx, 1, &one, 0, NULL);
    vmscm_put_be32(idx + 8 + 255 * 4, UINT32_MAX);
    put(idx_path, idx, len);
    put(pack_path, pack, sizeof pack);
    assert_fails(vmscm_gitpacks_check(objects, &err), &err, VMSCM_EDAMAGED, "pack-a.idx");
    unlink(idx_path);
    assert_int_equal(mkdir(idx_path, 0700), 0);
    assert_fails(vmscm_gitpacks_check(objects, &err), &err, VMSCM_EDAMAGED, "pack-a.idx");
    snprintf(objects, sizeof objects, "%s/nowhere", r->git);
    assert_done(vmscm_gitpacks_check(objects, &err), &err);
}

int main(void)
{
#define GIT_TEST(f) cmocka_unit_test_setup_teardown(f, gitrepo_setup, gitrepo_teardown)
    const struct CMUnitTest tests[] = {
        GIT_TEST(reflogs),
        GIT_TEST(indexes),
    };
    return unit_run(tests);
}
