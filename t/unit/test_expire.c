/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/history/expire: old lines of reflogs go, and nothing else. */
#include "gitrepo.h"

#include "history/expire.h"
#include "history/refs.h"
#include "history/roots.h"

#include <time.h>

#define HEADS "refs/heads/"

static void set(struct gitrepo *r, const char *ref, const char *id, int64_t when)
{
    struct vmscm_signature who = {"Ann Author", "ann@example.org", when, 60};
    struct vmscm_error err = VMSCM_ERROR_INIT;

    assert_done(vmscm_refs_update(r->db, ref, NULL, id, &who, "x", &err), &err);
}

static bool exists(struct gitrepo *r, const char *name)
{
    char path[700];

    snprintf(path, sizeof path, "%s/%s", r->git, name);
    return vmscm_file_exists(path);
}

static void write_file(struct gitrepo *r, const char *name, const char *mode, const char *text)
{
    char path[700];

    snprintf(path, sizeof path, "%s/%s", r->git, name);
    FILE *f = fopen(path, mode);
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static size_t count_roots(struct gitrepo *r)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_roots roots;

    assert_done(vmscm_roots_read(&roots, r->db, &err), &err);
    size_t count = roots.count;
    vmscm_roots_release(&roots);
    return count;
}

static void times(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    int64_t t, now = time(NULL);

    (void)state;
    assert_done(vmscm_expire_parse(&t, "never", &err), &err);
    assert_true(t == VMSCM_EXPIRE_NEVER);
    assert_done(vmscm_expire_parse(&t, "false", &err), &err);
    assert_true(t == VMSCM_EXPIRE_NEVER);
    assert_done(vmscm_expire_parse(&t, "now", &err), &err);
    assert_true(t == VMSCM_EXPIRE_NOW);
    assert_done(vmscm_expire_parse(&t, VMSCM_EXPIRE_DEFAULT, &err), &err);
    assert_true(t > now - 91 * 86400 && t < now - 89 * 86400);
    assert_done(vmscm_expire_parse(&t, "2.weeks.ago", &err), &err);
    assert_true(t > now - 15 * 86400 && t < now - 13 * 86400);
    assert_done(vmscm_expire_parse(&t, "3 hours ago", &err), &err);
    assert_true(t >= now - 3 * 3600 && t < now - 3 * 3600 + 60);
    assert_done(vmscm_expire_parse(&t, "2020-01-01", &err), &err);
    assert_true(t < now);
    static const char *const bad[] = {
        "", "90", "soon", "90.days.hence", "-1.day", "1.fortnight", "9999999999.days", "now.ago"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_fails(vmscm_expire_parse(&t, bad[i], &err), &err, VMSCM_EUSAGE, "not a time");
        assert_true(err.hint[0]);
    }
}

static void old_lines(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char ids[6][VMSCM_GITDB_ID];
    uint64_t removed = 0;

    for (int i = 0; i < 6; i++) {
        char text[2] = {(char)('a' + i), '\0'};
        gitrepo_commit(ids[i], r, text, NULL, text);
    }
    /* A clock that was wrong for a while. */
    static const int64_t when[] = {1000, 2000, 9000, 2500, 5000, 6000};
    for (int i = 0; i < 6; i++)
        set(r, HEADS "web", ids[i], when[i]);
    set(r, HEADS "other", ids[0], 1);
    assert_int_equal(count_roots(r), 6);

    assert_done(vmscm_expire_all(&removed, r->db, VMSCM_EXPIRE_NEVER, false, &err), &err);
    assert_int_equal(removed, 0);
    assert_false(exists(r, "logs/HEAD"));
    set(r, HEADS "web", ids[5], 6001);
    assert_done(vmscm_expire_all(&removed, r->db, 3000, true, &err), &err);
    assert_int_equal(removed, 3);
    assert_int_equal(count_roots(r), 6);

    removed = 0;
    assert_done(vmscm_expire_all(&removed, r->db, 3000, false, &err), &err);
    assert_int_equal(removed, 3);
    /* ids[1] and ids[3] are named by nothing any more; ids[0] is another machine. */
    assert_int_equal(count_roots(r), 4);
    char *log = gitrepo_git(r, "reflog", "show", "--format=%H", "web", NULL);
    char expected[200];
    snprintf(expected, sizeof expected, "%s\n%s\n%s", ids[5], ids[4], ids[2]);
    assert_non_null(log);
    assert_string_equal(log, expected);
    free(log);
    gitrepo_fsck(r);

    /* The newest stays, and the ref goes on from it. */
    removed = 0;
    assert_done(vmscm_expire_all(&removed, r->db, VMSCM_EXPIRE_NOW, false, &err), &err);
    assert_int_equal(removed, 2);
    assert_int_equal(count_roots(r), 2);
    set(r, HEADS "web", ids[1], 7000);
    assert_int_equal(count_roots(r), 3);
    assert_git(r, ids[5], "rev-parse", "web@{1}");
    gitrepo_fsck(r);
}

/* Reflogs of refs that are gone. */
static void without_ref(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char a[VMSCM_GITDB_ID], b[VMSCM_GITDB_ID], line[300], path[700];
    uint64_t removed = 0;

    gitrepo_commit(a, r, "a", NULL, "a");
    gitrepo_commit(b, r, "b", NULL, "b");
    set(r, HEADS "qa/web", a, 1000);
    set(r, HEADS "qa/web", b, 5000);
    /* Lost: it goes by age, the last line too. */
    snprintf(line, sizeof line, "%s %s A <a@b> 4000 +0000\tx\n", a, b);
    write_file(r, "logs/refs/heads/lost", "w", line);
    assert_done(vmscm_expire_all(&removed, r->db, 4000, false, &err), &err);
    assert_int_equal(removed, 1);
    assert_true(exists(r, "logs/refs/heads/lost"));
    removed = 0;
    assert_done(vmscm_expire_all(&removed, r->db, 4001, false, &err), &err);
    assert_int_equal(removed, 1);
    assert_false(exists(r, "logs/refs/heads/lost"));
    assert_int_equal(count_roots(r), 1);

    /* Removed, and whoever did it was killed before the reflog was gone. */
    snprintf(line, sizeof line, "%s 0000000000000000000000000000000000000000 v <v> 1 +0000\tx\n", b);
    write_file(r, "logs/refs/heads/qa/web", "a", line);
    /* Not while the ref is there. */
    removed = 0;
    assert_done(vmscm_expire_all(&removed, r->db, VMSCM_EXPIRE_NEVER, false, &err), &err);
    assert_int_equal(removed, 0);
    assert_git(r, b, "rev-parse", "qa/web");
    assert_true(exists(r, "logs/refs/heads/qa/web"));
    snprintf(path, sizeof path, "%s/refs/heads/qa/web", r->git);
    assert_int_equal(unlink(path), 0);
    assert_done(vmscm_expire_all(&removed, r->db, VMSCM_EXPIRE_NEVER, false, &err), &err);
    assert_int_equal(removed, 2);
    assert_false(exists(r, "logs/refs/heads/qa/web"));
    assert_int_equal(count_roots(r), 0);
}

/* Nothing that cannot be read is thrown away. */
static void odd_reflogs(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char a[VMSCM_GITDB_ID], b[VMSCM_GITDB_ID];
    uint64_t removed = 0;

    gitrepo_commit(a, r, "a", NULL, "a");
    gitrepo_commit(b, r, "b", NULL, "b");
    set(r, HEADS "web", a, 1000);
    write_file(r, "logs/refs/heads/web", "a", "nonsense\n");
    set(r, HEADS "torn", a, 1000);
    set(r, HEADS "torn", b, 2000);
    write_file(r, "logs/refs/heads/torn", "a", "0123");
    write_file(r, "logs/refs/heads/a..b", "w", "nonsense\n");
    assert_done(vmscm_expire_all(&removed, r->db, VMSCM_EXPIRE_NOW, false, &err), &err);
    assert_int_equal(removed, 1);
    assert_git(r, b, "rev-parse", "torn@{0}");
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    char path[700];
    snprintf(path, sizeof path, "%s/logs/refs/heads/web", r->git);
    assert_done(vmscm_file_read(&buf, path, 10000, &err), &err);
    assert_non_null(strstr(vmscm_buf_str(&buf), a));
    assert_non_null(strstr(vmscm_buf_str(&buf), "nonsense"));
    vmscm_buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times),
        cmocka_unit_test_setup_teardown(old_lines, gitrepo_setup, gitrepo_teardown),
        cmocka_unit_test_setup_teardown(without_ref, gitrepo_setup, gitrepo_teardown),
        cmocka_unit_test_setup_teardown(odd_reflogs, gitrepo_setup, gitrepo_teardown),
    };

    return unit_run(tests);
}
