/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/history/notes: lines of notes and comments, beside those of plain git. */
#include "gitrepo.h"

#include "history/notes.h"
#include "history/refs.h"

struct heard {
    char text[4096];
};

static int hear(void *data, const struct vmscm_signature *author, const char *text)
{
    struct heard *h = data;
    size_t len = strlen(h->text);
    snprintf(h->text + len, sizeof h->text - len, "%s <%s> %lld %d: %s|", author->name,
        author->email, (long long)author->time, author->offset, text);
    return 0;
}

static int stop(void *data, const struct vmscm_signature *author, const char *text)
{
    (void)author, (void)text;
    return ++*(int *)data == 1 ? 42 : 0;
}

static void comments(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    const struct vmscm_signature later = {"Bj\xc3\xb6rn \"B\"", "b@example.org", 1800000000, -210},
                                 earlier = {"C", "c@example.org", 1600000000, 0};
    struct heard h = {""};
    char a[VMSCM_GITDB_ID], b[VMSCM_GITDB_ID];
    int calls = 0;

    gitrepo_commit(a, r, "a", NULL, "first");
    gitrepo_commit(b, r, "b", a, "second");
    assert_done(vmscm_notes_comments(r->db, a, hear, &h, &err), &err);
    assert_string_equal(h.text, "");
    assert_done(vmscm_notes_comment(r->db, a, "two\nlines\t\"quoted\"\n\n", &later, &err), &err);
    assert_done(vmscm_notes_comment(r->db, a, "before", &earlier, &err), &err);
    assert_done(vmscm_notes_comment(r->db, b, "elsewhere", &earlier, &err), &err);
    assert_git(r,
        "{\"author\":\"Bj\xc3\xb6rn \\\"B\\\"\",\"email\":\"b@example.org\","
        "\"date\":\"2027-01-15T04:30:00-03:30\",\"text\":\"two\\nlines\\t\\\"quoted\\\"\"}\n"
        "{\"author\":\"C\",\"email\":\"c@example.org\",\"date\":\"2020-09-13T12:26:40+00:00\","
        "\"text\":\"before\"}",
        "notes", "--ref=comments", "show", a);
    assert_done(vmscm_notes_comments(r->db, a, hear, &h, &err), &err);
    assert_string_equal(h.text,
        "C <c@example.org> 1600000000 0: before|"
        "Bj\xc3\xb6rn \"B\" <b@example.org> 1800000000 -210: two\nlines\t\"quoted\"|");
    assert_int_equal(vmscm_notes_comments(r->db, a, stop, &calls, &err), 42);
    assert_int_equal(calls, 1);
    assert_fails(
        vmscm_notes_comment(r->db, a, " \n\t\n", &later, &err), &err, VMSCM_EUSAGE, "is empty");
    assert_fails(vmscm_notes_comment(r->db, a, "\x1b[2J", &later, &err), &err, VMSCM_EUSAGE,
        "control characters");
    assert_fails(vmscm_notes_comment(r->db, "0123456789012345678901234567890123456789", "x", &later,
                     &err),
        &err, VMSCM_ENOTFOUND, "no such revision");
    gitrepo_fsck(r);
}

/* Lines that are no comments, whoever wrote them, are passed over. */
static void odd_lines(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct heard h = {""};
    char a[VMSCM_GITDB_ID];
    static const char *const odd[] = {"plain text", "[1]", "{}",
        "{\"author\":1,\"email\":\"e\",\"date\":\"@1 +0000\",\"text\":\"x\"}",
        "{\"author\":\"a\",\"email\":\"e\",\"date\":\"tomorrow\",\"text\":\"x\"}",
        "{\"author\":\"a\",\"email\":\"e\",\"date\":\"@1 +0000\",\"text\":\"\\u001b[2J\"}",
        "{\"author\":\"a\\u0007\",\"email\":\"e\",\"date\":\"@1 +0000\",\"text\":\"x\"}",
        "{\"author\":\"a\",\"email\":\"e\",\"date\":\"@1 +0000\",\"text\":\" \"}",
        "{\"author\":\"a\",\"author\":\"b\",\"email\":\"e\",\"date\":\"@1 +0000\",\"text\":\"x\"}",
        "{\"author\":\"a\",\"email\":\"e\",\"date\":\"@1 +0000\",\"text\":\"x\""};

    gitrepo_commit(a, r, "a", NULL, "first");
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        assert_done(vmscm_notes_append(
                        r->db, VMSCM_NOTES_COMMENTS, a, odd[i], &gitrepo_who, &err),
            &err);
    assert_done(vmscm_notes_append(r->db, VMSCM_NOTES_COMMENTS, a,
                    "{\"author\":\"a\",\"email\":\"e\",\"date\":\"@1 +0000\",\"text\":\"good\","
                    "\"new-field\":[]}",
                    &gitrepo_who, &err),
        &err);
    assert_done(vmscm_notes_comments(r->db, a, hear, &h, &err), &err);
    assert_string_equal(h.text, "a <e> 1 0: good|");
    assert_fails(
        vmscm_notes_append(r->db, VMSCM_NOTES_COMMENTS, a, "two\nlines", &gitrepo_who, &err), &err,
        VMSCM_EUSAGE, "one line");
    assert_fails(vmscm_notes_append(r->db, VMSCM_NOTES_COMMENTS, a, "", &gitrepo_who, &err), &err,
        VMSCM_EUSAGE, "one line");
}

/* Plain git puts notes flat, or in one or two levels of directories; all are found and kept. */
static void beside_git(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    char a[VMSCM_GITDB_ID], b[VMSCM_GITDB_ID];

    setenv("GIT_AUTHOR_NAME", "g", 1);
    setenv("GIT_AUTHOR_EMAIL", "g@g", 1);
    setenv("GIT_COMMITTER_NAME", "g", 1);
    setenv("GIT_COMMITTER_EMAIL", "g@g", 1);
    gitrepo_commit(a, r, "a", NULL, "first");
    gitrepo_commit(b, r, "b", a, "second");
    assert_git(r, "", "notes", "--ref=x", "add", "-m", "from git", a);
    assert_done(vmscm_notes_append(r->db, "refs/notes/x", a, "ours", &gitrepo_who, &err), &err);
    assert_done(vmscm_notes_append(r->db, "refs/notes/x", b, "fresh", &gitrepo_who, &err), &err);
    assert_git(r, "from git\nours", "notes", "--ref=x", "show", a);
    assert_git(r, "fresh", "notes", "--ref=x", "show", b);
    assert_git(r, "", "notes", "--ref=x", "append", "-m", "git again", b);
    assert_done(vmscm_notes_append(r->db, "refs/notes/x", b, "ours again", &gitrepo_who, &err),
        &err);
    assert_git(r, "fresh\n\ngit again\nours again", "notes", "--ref=x", "show", b);
    assert_done(vmscm_notes_read(&buf, r->db, "refs/notes/x", b, &err), &err);
    assert_string_equal(vmscm_buf_str(&buf), "fresh\n\ngit again\nours again\n");
    vmscm_buf_release(&buf);
    assert_git(r, "", "notes", "--ref=x", "remove", a);
    assert_fails(vmscm_notes_read(&buf, r->db, "refs/notes/x", a, &err), &err, VMSCM_ENOTFOUND,
        "has no notes");
    assert_fails(vmscm_notes_read(&buf, r->db, "refs/notes/none", a, &err), &err, VMSCM_ENOTFOUND,
        "has no notes");

    /* Two levels, as git has them in large trees. */
    char script[2048];
    snprintf(script, sizeof script,
        "set -e; export GIT_DIR=%s; n=$(echo deep | git hash-object -w --stdin); "
        "t=$(printf '100644 blob %%s\\t%s\\n' $n | git mktree); "
        "t=$(printf '040000 tree %%s\\t%.2s\\n' $t | git mktree); "
        "t=$(printf '040000 tree %%s\\t%.2s\\n' $t | git mktree); "
        "git update-ref refs/notes/deep $(git commit-tree -m n $t)",
        r->git, a + 4, a + 2, a);
    run_shell(script);
    assert_git(r, "deep", "notes", "--ref=deep", "show", a);
    assert_done(vmscm_notes_append(r->db, "refs/notes/deep", a, "er", &gitrepo_who, &err), &err);
    assert_git(r, "deep\ner", "notes", "--ref=deep", "show", a);
    assert_done(vmscm_notes_append(r->db, "refs/notes/deep", b, "other", &gitrepo_who, &err), &err);
    assert_git(r, "other", "notes", "--ref=deep", "show", b);
    gitrepo_fsck(r);
}

static void damage(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    char a[VMSCM_GITDB_ID], path[700];

    gitrepo_commit(a, r, "a", NULL, "first");
    assert_done(vmscm_notes_append(r->db, "refs/notes/x", a, "line", &gitrepo_who, &err), &err);
    char *tree = gitrepo_git(r, "rev-parse", "refs/notes/x^{tree}", NULL);
    snprintf(path, sizeof path, "%s/objects/%.2s/%s", r->git, tree, tree + 2);
    free(tree);
    assert_int_equal(unlink(path), 0);
    vmscm_gitdb_close(r->db);
    assert_done(vmscm_gitdb_open(&r->db, r->git, r->locks, &err), &err);
    assert_fails(
        vmscm_notes_read(&buf, r->db, "refs/notes/x", a, &err), &err, VMSCM_EDAMAGED, "missing");
    assert_fails(vmscm_notes_append(r->db, "refs/notes/x", a, "line", &gitrepo_who, &err), &err,
        VMSCM_EDAMAGED, "missing");
    vmscm_buf_release(&buf);
}

int main(void)
{
#define GIT_TEST(f) cmocka_unit_test_setup_teardown(f, gitrepo_setup, gitrepo_teardown)
    const struct CMUnitTest tests[] = {
        GIT_TEST(comments),
        GIT_TEST(odd_lines),
        GIT_TEST(beside_git),
        GIT_TEST(damage),
    };
    return unit_run(tests);
}
