/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/history/pruned: the notes on pruned revisions, many at once, and in whatever shape of tree. */
#include "gitrepo.h"

#include "history/gitverify.h"
#include "history/notes.h"
#include "history/pruned.h"
#include "history/refs.h"

#define MANY 1500

/* Ids that differ in every digit, by a multiplicative generator: the same in every run. */
static void make_ids(char (*ids)[VMSCM_GITDB_ID], const char **list, size_t count)
{
    uint64_t x = 88172645463325252u;

    for (size_t i = 0; i < count; i++) {
        for (size_t d = 0; d < VMSCM_ID_HEX; d++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            ids[i][d] = "0123456789abcdef"[x >> 60];
        }
        ids[i][VMSCM_ID_HEX] = '\0';
        list[i] = ids[i];
    }
}

static size_t count_loaded(struct gitrepo *r, const char *const *list, size_t count)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_pruned *pruned = NULL;
    size_t found = 0;

    assert_done(vmscm_pruned_load(&pruned, r->db, &err), &err);
    for (size_t i = 0; i < count; i++)
        found += vmscm_pruned_has(pruned, list[i]);
    assert_int_equal(found, vmscm_pruned_count(pruned));
    assert_false(vmscm_pruned_has(pruned, "0000000000000000000000000000000000000000"));
    assert_false(vmscm_pruned_has(pruned, "no id"));
    vmscm_pruned_free(pruned);
    return found;
}

static char *tip(struct gitrepo *r)
{
    return gitrepo_git(r, "rev-parse", VMSCM_PRUNED_REF, NULL);
}

static void many(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_pruned_note note;
    static char ids[MANY][VMSCM_GITDB_ID];
    static const char *list[MANY];
    char *before, *after;

    make_ids(ids, list, MANY);
    assert_int_equal(count_loaded(r, list, MANY), 0);
    assert_fails(
        vmscm_pruned_read(&note, r->db, ids[0], &err), &err, VMSCM_ENOTFOUND, "has no notes");
    assert_done(vmscm_pruned_add(r->db, NULL, 0, "none", &gitrepo_who, &err), &err);
    assert_null(tip(r));
    assert_done(vmscm_pruned_add(r->db, list, 1000, "--keep-last 3", &gitrepo_who, &err), &err);
    assert_int_equal(count_loaded(r, list, MANY), 1000);
    assert_git(r, "1", "rev-list", "--count", VMSCM_PRUNED_REF);
    assert_git(r,
        "{\"author\":\"Ann Author\",\"email\":\"ann@example.org\","
        "\"date\":\"2023-11-14T23:13:20+01:00\",\"rule\":\"--keep-last 3\"}",
        "notes", "--ref=pruned", "show", ids[999]);
    assert_done(vmscm_pruned_read(&note, r->db, ids[7], &err), &err);
    assert_string_equal(note.by.name, "Ann Author");
    assert_string_equal(note.by.email, "ann@example.org");
    assert_int_equal(note.by.time, 1700000000);
    assert_int_equal(note.by.offset, 60);
    assert_string_equal(note.rule, "--keep-last 3");
    vmscm_pruned_note_release(&note);

    /* Those that have a note keep it; some are asked for twice. */
    list[1200] = list[1201];
    assert_done(vmscm_pruned_add(r->db, list + 500, 1000, "later", &gitrepo_who, &err), &err);
    list[1200] = ids[1200];
    assert_int_equal(count_loaded(r, list, MANY), MANY - 1);
    assert_done(vmscm_pruned_read(&note, r->db, ids[500], &err), &err);
    assert_string_equal(note.rule, "--keep-last 3");
    vmscm_pruned_note_release(&note);

    /* What changes nothing writes nothing. */
    before = tip(r);
    assert_done(vmscm_pruned_add(r->db, list, 1200, "again", &gitrepo_who, &err), &err);
    assert_done(vmscm_pruned_remove(r->db, list + 1200, 1, &gitrepo_who, &err), &err);
    after = tip(r);
    assert_string_equal(before, after);
    free(before);
    free(after);

    assert_done(vmscm_pruned_remove(r->db, list + 100, 1, &gitrepo_who, &err), &err);
    assert_fails(
        vmscm_pruned_read(&note, r->db, ids[100], &err), &err, VMSCM_ENOTFOUND, "has no notes");
    assert_int_equal(count_loaded(r, list, MANY), MANY - 2);
    assert_done(vmscm_pruned_remove(r->db, list, MANY, &gitrepo_who, &err), &err);
    assert_int_equal(count_loaded(r, list, MANY), 0);
    assert_git(r, "", "ls-tree", VMSCM_PRUNED_REF);
    assert_done(vmscm_pruned_add(r->db, list, 2, "anew", &gitrepo_who, &err), &err);
    assert_int_equal(count_loaded(r, list, MANY), 2);
    gitrepo_fsck(r);

    static char long_rule[70000];
    memset(long_rule, 'x', sizeof long_rule - 1);
    assert_fails(vmscm_pruned_add(r->db, list, 1, long_rule, &gitrepo_who, &err), &err,
        VMSCM_EUSAGE, "64 KiB");
    assert_fails(
        vmscm_pruned_add(r->db, list, 1, "a\nb", &gitrepo_who, &err), &err, VMSCM_EUSAGE, "rule");
    list[0] = "short";
    assert_fails(vmscm_pruned_add(r->db, list, 2, "x", &gitrepo_who, &err), &err, VMSCM_EUSAGE,
        "not a commit id");
}

/* More than a revision can have files. */
static void very_many(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    const size_t count = 100500;
    char(*ids)[VMSCM_GITDB_ID] = calloc(count, sizeof *ids);
    const char **list = calloc(count, sizeof *list);

    assert_true(ids && list);
    make_ids(ids, list, count);
    assert_done(vmscm_pruned_add(r->db, list, count, "--keep-last 1", &gitrepo_who, &err), &err);
    assert_int_equal(count_loaded(r, list, count), count);
    char *id = tip(r);
    assert_done(vmscm_gitverify_notes(r->db, id, &err), &err);
    assert_fails(vmscm_gitverify_revision(r->db, id, &err), &err, VMSCM_EDAMAGED, "more than 100000");
    free(id);
    free(ids);
    free(list);
}

/* A tree made with git's own tools: lines of "MODE TYPE ID\tNAME". */
static void set_tree(struct gitrepo *r, const char *lines)
{
    char script[8192];

    snprintf(script, sizeof script,
        "export GIT_DIR='%s' GIT_COMMITTER_NAME=g GIT_COMMITTER_EMAIL=g@g GIT_AUTHOR_NAME=g "
        "GIT_AUTHOR_EMAIL=g@g\n"
        "note() { echo \"100644 blob $(echo \"$1\" | git hash-object -w --stdin)\t$2\"; }\n"
        "dir() { echo \"040000 tree $(git mktree)\t$1\"; }\n"
        "tree=$({ %s\n} | git mktree) && "
        "git update-ref " VMSCM_PRUNED_REF " $(git commit-tree -m x $tree)",
        r->git, lines);
    run_shell(script);
}

static void any_shape(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_pruned_note note;
    const char *list[] = {"aabbccddeeff00112233445566778899aabbccdd",
        "aabbccddeeff00112233445566778899aabbccde", "aacc000000000000000000000000000000000000",
        "bb00000000000000000000000000000000000001", "bb00000000000000000000000000000000000002",
        "cc00000000000000000000000000000000000003"};

    /* Flat, in one directory, in two, one commit twice; and what is none: other names, other
     * lengths, directories of odd names. */
    set_tree(r, "note flat aabbccddeeff00112233445566778899aabbccdd\n"
                "note flat bb00000000000000000000000000000000000001\n"
                "note x README; note x 00; note x aabb\n"
                "note x aabbccddeeff00112233445566778899aabbccdd0\n"
                "note x bbccddeeff00112233445566778899aabbccde | dir ab0\n"
                "{ note two 000000000000000000000000000000000002 | dir 00\n"
                "  note twice 00000000000000000000000000000000000001; } | dir bb");
    assert_int_equal(count_loaded(r, list, 6), 3);
    assert_done(vmscm_pruned_read(&note, r->db, list[0], &err), &err);
    assert_string_equal(note.rule, "");
    assert_string_equal(note.by.name, "");
    vmscm_pruned_note_release(&note);
    assert_done(vmscm_pruned_add(r->db, list, 6, "--keep-last 1", &gitrepo_who, &err), &err);
    assert_git(r, "flat", "notes", "--ref=pruned", "show", list[0]);
    assert_done(vmscm_pruned_read(&note, r->db, list[1], &err), &err);
    assert_string_equal(note.rule, "--keep-last 1");
    vmscm_pruned_note_release(&note);
    assert_done(vmscm_pruned_remove(r->db, list, 6, &gitrepo_who, &err), &err);
    assert_int_equal(count_loaded(r, list, 6), 0);
    char *left = gitrepo_git(r, "ls-tree", "--name-only", VMSCM_PRUNED_REF, NULL);
    assert_string_equal(left, "00\nREADME\naabb\naabbccddeeff00112233445566778899aabbccdd0\nab0");
    free(left);
    gitrepo_fsck(r);
}

static void damaged(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_pruned *pruned;
    const char *list[] = {"aabbccddeeff00112233445566778899aabbccdd"};
    char script[1024];

    assert_done(vmscm_pruned_add(r->db, list, 1, "x", &gitrepo_who, &err), &err);
    snprintf(script, sizeof script,
        "export GIT_DIR='%s'; t=$(git rev-parse " VMSCM_PRUNED_REF ":aa) && "
        "rm -f $GIT_DIR/objects/$(echo $t | sed 's,..,&/,')",
        r->git);
    run_shell(script);
    vmscm_gitdb_close(r->db);
    assert_done(vmscm_gitdb_open(&r->db, r->git, r->locks, &err), &err);
    assert_fails(vmscm_pruned_load(&pruned, r->db, &err), &err, VMSCM_EDAMAGED, "missing");
    assert_fails(vmscm_pruned_add(r->db, list, 1, "x", &gitrepo_who, &err), &err, VMSCM_EDAMAGED,
        "missing");
    snprintf(script, sizeof script, "echo nothing >'%s/" VMSCM_PRUNED_REF "'", r->git);
    run_shell(script);
    assert_fails(vmscm_pruned_load(&pruned, r->db, &err), &err, VMSCM_EDAMAGED, "damaged");
    snprintf(script, sizeof script,
        "export GIT_DIR='%s'; echo x | git hash-object -w --stdin >\"$GIT_DIR/" VMSCM_PRUNED_REF
        "\"",
        r->git);
    run_shell(script);
    assert_fails(vmscm_pruned_load(&pruned, r->db, &err), &err, VMSCM_EDAMAGED, "damaged");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(many, gitrepo_setup, gitrepo_teardown),
        cmocka_unit_test_setup_teardown(very_many, gitrepo_setup, gitrepo_teardown),
        cmocka_unit_test_setup_teardown(any_shape, gitrepo_setup, gitrepo_teardown),
        cmocka_unit_test_setup_teardown(damaged, gitrepo_setup, gitrepo_teardown),
    };
    return unit_run(tests);
}
