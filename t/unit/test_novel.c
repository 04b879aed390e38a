/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What commits lead to and others do not; objects that came from elsewhere; merging notes. Plain git is
 * asked for the same. */
#include "history/ancestry.h"
#include "history/incoming.h"
#include "history/notemerge.h"
#include "history/notes.h"
#include "history/novel.h"
#include "history/refs.h"
#include "gitrepo.h"

#include <stdbool.h>

struct counts {
    size_t objects, bytes;
    struct vmscm_incoming *in; /* gets them, if it is there */
    size_t skip;               /* this one is left out, from 1 */
};

static int count(void *data, enum vmscm_novel_type type, const void *bytes, size_t len,
    struct vmscm_error *err)
{
    struct counts *c = data;

    c->objects++;
    c->bytes += len;
    return c->in && c->objects != c->skip ? vmscm_incoming_add(c->in, type, bytes, len, err) : 0;
}

static void test_difference(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_novel *novel;
    char a[VMSCM_GITDB_ID], b[VMSCM_GITDB_ID], c[VMSCM_GITDB_ID];
    struct counts counts = {0};

    gitrepo_commit(a, r, "one", NULL, "a");
    gitrepo_commit(b, r, "two", a, "b");
    gitrepo_commit(c, r, "one", b, "c");
    assert_done(vmscm_novel_new(&novel, r->db, &err), &err);
    assert_done(vmscm_novel_know(novel, "0123456789012345678901234567890123456789", &err), &err);
    assert_done(vmscm_novel_know(novel, b, &err), &err);
    assert_done(vmscm_novel_want(novel, c, &err), &err);
    assert_int_equal(vmscm_novel_commit_count(novel), 1);
    assert_string_equal(vmscm_novel_commit(novel, 0), c);
    assert_int_equal(vmscm_novel_edge_count(novel), 1);
    assert_string_equal(vmscm_novel_edge(novel, 0), b);
    assert_true(vmscm_novel_is_new(novel, c) && vmscm_novel_is_known(novel, a));
    /* The commit, and a tree that b does not have, though a does: it is sent for nothing, at worst. */
    assert_done(vmscm_novel_objects(novel, true, count, &counts, &err), &err);
    assert_int_equal(counts.objects, 3);
    vmscm_novel_free(novel);
    assert_done(vmscm_novel_new(&novel, r->db, &err), &err);
    counts = (struct counts){0};
    assert_done(vmscm_novel_want(novel, c, &err), &err);
    assert_done(vmscm_novel_objects(novel, true, count, &counts, &err), &err);
    assert_int_equal(vmscm_novel_commit_count(novel), 3);
    assert_int_equal(counts.objects, 3 + 2 + 2);
    vmscm_novel_free(novel);
}

static void test_tags(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_novel *novel;
    char a[VMSCM_GITDB_ID], tag[VMSCM_GITDB_ID];
    struct counts counts = {0};

    gitrepo_commit(a, r, "one", NULL, "a");
    assert_done(vmscm_refs_tag(r->db, "refs/tags/web/v1", "", a, "v1", "m", &gitrepo_who, &err), &err);
    assert_done(vmscm_refs_read(tag, r->db, "refs/tags/web/v1", &err), &err);
    assert_done(vmscm_novel_new(&novel, r->db, &err), &err);
    assert_done(vmscm_novel_know(novel, a, &err), &err);
    assert_done(vmscm_novel_want(novel, tag, &err), &err);
    assert_done(vmscm_novel_objects(novel, true, count, &counts, &err), &err);
    assert_int_equal(counts.objects, 1);
    assert_int_equal(vmscm_novel_commit_count(novel), 0);
    vmscm_novel_free(novel);
}

static void test_missing(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_novel *novel;
    char a[VMSCM_GITDB_ID], path[1024];

    gitrepo_commit(a, r, "one", NULL, "a");
    assert_done(vmscm_novel_new(&novel, r->db, &err), &err);
    assert_fails(vmscm_novel_want(novel, "0123456789012345678901234567890123456789", &err), &err,
        VMSCM_EDAMAGED, "missing");
    assert_done(vmscm_novel_want(novel, a, &err), &err);
    struct vmscm_gitdb_info info;
    assert_done(vmscm_gitdb_read_commit(&info, r->db, a, &err), &err);
    snprintf(path, sizeof path, "%s/objects/%.2s/%s", r->git, info.tree, info.tree + 2);
    assert_int_equal(unlink(path), 0);
    vmscm_gitdb_info_release(&info);
    assert_done(vmscm_gitdb_reload(r->db, &err), &err);
    assert_fails(
        vmscm_novel_objects(novel, false, NULL, NULL, &err), &err, VMSCM_EDAMAGED, "tree");
    vmscm_novel_free(novel);
}

/* From one repository to another, whole or without one of the objects. */
static void test_incoming(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    void *other = NULL;
    char a[VMSCM_GITDB_ID], b[VMSCM_GITDB_ID], dir[600];

    gitrepo_commit(a, r, "one", NULL, "a");
    gitrepo_commit(b, r, "two", a, "b");
    for (size_t skip = 0; skip <= 6; skip++) {
        struct vmscm_novel *novel, *there;
        struct vmscm_incoming *in;
        struct counts counts = {.skip = skip};
        assert_int_equal(gitrepo_setup(&other), 0);
        struct gitrepo *o = other;
        snprintf(dir, sizeof dir, "%s/q", o->dir);
        assert_done(vmscm_incoming_open(&in, o->db, dir, &err), &err);
        counts.in = in;
        assert_done(vmscm_novel_new(&novel, r->db, &err), &err);
        assert_done(vmscm_novel_want(novel, b, &err), &err);
        assert_done(vmscm_novel_objects(novel, true, count, &counts, &err), &err);
        assert_int_equal(counts.objects, 6);
        assert_done(vmscm_novel_new(&there, vmscm_incoming_db(in), &err), &err);
        int rc = vmscm_novel_want(there, b, &err);
        if (!rc)
            rc = vmscm_novel_objects(there, false, NULL, NULL, &err);
        assert_int_equal(rc, skip ? VMSCM_EDAMAGED : 0);
        vmscm_novel_free(there);
        vmscm_novel_free(novel);
        if (!skip) {
            char *said = gitrepo_git(o, "cat-file", "-t", b, NULL);
            assert_null(said);
            assert_done(vmscm_incoming_install(in, &err), &err);
            assert_done(vmscm_gitdb_reload(o->db, &err), &err);
            assert_done(vmscm_refs_update(o->db, "refs/heads/web", "", b, &gitrepo_who, "x", &err), &err);
            gitrepo_fsck(o);
            assert_git(o, b, "rev-parse", "refs/heads/web");
        }
        vmscm_incoming_close(in);
        gitrepo_teardown(&other);
    }
}

/* What small objects cost is counted: many of them do not stay in memory. */
static void test_incoming_small(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_incoming *in;
    char dir[600];

    snprintf(dir, sizeof dir, "%s/q", r->dir);
    assert_done(vmscm_incoming_open(&in, r->db, dir, &err), &err);
    for (uint32_t i = 0; i < 70000; i++)
        assert_done(vmscm_incoming_add(in, VMSCM_NOVEL_BLOB, &i, sizeof i, &err), &err);
    assert_int_not_equal(vmscm_incoming_stored(in), 0);
    vmscm_incoming_close(in);
}

static void test_leads(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char a[VMSCM_GITDB_ID], b[VMSCM_GITDB_ID], c[VMSCM_GITDB_ID];
    bool leads;

    gitrepo_commit(a, r, "one", NULL, "a");
    gitrepo_commit(b, r, "two", a, "b");
    gitrepo_commit(c, r, "three", a, "c");
    assert_done(vmscm_ancestry_leads(&leads, r->db, b, a, &err), &err);
    assert_true(leads);
    assert_done(vmscm_ancestry_leads(&leads, r->db, a, b, &err), &err);
    assert_false(leads);
    assert_done(vmscm_ancestry_leads(&leads, r->db, b, c, &err), &err);
    assert_false(leads);
    assert_done(vmscm_ancestry_leads(&leads, r->db, b, b, &err), &err);
    assert_true(leads);
}

#define OURS VMSCM_NOTES_COMMENTS
#define THEIRS "refs/notes/theirs"

static void note(struct gitrepo *r, const char *ref, const char *commit, const char *line)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;

    assert_done(vmscm_notes_append(r->db, ref, commit, line, &gitrepo_who, &err), &err);
}

static void expect_note(struct gitrepo *r, const char *commit, const char *text)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf buf = VMSCM_BUF_INIT;

    assert_done(vmscm_notes_read(&buf, r->db, OURS, commit, &err), &err);
    assert_string_equal(vmscm_buf_str(&buf), text);
    vmscm_buf_release(&buf);
}

static bool merge(struct gitrepo *r)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char theirs[VMSCM_GITDB_ID];
    bool changed;

    assert_done(vmscm_refs_read(theirs, r->db, THEIRS, &err), &err);
    assert_done(vmscm_notemerge_run(&changed, r->db, OURS, theirs, &gitrepo_who, &err), &err);
    return changed;
}

static void test_notes(void **state)
{
    struct gitrepo *r = *state;
    char a[VMSCM_GITDB_ID], b[VMSCM_GITDB_ID], c[VMSCM_GITDB_ID];

    gitrepo_commit(a, r, "one", NULL, "a");
    gitrepo_commit(b, r, "two", a, "b");
    gitrepo_commit(c, r, "three", b, "c");
    note(r, THEIRS, a, "their first");
    /* None of ours: it becomes theirs. */
    assert_true(merge(r));
    assert_false(merge(r));
    note(r, OURS, a, "our second");
    assert_false(merge(r));
    note(r, THEIRS, a, "their second");
    note(r, THEIRS, b, "on b");
    note(r, OURS, c, "on c");
    assert_true(merge(r));
    expect_note(r, a, "their first\nour second\ntheir second\n");
    expect_note(r, b, "on b\n");
    expect_note(r, c, "on c\n");
    assert_false(merge(r));
    gitrepo_fsck(r);
    /* Where plain git put them, all in one tree. */
    char *said = gitrepo_git(r, "update-ref", "-d", OURS, NULL);
    free(said);
    said = gitrepo_git(r, "-c", "user.name=x", "-c", "user.email=x", "notes", "--ref=comments", "add",
        "-m", "by git", a, NULL);
    assert_non_null(said);
    free(said);
    assert_true(merge(r));
    expect_note(r, a, "by git\ntheir first\ntheir second\n");
    expect_note(r, b, "on b\n");
    gitrepo_fsck(r);
}

/* A commit of plain git's with this tree, on a parent or none. */
static void commit_tree(char id[VMSCM_GITDB_ID], struct gitrepo *r, const char *tree,
    const char *parent)
{
    char *said = gitrepo_git(r, "-c", "user.name=x", "-c", "user.email=x", "commit-tree", "-m", "x",
        tree, parent ? "-p" : NULL, parent, NULL);

    assert_non_null(said);
    memcpy(id, said, VMSCM_GITDB_ID);
    free(said);
}

static int merge_id(struct gitrepo *r, const char *id, struct vmscm_error *err)
{
    bool changed;

    assert_done(vmscm_gitdb_reload(r->db, err), err);
    return vmscm_notemerge_run(&changed, r->db, OURS, id, &gitrepo_who, err);
}

#define EMPTY_TREE "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

/* What follows from ours and lacks lines of it. */
static void test_notes_taken_away(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char a[VMSCM_GITDB_ID], ours[VMSCM_GITDB_ID], evil[VMSCM_GITDB_ID];
    bool leads;

    gitrepo_commit(a, r, "one", NULL, "a");
    note(r, OURS, a, "ours");
    assert_done(vmscm_refs_read(ours, r->db, OURS, &err), &err);
    free(gitrepo_git(r, "write-tree", NULL));
    commit_tree(evil, r, EMPTY_TREE, ours);
    assert_done(merge_id(r, evil, &err), &err);
    expect_note(r, a, "ours\n");
    /* It is a part of the history all the same, so that the next exchange finds it known. */
    assert_done(vmscm_refs_read(ours, r->db, OURS, &err), &err);
    assert_done(vmscm_ancestry_leads(&leads, r->db, ours, evil, &err), &err);
    assert_true(leads);
    gitrepo_fsck(r);
}

/* A blob that says it is a note and is a tree, or larger than notes are: on ours, on nothing, and beside
 * ours. */
static void test_notes_that_are_none(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char a[VMSCM_GITDB_ID], ours[VMSCM_GITDB_ID], evil[VMSCM_GITDB_ID], path[600], name[100];
    char *tree, *blob, *index;

    gitrepo_commit(a, r, "one", NULL, "a");
    note(r, OURS, a, "ours");
    assert_done(vmscm_refs_read(ours, r->db, OURS, &err), &err);
    snprintf(path, sizeof path, "%s/large", r->dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(ftruncate(fileno(f), (64 << 20) + 1), 0);
    assert_int_equal(fclose(f), 0);
    blob = gitrepo_git(r, "hash-object", "-w", path, NULL);
    free(gitrepo_git(r, "write-tree", NULL));
    for (int kind = 0; kind < 6; kind++) {
        snprintf(name, sizeof name, "100644,%.40s,%s", kind % 2 ? blob : EMPTY_TREE, a);
        assert_non_null(index = gitrepo_git(r, "update-index", "--add", "--cacheinfo", name, NULL));
        assert_non_null(tree = gitrepo_git(r, "write-tree", "--missing-ok", NULL));
        free(index);
        commit_tree(evil, r, tree, kind / 2 == 0 ? ours : NULL);
        free(tree);
        if (kind / 2 == 1)
            free(gitrepo_git(r, "update-ref", "-d", OURS, NULL));
        assert_fails(merge_id(r, evil, &err), &err, VMSCM_EINPUT, kind % 2 ? "more than" : "should be");
        if (kind / 2 == 1)
            assert_fails(vmscm_refs_read(ours, r->db, OURS, &err), &err, VMSCM_ENOTFOUND, "");
        free(gitrepo_git(r, "update-ref", OURS, ours, NULL));
    }
    free(blob);
    assert_done(vmscm_gitdb_reload(r->db, &err), &err);
    expect_note(r, a, "ours\n");
}

/* One id that a tree names as a file and as a directory. */
static void test_two_kinds(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_novel *novel;
    char commit[VMSCM_GITDB_ID], id[VMSCM_GITDB_ID], oid[21] = {0}, path[600];
    struct vmscm_gitdb_info info;

    gitrepo_commit(commit, r, "one", NULL, "a");
    assert_done(vmscm_gitdb_read_commit(&info, r->db, commit, &err), &err);
    for (size_t i = 0; i < 20; i++) {
        char hex[3] = {info.tree[2 * i], info.tree[2 * i + 1], '\0'};
        oid[i] = (char)strtoul(hex, NULL, 16);
    }
    vmscm_gitdb_info_release(&info);
    for (int order = 0; order < 2; order++) {
        snprintf(path, sizeof path, "%s/tree", r->dir);
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        for (int i = 0; i < 2; i++) {
            assert_true(fprintf(f, "%s %c%c", i == order ? "100644" : "40000", 'a' + i, '\0') > 0);
            assert_int_equal(fwrite(oid, 1, 20, f), 20);
        }
        assert_int_equal(fclose(f), 0);
        char *tree = gitrepo_git(r, "hash-object", "-w", "-t", "tree", "--literally", path, NULL);
        assert_non_null(tree);
        commit_tree(id, r, tree, NULL);
        free(tree);
        assert_done(vmscm_gitdb_reload(r->db, &err), &err);
        assert_done(vmscm_novel_new(&novel, r->db, &err), &err);
        assert_done(vmscm_novel_want(novel, id, &err), &err);
        assert_fails(vmscm_novel_objects(novel, false, NULL, NULL, &err), &err, VMSCM_EDAMAGED,
            "blob");
        vmscm_novel_free(novel);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, gitrepo_setup, gitrepo_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_difference),
        TEST(test_tags),
        TEST(test_missing),
        TEST(test_incoming),
        TEST(test_incoming_small),
        TEST(test_leads),
        TEST(test_notes),
        TEST(test_notes_taken_away),
        TEST(test_notes_that_are_none),
        TEST(test_two_kinds),
    };

    return unit_run(tests);
}
