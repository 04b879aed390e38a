/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Loose objects and indexes that are damaged in ways that libgit2 itself does not survive. */
#include "base/buf.h"
#include "codec/inflate.h"
#include "gitrepo.h"
#include "history/gitverify.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <zlib.h>

#define assert_damaged(call) assert_fails(call, &err, VMSCM_EDAMAGED, "")

static void streams(void **state)
{
    static const char text[] = "a text that is compressed, a text that is compressed";
    struct vmscm_error err = VMSCM_ERROR_INIT;
    uint8_t stored[200], out[100];
    uLongf len = sizeof stored - 1;
    size_t n;

    (void)state;
    assert_int_equal(compress(stored, &len, (const Bytef *)text, sizeof text), Z_OK);
    assert_done(vmscm_inflate(out, sizeof text, stored, len, &err), &err);
    assert_string_equal(out, text);
    for (size_t cut = 0; cut < len; cut++)
        assert_damaged(vmscm_inflate(out, sizeof text, stored, cut, &err));
    assert_damaged(vmscm_inflate(out, sizeof text - 1, stored, len, &err));
    assert_damaged(vmscm_inflate(out, sizeof text + 1, stored, len, &err));
    stored[len] = 0;
    assert_damaged(vmscm_inflate(out, sizeof text, stored, len + 1, &err));
    stored[len / 2] ^= 0x40;
    assert_damaged(vmscm_inflate(out, sizeof text, stored, len, &err));
    stored[len / 2] ^= 0x40;

    assert_done(vmscm_inflate_head(out, &n, 6, stored, len, &err), &err);
    assert_int_equal(n, 6);
    assert_memory_equal(out, "a text", 6);
    assert_done(vmscm_inflate_head(out, &n, sizeof out, stored, len, &err), &err);
    assert_int_equal(n, sizeof text);
    assert_damaged(vmscm_inflate_head(out, &n, sizeof out, stored, 9, &err));

    len = sizeof stored;
    assert_int_equal(compress(stored, &len, (const Bytef *)"", 0), Z_OK);
    assert_done(vmscm_inflate(out, 0, stored, len, &err), &err);
    assert_damaged(vmscm_inflate(out, 0, stored, len - 1, &err));
}

/* One revision with a file, and the path of the file's object. */
static void make(struct gitrepo *r, char id[VMSCM_GITDB_ID], char path[PATH_MAX])
{
    const struct vmscm_gitdb_file file = {"machine.json", "{\"a\": \"text\", \"of\": \"some length\"}", 34};
    struct vmscm_error err = VMSCM_ERROR_INIT;

    char spec[80], *blob;

    assert_done(vmscm_gitdb_commit(id, r->db, &file, 1, NULL, 0, &gitrepo_who, &gitrepo_who, "one", &err),
        &err);
    snprintf(spec, sizeof spec, "%s:machine.json", id);
    assert_non_null(blob = gitrepo_git(r, "rev-parse", spec, NULL));
    snprintf(path, PATH_MAX, "%s/objects/%.2s/%s", r->git, blob, blob + 2);
    free(blob);
}

static int read_again(struct gitrepo *r, const char *id, struct vmscm_error *err)
{
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    int rc;

    vmscm_gitdb_close(r->db);
    r->db = NULL;
    if (!(rc = vmscm_gitdb_open(&r->db, r->git, r->locks, err)))
        rc = vmscm_gitdb_read_file(&buf, r->db, id, "machine.json", 1 << 20, err);
    vmscm_buf_release(&buf);
    return rc;
}

static void put(const char *path, const void *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_TRUNC);

    assert_int_equal(write(fd, data, len), len);
    close(fd);
}

/* Every length; and what libgit2 would write past the end of its memory for. */
static void loose(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf whole = VMSCM_BUF_INIT;
    static const char *const lies[] = {"blob 3", "blob 35", "blob 99999999999", "blob 034", "blob -1",
        "blob", "blo 34", "offset-delta 34", "tree 34"};
    char id[VMSCM_GITDB_ID], path[PATH_MAX], text[100];
    uint8_t stored[200];

    make(r, id, path);
    assert_done(vmscm_file_read(&whole, path, 1000, &err), &err);
    assert_int_equal(chmod(path, 0600), 0);
    assert_done(read_again(r, id, &err), &err);
    for (size_t len = whole.len; len-- > 0;) {
        assert_int_equal(truncate(path, (off_t)len), 0);
        assert_damaged(read_again(r, id, &err));
        assert_damaged(vmscm_gitverify_revision(r->db, id, &err));
    }
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        uLongf len = sizeof stored;
        int n = snprintf(text, sizeof text, "%s%c{\"a\": \"text\", \"of\": \"some length\"}", lies[i], 0);
        assert_int_equal(compress(stored, &len, (Bytef *)text, (uLong)n), Z_OK);
        put(path, stored, len);
        assert_damaged(read_again(r, id, &err));
    }
    put(path, whole.data, whole.len);
    assert_done(read_again(r, id, &err), &err);
    assert_done(vmscm_gitverify_revision(r->db, id, &err), &err);
    vmscm_buf_release(&whole);
}

/* An index that leads beyond its pack. */
static void packed(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char id[VMSCM_GITDB_ID], path[PATH_MAX];

    make(r, id, path);
    assert_git(r, "", "update-ref", "refs/heads/web", id);
    assert_git(r, "", "repack", "-q", "-a", "-d");
    assert_int_equal(access(path, F_OK), -1);
    assert_done(read_again(r, id, &err), &err);
    char *idx = gitrepo_git(r, "rev-parse", "--git-path", "objects/pack", NULL);
    assert_non_null(idx);
    DIR *dir = opendir(idx);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));)
        if (strlen(e->d_name) > 4 && strcmp(e->d_name + strlen(e->d_name) - 4, ".idx") == 0)
            snprintf(path, sizeof path, "%s/%s", idx, e->d_name);
    closedir(dir);
    free(idx);
    struct vmscm_buf whole = VMSCM_BUF_INIT;
    assert_done(vmscm_file_read(&whole, path, 1 << 20, &err), &err);
    assert_int_equal(chmod(path, 0600), 0);
    for (size_t at = 0; at < whole.len; at += 7) {
        whole.data[at] ^= 0x20;
        put(path, whole.data, whole.len);
        assert_damaged(read_again(r, id, &err));
        whole.data[at] ^= 0x20;
    }
    put(path, whole.data, whole.len);
    assert_done(read_again(r, id, &err), &err);
    vmscm_buf_release(&whole);
}

int main(void)
{
#define GIT_TEST(f) cmocka_unit_test_setup_teardown(f, gitrepo_setup, gitrepo_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams),
        GIT_TEST(loose),
        GIT_TEST(packed),
    };
    return unit_run(tests);
}
