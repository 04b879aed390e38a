/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/history/gitdb: commits, trees and blobs, judged by plain git. */
#include "gitrepo.h"

#include "history/gitverify.h"
#include "history/refs.h"

#define FILE_OF(path, text)                                                                        \
    {                                                                                              \
        path, text, sizeof(text) - 1                                                               \
    }

static void commits(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_signature committer = {"Carl", "c@example.org", 1700000100, -330};
    const struct vmscm_gitdb_file files[] = {FILE_OF("machine.json", "{}\n"),
        FILE_OF("disks/sda", "a\0b"), FILE_OF("config/nvram/vars.fd", "v"),
        FILE_OF("config/domain.xml", "<domain/>"), FILE_OF("config-extra", "x"),
        FILE_OF("config.txt", "y"), FILE_OF("empty", "")};
    struct vmscm_gitdb_info info;
    char first[VMSCM_GITDB_ID], second[VMSCM_GITDB_ID], again[VMSCM_GITDB_ID];
    const char *parents[] = {first};

    assert_done(vmscm_gitdb_commit(first, r->db, files, 7, NULL, 0, &gitrepo_who, &committer,
                    "subject\r\n\nbody\n\n\n", &err),
        &err);
    assert_done(vmscm_gitdb_commit(again, r->db, files, 7, NULL, 0, &gitrepo_who, &committer,
                    "subject\n\nbody", &err),
        &err);
    assert_string_equal(first, again);
    assert_done(vmscm_gitdb_commit(
                    second, r->db, files, 1, parents, 1, &gitrepo_who, &committer, NULL, &err),
        &err);
    assert_git(r,
        "config-extra\nconfig.txt\nconfig/domain.xml\nconfig/nvram/vars.fd\ndisks/sda\n"
        "empty\nmachine.json",
        "ls-tree", "-r", "--name-only", first);
    assert_git(r, "Ann Author <ann@example.org> 1700000000 +0100|Carl <c@example.org> 1700000100 "
                  "-0530|subject\n\nbody\n",
        "log", "-1", "--date=raw", "--format=%an <%ae> %ad|%cn <%ce> %cd|%B", first);
    gitrepo_fsck(r);

    assert_done(vmscm_gitdb_read_commit(&info, r->db, first, &err), &err);
    assert_string_equal(info.id, first);
    assert_string_equal(info.message, "subject\n\nbody");
    assert_string_equal(info.author.name, "Ann Author");
    assert_int_equal(info.author.offset, 60);
    assert_int_equal(info.committer.time, 1700000100);
    assert_int_equal(info.parent_count, 0);
    vmscm_gitdb_info_release(&info);
    assert_done(vmscm_gitdb_read_commit(&info, r->db, second, &err), &err);
    assert_int_equal(info.parent_count, 1);
    assert_string_equal(info.parents[0], first);
    assert_string_equal(info.message, "");
    vmscm_gitdb_info_release(&info);
}

static void bad_commits(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char id[VMSCM_GITDB_ID] = "unset";
    static const struct {
        struct vmscm_gitdb_file files[3];
        size_t count;
        const char *why;
    } bad[] = {
        {{FILE_OF("a", "1"), FILE_OF("a", "1")}, 2, "two of that name"},
        {{FILE_OF("a/b", "1"), FILE_OF("a.b", "1"), FILE_OF("a", "1")}, 3, "where a directory"},
        {{FILE_OF("../a", "1")}, 1, "not a plain relative path"},
        {{FILE_OF("/a", "1")}, 1, "not a plain relative path"},
        {{FILE_OF("a//b", "1")}, 1, "not a plain relative path"},
        {{FILE_OF("", "1")}, 1, "not a plain relative path"},
        {{FILE_OF("config/.git/hooks", "1")}, 1, "config/.git/hooks"},
    };
    const struct vmscm_gitdb_file one = FILE_OF("a", "1");
    const struct vmscm_signature odd = {"A <b", "c", 1, 0}, bell = {"A\a", "c", 1, 0},
                                 none = {"", "c", 1, 0};
    const char *ghost = "0123456789012345678901234567890123456789", *junk = "junk";

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_fails(vmscm_gitdb_commit(id, r->db, bad[i].files, bad[i].count, NULL, 0,
                         &gitrepo_who, &gitrepo_who, "m", &err),
            &err, VMSCM_EUSAGE, bad[i].why);
    assert_fails(vmscm_gitdb_commit(
                     id, r->db, &one, 1, NULL, 0, &odd, &gitrepo_who, "m", &err),
        &err, VMSCM_EUSAGE, "A <b");
    assert_fails(vmscm_gitdb_commit(
                     id, r->db, &one, 1, NULL, 0, &bell, &gitrepo_who, "m", &err),
        &err, VMSCM_EUSAGE, "control");
    assert_fails(vmscm_gitdb_commit(
                     id, r->db, &one, 1, NULL, 0, &none, &gitrepo_who, "m", &err),
        &err, VMSCM_EUSAGE, "<c>");
    assert_fails(vmscm_gitdb_commit(id, r->db, &one, 1, NULL, 0, &gitrepo_who, &gitrepo_who,
                     "m\x1b[31m", &err),
        &err, VMSCM_EUSAGE, "message");
    assert_fails(vmscm_gitdb_commit(id, r->db, &one, 1, NULL, 0, &gitrepo_who, &gitrepo_who,
                     "latin \xe9", &err),
        &err, VMSCM_EUSAGE, "message");
    assert_fails(vmscm_gitdb_commit(
                     id, r->db, &one, 1, &ghost, 1, &gitrepo_who, &gitrepo_who, "m", &err),
        &err, VMSCM_ENOTFOUND, "parent");
    assert_fails(vmscm_gitdb_commit(
                     id, r->db, &one, 1, &junk, 1, &gitrepo_who, &gitrepo_who, "m", &err),
        &err, VMSCM_EUSAGE, "not a commit id");
    assert_string_equal(id, "unset");
}

struct seen {
    char text[4096];
    size_t stop;
};

static int see(void *data, const char *path, const char *blob, uint64_t size)
{
    struct seen *seen = data;
    size_t len = strlen(seen->text);

    assert_int_equal(strlen(blob), 40);
    snprintf(seen->text + len, sizeof seen->text - len, "%s=%d ", path, (int)size);
    return seen->stop && --seen->stop == 0 ? 77 : 0;
}

static void reading(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    const struct vmscm_gitdb_file files[] = {FILE_OF("machine.json", "{}\n"),
        FILE_OF("disks/sda", "a\0b"), FILE_OF("config/nvram/vars.fd", "v"),
        FILE_OF("config/domain.xml", "<domain/>")};
    struct seen all = {"", 0}, some = {"", 0}, first = {"", 1};
    char id[VMSCM_GITDB_ID];

    assert_done(vmscm_gitdb_commit(
                    id, r->db, files, 4, NULL, 0, &gitrepo_who, &gitrepo_who, "m", &err),
        &err);
    assert_done(vmscm_buf_puts(&buf, "+", &err), &err);
    assert_done(vmscm_gitdb_read_file(&buf, r->db, id, "disks/sda", 3, &err), &err);
    assert_int_equal(buf.len, 4);
    assert_memory_equal(buf.data, "+a\0b", 4);
    assert_fails(vmscm_gitdb_read_file(&buf, r->db, id, "disks/sda", 2, &err), &err,
        VMSCM_EDAMAGED, "disks/sda");
    static const char *const absent[] = {
        "disks/sdb", "disks", "machine.json/x", "", "disks//sda", "disks/sda/", "nope/x"};
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++)
        assert_fails(vmscm_gitdb_read_file(&buf, r->db, id, absent[i], 99, &err), &err,
            VMSCM_ENOTFOUND, "revision");
    assert_int_equal(buf.len, 4);
    vmscm_buf_release(&buf);

    assert_done(vmscm_gitdb_walk_files(r->db, id, "", see, &all, &err), &err);
    assert_string_equal(
        all.text, "config/domain.xml=9 config/nvram/vars.fd=1 disks/sda=3 machine.json=3 ");
    assert_done(vmscm_gitdb_walk_files(r->db, id, "config", see, &some, &err), &err);
    assert_string_equal(some.text, "domain.xml=9 nvram/vars.fd=1 ");
    assert_int_equal(vmscm_gitdb_walk_files(r->db, id, "", see, &first, &err), 77);
    assert_string_equal(first.text, "config/domain.xml=9 ");
    assert_fails(vmscm_gitdb_walk_files(r->db, id, "machine.json", see, &all, &err), &err,
        VMSCM_ENOTFOUND, "not a directory");
    assert_fails(vmscm_gitdb_walk_files(r->db, id, "none", see, &all, &err), &err,
        VMSCM_ENOTFOUND, "none");
    struct vmscm_gitdb_info info;
    assert_fails(vmscm_gitdb_read_commit(
                     &info, r->db, "0123456789012345678901234567890123456789", &err),
        &err, VMSCM_ENOTFOUND, "no such revision");
    assert_fails(vmscm_gitdb_read_commit(&info, r->db, "web", &err), &err, VMSCM_EUSAGE, "web");
}

/* Trees that vmscm does not make but plain git, or someone who means ill, can. */
static void odd_trees(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct seen seen = {"", 0};
    char id[VMSCM_GITDB_ID], script[4096], path[600];
    static const struct {
        const char *make, *why;
    } odd[] = {
        {"printf '120000 blob %s\\tlink\\n' $b | git mktree", "neither file nor directory"},
        {"printf '160000 commit %s\\tsub\\n' $c | git mktree --missing",
            "neither file nor directory"},
        {"t=$(printf '100644 blob %s\\tf\\n' $b | git mktree); for i in $(seq 70); do "
         "t=$(printf '040000 tree %s\\td\\n' $t | git mktree); done; echo $t",
            "nested too deeply"},
        {"t=$(printf '100644 blob %s\\tf\\n' $b | git mktree); for i in $(seq 30); do "
         "t=$(printf '040000 tree %s\\ta\\n040000 tree %s\\tb\\n' $t $t | git mktree); done; "
         "echo $t",
            "more than"},
        {"printf '100644 ..\\0%s' \"$(printf %040d 0 | cut -c1-20)\" | "
         "git hash-object -t tree -w --literally --stdin",
            "not a plain relative path"},
        {"printf '100644 blob %s\\tf\\n' $c | git mktree --missing", "missing"},
        {"echo $b", "a blob where a tree should be"},
    };

    snprintf(path, sizeof path, "%s/id", r->dir);
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        snprintf(script, sizeof script,
            "set -e; export GIT_DIR=%s; c=0123456789012345678901234567890123456789; "
            "b=$(echo x | git hash-object -w --stdin); t=$(%s); "
            "printf 'tree %%s\\nauthor A <a> 1 +0000\\ncommitter A <a> 1 +0000\\n\\nm\\n' $t | "
            "git hash-object -t commit -w --literally --stdin >%s",
            r->git, odd[i].make, path);
        run_shell(script);
        struct vmscm_buf buf = VMSCM_BUF_INIT;
        assert_done(vmscm_file_read(&buf, path, 100, &err), &err);
        snprintf(id, sizeof id, "%.40s", vmscm_buf_str(&buf));
        vmscm_buf_release(&buf);
        assert_fails(vmscm_gitdb_walk_files(r->db, id, "", see, &seen, &err), &err, VMSCM_EDAMAGED,
            odd[i].why);
        seen.text[0] = '\0';
        assert_fails(vmscm_gitverify_revision(r->db, id, &err), &err, VMSCM_EDAMAGED, odd[i].why);
    }
}

static void object_path(char *out, size_t size, struct gitrepo *r, const char *id)
{
    snprintf(out, size, "%s/objects/%.2s/%s", r->git, id, id + 2);
}

static int keep_blob(void *data, const char *path, const char *blob, uint64_t size)
{
    (void)path, (void)size;
    memcpy(data, blob, VMSCM_GITDB_ID);
    return 0;
}

static void overwrite(const char *path, const char *from)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf buf = VMSCM_BUF_INIT;

    if (from)
        assert_done(vmscm_file_read(&buf, from, 1 << 20, &err), &err);
    assert_done(vmscm_file_replace(path, buf.data, buf.len, 0444, &err), &err);
    vmscm_buf_release(&buf);
}

static void damage(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char id[VMSCM_GITDB_ID], other[VMSCM_GITDB_ID], blob[VMSCM_GITDB_ID], path[600], from[600];
    struct vmscm_gitdb_info info;

    gitrepo_commit(id, r, "one", NULL, "m");
    gitrepo_commit(other, r, "two", NULL, "m");
    assert_done(vmscm_gitverify_revision(r->db, id, &err), &err);
    assert_fails(
        vmscm_gitverify_revision(r->db, "0123456789012345678901234567890123456789", &err), &err,
        VMSCM_ENOTFOUND, "no such revision");
    /* A whole object in another's place: only its hash tells. */
    assert_done(vmscm_gitdb_walk_files(r->db, other, "", keep_blob, blob, &err), &err);
    object_path(from, sizeof from, r, blob);
    assert_done(vmscm_gitdb_walk_files(r->db, id, "", keep_blob, blob, &err), &err);
    object_path(path, sizeof path, r, blob);
    overwrite(path, from);
    assert_fails(
        vmscm_gitverify_revision(r->db, id, &err), &err, VMSCM_EDAMAGED, "machine.json: blob ");
    assert_non_null(strstr(err.message, blob));
    /* An empty file, as a power cut leaves them where nothing is fsynced. */
    overwrite(path, NULL);
    assert_fails(vmscm_gitverify_revision(r->db, id, &err), &err, VMSCM_EDAMAGED, blob);
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    assert_fails(vmscm_gitdb_read_file(&buf, r->db, id, "machine.json", 99, &err), &err,
        VMSCM_EDAMAGED, "machine.json");
    vmscm_buf_release(&buf);
    assert_int_equal(unlink(path), 0);
    assert_fails(vmscm_gitverify_revision(r->db, id, &err), &err, VMSCM_EDAMAGED, "missing");
    /* The commit itself, its copy in memory notwithstanding. */
    assert_done(vmscm_gitdb_read_commit(&info, r->db, other, &err), &err);
    vmscm_gitdb_info_release(&info);
    object_path(path, sizeof path, r, other);
    object_path(from, sizeof from, r, id);
    overwrite(path, from);
    assert_fails(vmscm_gitverify_revision(r->db, other, &err), &err, VMSCM_EDAMAGED, other);
    overwrite(path, NULL);
    assert_fails(vmscm_gitverify_revision(r->db, other, &err), &err, VMSCM_EDAMAGED, other);
}

static void opening(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_gitdb *db;
    char path[600];

    assert_fails(vmscm_gitdb_init(r->git, &err), &err, VMSCM_EEXIST, "already");
    assert_fails(vmscm_gitdb_open(&db, "/nonexistent", r->locks, &err), &err, VMSCM_ENOTFOUND,
        "/nonexistent");
    assert_int_not_equal(vmscm_gitdb_open(&db, r->locks, r->locks, &err), 0);
    assert_non_null(strstr(err.message, "not a git repository"));
    assert_git(r, "true", "rev-parse", "--is-bare-repository");
    assert_git(r, "refs/heads/main", "symbolic-ref", "HEAD");
    assert_git(r, "never", "config", "gc.reflogExpire");
    gitrepo_fsck(r);
    /* A user's broken git configuration is not the repository's problem. */
    snprintf(path, sizeof path, "%s/.gitconfig", r->home);
    assert_done(vmscm_file_replace(path, "[broken", 7, 0644, &err), &err);
    assert_done(vmscm_gitdb_open(&db, r->git, r->locks, &err), &err);
    vmscm_gitdb_close(db);
    assert_int_equal(unlink(path), 0);
}

/* Plain git's housekeeping beside us: what is reachable is packed, what is not yet is kept, and a
 * database that was open all along sees both. */
static void housekeeping(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_gitdb_info info;
    char named[VMSCM_GITDB_ID], loose[VMSCM_GITDB_ID], id[VMSCM_GITDB_ID], path[600];

    gitrepo_commit(named, r, "one", NULL, "named");
    gitrepo_commit(loose, r, "two", named, "not named yet");
    assert_done(
        vmscm_refs_update(r->db, "refs/heads/web", "", named, &gitrepo_who, "x", &err), &err);
    assert_git(r, "", "gc", "--quiet");
    object_path(path, sizeof path, r, named);
    assert_false(vmscm_file_exists(path));
    assert_done(vmscm_gitverify_revision(r->db, named, &err), &err);
    assert_done(vmscm_gitverify_revision(r->db, loose, &err), &err);
    assert_done(vmscm_gitdb_read_commit(&info, r->db, named, &err), &err);
    vmscm_gitdb_info_release(&info);
    assert_done(
        vmscm_refs_update(r->db, "refs/heads/web", named, loose, &gitrepo_who, "y", &err), &err);
    assert_git(r, "", "gc", "--quiet");
    assert_done(vmscm_refs_read(id, r->db, "refs/heads/web", &err), &err);
    assert_string_equal(id, loose);
    assert_git(r, named, "rev-parse", "web@{1}");
    gitrepo_commit(id, r, "two", named, "not named yet");
    assert_string_equal(id, loose);
    gitrepo_fsck(r);
}

int main(void)
{
#define GIT_TEST(f) cmocka_unit_test_setup_teardown(f, gitrepo_setup, gitrepo_teardown)
    const struct CMUnitTest tests[] = {
        GIT_TEST(commits),
        GIT_TEST(bad_commits),
        GIT_TEST(reading),
        GIT_TEST(odd_trees),
        GIT_TEST(damage),
        GIT_TEST(opening),
        GIT_TEST(housekeeping),
    };
    return unit_run(tests);
}
