/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/history/roots and ancestry: everything that keeps objects, and all that it keeps. */
#include "gitrepo.h"

#include "history/ancestry.h"
#include "history/roots.h"
#include "history/refs.h"

#define HEADS "refs/heads/"
#define GHOST "0123456789012345678901234567890123456789"

static void put(struct gitrepo *r, const char *ref, const char *id)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;

    assert_done(vmscm_refs_update(r->db, ref, NULL, id, &gitrepo_who, "x", &err), &err);
}

static void write_file(struct gitrepo *r, const char *name, const char *mode, const char *text)
{
    char path[1024];

    snprintf(path, sizeof path, "%s/%s", r->git, name);
    FILE *f = fopen(path, mode);
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void remove_object(struct gitrepo *r, const char *id)
{
    char path[1024];

    snprintf(path, sizeof path, "%s/objects/%.2s/%s", r->git, id, id + 2);
    assert_int_equal(unlink(path), 0);
}

static const struct vmscm_roots_entry *find(const struct vmscm_roots *roots, const char *id)
{
    for (size_t i = 0; i < roots->count; i++) {
        if (i)
            assert_true(strcmp(roots->entries[i - 1].id, roots->entries[i].id) < 0);
        if (strcmp(roots->entries[i].id, id) == 0)
            return &roots->entries[i];
    }
    return NULL;
}

static void assert_root(const struct vmscm_roots *roots, const char *id, const char *name,
    bool notes)
{
    const struct vmscm_roots_entry *entry = find(roots, id);

    assert_non_null(entry);
    assert_string_equal(entry->name, name);
    assert_int_equal(entry->notes, notes);
}

static void every_root(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_roots roots;
    char a[VMSCM_GITDB_ID], b[VMSCM_GITDB_ID], c[VMSCM_GITDB_ID], n[VMSCM_GITDB_ID],
        tag[VMSCM_GITDB_ID], line[300];

    assert_done(vmscm_roots_read(&roots, r->db, &err), &err);
    assert_int_equal(roots.count, 0);
    vmscm_roots_release(&roots);

    gitrepo_commit(a, r, "a", NULL, "first");
    gitrepo_commit(b, r, "b", a, "second");
    gitrepo_commit(c, r, "c", b, "third");
    gitrepo_commit(n, r, "n", NULL, "a note");
    put(r, HEADS "qa/web", a);
    put(r, HEADS "qa/web", b);
    put(r, HEADS "other", b);
    put(r, "refs/notes/comments", n);
    assert_done(vmscm_refs_tag(
                    r->db, "refs/tags/web/golden", "", a, "golden", "", &gitrepo_who, &err),
        &err);
    assert_done(vmscm_refs_read(tag, r->db, "refs/tags/web/golden", &err), &err);
    for (int packed = 0; packed < 2; packed++) {
        assert_done(vmscm_roots_read(&roots, r->db, &err), &err);
        assert_int_equal(roots.count, 4);
        assert_root(&roots, a, HEADS "qa/web@reflog", false);
        assert_root(&roots, b, HEADS "other", false);
        assert_root(&roots, n, "refs/notes/comments", true);
        assert_root(&roots, tag, "refs/tags/web/golden", false);
        vmscm_roots_release(&roots);
        assert_git(r, "", "pack-refs", "--all");
    }

    /* One whose reflog alone is left, one that was never written to the end, a symbolic ref to one
     * that is not there, a detached HEAD, and a revision that is also a note. */
    snprintf(line, sizeof line, "%s %s A <a@b> 1 +0000\tx\n%.60s", a, c, b);
    write_file(r, "logs/refs/heads/gone", "w", line);
    assert_git(r, "", "symbolic-ref", "refs/heads/alias", "refs/heads/none");
    assert_git(r, "", "update-ref", "--no-deref", "HEAD", c);
    put(r, HEADS "odd", n);
    assert_done(vmscm_roots_read(&roots, r->db, &err), &err);
    assert_int_equal(roots.count, 5);
    assert_root(&roots, c, HEADS "gone@reflog", false);
    assert_root(&roots, n, HEADS "odd", false);
    vmscm_roots_release(&roots);
}

static void roots_that_stop(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_roots roots;
    char a[VMSCM_GITDB_ID], line[600], path[1024];

    gitrepo_commit(a, r, "a", NULL, "first");
    put(r, HEADS "web", a);
    write_file(r, "refs/heads/torn", "w", "0123");
    assert_fails(vmscm_roots_read(&roots, r->db, &err), &err, VMSCM_EDAMAGED, "refs/heads/torn");
    assert_true(err.hint[0]);
    assert_int_equal(roots.count, 0);
    write_file(r, "refs/heads/torn", "w", GHOST "\n");
    assert_fails(vmscm_roots_read(&roots, r->db, &err), &err, VMSCM_EDAMAGED,
        "refs/heads/torn: object " GHOST " is missing");
    snprintf(path, sizeof path, "%s/refs/heads/torn", r->git);
    assert_int_equal(unlink(path), 0);

    snprintf(line, sizeof line, "%s %s A <a@b> 1 +0000\tx\n", GHOST, a);
    write_file(r, "logs/refs/heads/web", "a", line);
    assert_fails(vmscm_roots_read(&roots, r->db, &err), &err, VMSCM_EDAMAGED,
        "refs/heads/web@reflog: object " GHOST " is missing");
    write_file(r, "logs/refs/heads/web", "w", "nonsense\n");
    assert_fails(vmscm_roots_read(&roots, r->db, &err), &err, VMSCM_EDAMAGED,
        "logs/refs/heads/web: line 1 cannot be read");
    assert_true(err.hint[0]);
    write_file(r, "logs/refs/heads/web", "w", "");

    /* A line of packed-refs that was read as a comment would be a ref lost. */
    static const char *const bad[] = {"\n" GHOST " refs/heads/x\n", "# x\n#" GHOST " refs/heads/x\n",
        GHOST " refs/heads/x " GHOST " refs/heads/y\n", "^" GHOST "x\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_file(r, "packed-refs", "w", bad[i]);
        assert_fails(vmscm_roots_read(&roots, r->db, &err), &err, VMSCM_EDAMAGED, "packed-refs");
    }
    snprintf(line, sizeof line, "# pack-refs with: peeled\n%s refs/tags/t\n^%s\n", a, a);
    write_file(r, "packed-refs", "w", line);
    assert_done(vmscm_roots_read(&roots, r->db, &err), &err);
    assert_int_equal(roots.count, 1);
    vmscm_roots_release(&roots);

    int len = snprintf(path, sizeof path, "%s/logs/refs", r->git);
    for (int i = 0; i < 130; i++)
        len += snprintf(path + len, sizeof path - (size_t)len, "/d");
    assert_done(vmscm_file_mkdirs(path, &err), &err);
    assert_fails(
        vmscm_roots_read(&roots, r->db, &err), &err, VMSCM_EDAMAGED, "nested too deeply");
    snprintf(path, sizeof path, "%s/logs/refs/d", r->git);
    assert_done(vmscm_file_remove_tree(path, &err), &err);
    snprintf(path, sizeof path, "%s/worktrees/w", r->git);
    assert_done(vmscm_file_mkdirs(path, &err), &err);
    assert_fails(vmscm_roots_read(&roots, r->db, &err), &err, VMSCM_EUNSUPPORTED, "worktrees");
}

struct visited {
    char ids[16][VMSCM_GITDB_ID];
    size_t count;
    int stop;
};

static int visit(void *data, const char *commit)
{
    struct visited *v = data;

    for (size_t i = 0; i < v->count; i++)
        assert_string_not_equal(v->ids[i], commit);
    memcpy(v->ids[v->count++], commit, VMSCM_GITDB_ID);
    return v->stop;
}

static void walk_once(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_gitdb_file file = {"machine.json", "m", 1};
    struct vmscm_ancestry *ancestry, *first;
    struct visited v = {.count = 0};
    struct vmscm_gitdb_info info;
    char a[VMSCM_GITDB_ID], b[VMSCM_GITDB_ID], c[VMSCM_GITDB_ID], m[VMSCM_GITDB_ID],
        *tag, *outer, *tree_tag;

    gitrepo_commit(a, r, "a", NULL, "first");
    gitrepo_commit(b, r, "b", a, "left");
    gitrepo_commit(c, r, "c", a, "right");
    const char *parents[] = {b, c};
    assert_done(vmscm_gitdb_commit(m, r->db, &file, 1, parents, 2, &gitrepo_who, &gitrepo_who,
                    "merge", &err),
        &err);
    setenv("GIT_COMMITTER_NAME", "A", 1);
    setenv("GIT_COMMITTER_EMAIL", "a@b", 1);
    assert_git(r, "", "tag", "-a", "-m", "x", "inner", m);
    assert_git(r, "", "-c", "advice.nestedTag=false", "tag", "-a", "-m", "x", "outer", "inner");
    outer = gitrepo_git(r, "rev-parse", "outer", NULL);
    assert_done(vmscm_gitdb_read_commit(&info, r->db, a, &err), &err);
    assert_git(r, "", "tag", "-a", "-m", "x", "tree", info.tree);
    tree_tag = gitrepo_git(r, "rev-parse", "tree", NULL);

    assert_done(vmscm_ancestry_new(&ancestry, &err), &err);
    assert_done(vmscm_ancestry_walk(ancestry, r->db, b, visit, &v, &err), &err);
    assert_int_equal(v.count, 2);
    assert_string_equal(v.ids[0], b);
    assert_string_equal(v.ids[1], a);
    assert_done(vmscm_ancestry_walk(ancestry, r->db, outer, visit, &v, &err), &err);
    assert_int_equal(v.count, 4);
    assert_string_equal(v.ids[2], m);
    assert_string_equal(v.ids[3], c);
    assert_done(vmscm_ancestry_walk(ancestry, r->db, m, visit, &v, &err), &err);
    assert_done(vmscm_ancestry_walk(ancestry, r->db, info.tree, visit, &v, &err), &err);
    assert_done(vmscm_ancestry_walk(ancestry, r->db, tree_tag, visit, &v, &err), &err);
    assert_int_equal(v.count, 4);
    first = ancestry;

    /* each can end it. */
    assert_done(vmscm_ancestry_new(&ancestry, &err), &err);
    v = (struct visited){.stop = 7};
    assert_int_equal(vmscm_ancestry_walk(ancestry, r->db, m, visit, &v, &err), 7);
    assert_int_equal(v.count, 1);
    vmscm_ancestry_free(ancestry);

    tag = gitrepo_git(r, "rev-parse", "inner", NULL);
    struct {
        const char *from, *gone, *text;
    } cases[] = {{m, a, "parent of commit "}, {outer, tag, tag}, {a, a, a}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vmscm_gitdb *db;
        remove_object(r, cases[i].gone);
        /* What the open one has read it may still have. */
        assert_done(vmscm_gitdb_open(&db, r->git, r->locks, &err), &err);
        assert_done(vmscm_ancestry_new(&ancestry, &err), &err);
        v = (struct visited){.count = 0};
        assert_fails(vmscm_ancestry_walk(ancestry, db, cases[i].from, visit, &v, &err), &err,
            VMSCM_EDAMAGED, cases[i].text);
        assert_non_null(strstr(err.message, cases[i].gone));
        assert_non_null(strstr(err.message, "missing"));
        vmscm_ancestry_free(ancestry);
        vmscm_gitdb_close(db);
        if (i == 0)
            gitrepo_commit(a, r, "a", NULL, "first");
    }
    /* What a tag is on is not looked up again: one that it goes through is gone by now. */
    struct vmscm_gitdb *db;
    assert_done(vmscm_gitdb_open(&db, r->git, r->locks, &err), &err);
    assert_done(vmscm_ancestry_walk(first, db, outer, visit, &v, &err), &err);
    vmscm_gitdb_close(db);
    vmscm_ancestry_free(first);
    free(tag);
    free(outer);
    free(tree_tag);
    vmscm_gitdb_info_release(&info);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_root, gitrepo_setup, gitrepo_teardown),
        cmocka_unit_test_setup_teardown(roots_that_stop, gitrepo_setup, gitrepo_teardown),
        cmocka_unit_test_setup_teardown(walk_once, gitrepo_setup, gitrepo_teardown),
    };

    return unit_run(tests);
}
