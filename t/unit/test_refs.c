/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/history/refs: compare and swap, reflogs, tags, and many processes at once. */
#include "gitrepo.h"

#include "history/notes.h"
#include "history/reflist.h"
#include "history/refs.h"

#include <fcntl.h>
#include <signal.h>

#define HEADS "refs/heads/"
#define WRITERS 8
#define ROUNDS 6

static void update_and_read(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char a[VMSCM_GITDB_ID], b[VMSCM_GITDB_ID], id[VMSCM_GITDB_ID];

    gitrepo_commit(a, r, "a", NULL, "first");
    gitrepo_commit(b, r, "b", a, "second");
    assert_fails(vmscm_refs_read(id, r->db, HEADS "qa/web", &err), &err, VMSCM_ENOTFOUND,
        "machine qa/web: does not exist");
    assert_fails(vmscm_refs_update(r->db, HEADS "qa/web", a, b, &gitrepo_who, "x", &err), &err,
        VMSCM_ECONFLICT, "machine qa/web: was removed");
    assert_done(
        vmscm_refs_update(r->db, HEADS "qa/web", "", a, &gitrepo_who, "checkin: first", &err),
        &err);
    assert_fails(vmscm_refs_update(r->db, HEADS "qa/web", "", b, &gitrepo_who, "x", &err), &err,
        VMSCM_EEXIST, "machine qa/web: exists");
    assert_fails(vmscm_refs_update(r->db, HEADS "qa/web", b, b, &gitrepo_who, "x", &err), &err,
        VMSCM_ECONFLICT, "machine qa/web: has moved");
    assert_done(
        vmscm_refs_update(r->db, HEADS "qa/web", a, b, &gitrepo_who, "checkin: second", &err),
        &err);
    /* To where it is: nothing to write, and no line in the reflog. */
    assert_done(vmscm_refs_update(r->db, HEADS "qa/web", b, b, &gitrepo_who, "x", &err), &err);
    assert_done(vmscm_refs_read(id, r->db, HEADS "qa/web", &err), &err);
    assert_string_equal(id, b);
    assert_done(vmscm_refs_update(r->db, HEADS "any", NULL, a, &gitrepo_who, "x", &err), &err);
    assert_done(vmscm_refs_update(r->db, HEADS "any", NULL, b, &gitrepo_who, "y", &err), &err);
    assert_fails(vmscm_refs_update(r->db, HEADS "ghost", "",
                     "0123456789012345678901234567890123456789", &gitrepo_who, "x", &err),
        &err, VMSCM_ENOTFOUND, "machine ghost");
    assert_fails(vmscm_refs_update(r->db, HEADS "a..b", "", a, &gitrepo_who, "x", &err), &err,
        VMSCM_EUSAGE, "machine a..b");
    assert_fails(vmscm_refs_update(r->db, "../escape", "", a, &gitrepo_who, "x", &err), &err,
        VMSCM_EUSAGE, "../escape");
    assert_git(r, b, "rev-parse", "refs/heads/qa/web");
    assert_git(r,
        "Ann Author <ann@example.org> checkin: second\n"
        "Ann Author <ann@example.org> checkin: first",
        "reflog", "show", "--format=%gn <%ge> %gs", "qa/web");
    assert_git(r, "any@{1700000000 +0100}", "reflog", "show", "-1", "--date=raw", "--format=%gd",
        "any");
    gitrepo_fsck(r);
}

static void clashes(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char a[VMSCM_GITDB_ID];

    gitrepo_commit(a, r, "a", NULL, "first");
    assert_done(vmscm_refs_update(r->db, HEADS "a/b", "", a, &gitrepo_who, "x", &err), &err);
    /* Once as files, once in packed-refs. */
    for (int i = 0; i < 2; i++) {
        assert_fails(vmscm_refs_update(r->db, HEADS "a", "", a, &gitrepo_who, "x", &err), &err,
            VMSCM_EEXIST, "machine a: there is a machine a/b");
        assert_fails(vmscm_refs_update(r->db, HEADS "a/b/c", "", a, &gitrepo_who, "x", &err), &err,
            VMSCM_EEXIST, "machine a/b/c: there is a machine a/b");
        assert_fails(vmscm_refs_rename(
                         r->db, HEADS "a/b", HEADS "a/b/c", &gitrepo_who, "x", &err),
            &err, VMSCM_EEXIST, "there is a machine a/b");
        assert_git(r, "", "pack-refs", "--all");
    }
    assert_done(vmscm_refs_update(r->db, HEADS "a/bc", "", a, &gitrepo_who, "x", &err), &err);
    /* A directory that is empty is in nobody's way. */
    assert_done(vmscm_refs_delete(r->db, HEADS "a/bc", a, &err), &err);
    assert_done(vmscm_refs_delete(r->db, HEADS "a/b", NULL, &err), &err);
    assert_done(vmscm_refs_update(r->db, HEADS "a", "", a, &gitrepo_who, "x", &err), &err);
    gitrepo_fsck(r);
}

static int count_ids(void *data, const char *id)
{
    assert_int_equal(strlen(id), 40);
    ++*(int *)data;
    return 0;
}

static void remove_and_rename(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char a[VMSCM_GITDB_ID], b[VMSCM_GITDB_ID], id[VMSCM_GITDB_ID], path[600];
    int ids = 0;

    gitrepo_commit(a, r, "a", NULL, "first");
    gitrepo_commit(b, r, "b", a, "second");
    assert_done(vmscm_refs_update(r->db, HEADS "qa/web", "", a, &gitrepo_who, "one", &err), &err);
    assert_done(vmscm_refs_update(r->db, HEADS "qa/web", a, b, &gitrepo_who, "two", &err), &err);
    assert_done(vmscm_refs_update(r->db, HEADS "other", "", a, &gitrepo_who, "x", &err), &err);
    assert_fails(vmscm_refs_rename(r->db, HEADS "none", HEADS "new", &gitrepo_who, "x", &err), &err,
        VMSCM_ENOTFOUND, "machine none");
    assert_fails(vmscm_refs_rename(r->db, HEADS "qa/web", HEADS "other", &gitrepo_who, "x", &err),
        &err, VMSCM_EEXIST, "machine other");
    assert_git(r, "", "pack-refs", "--all");
    assert_done(
        vmscm_refs_rename(r->db, HEADS "qa/web", HEADS "server", &gitrepo_who, "renamed", &err),
        &err);
    assert_fails(vmscm_refs_read(id, r->db, HEADS "qa/web", &err), &err, VMSCM_ENOTFOUND, "qa/web");
    assert_git(r, "renamed\ntwo\none", "reflog", "show", "--format=%gs", "server");
    assert_git(r, b, "rev-parse", "server@{1}");
    assert_git(r, a, "rev-parse", "server@{2}");
    assert_done(vmscm_refs_log_ids(r->db, HEADS "server", count_ids, &ids, &err), &err);
    assert_int_equal(ids, 5); /* b b, b a, a and no zeros */
    snprintf(path, sizeof path, "%s/logs/refs/heads/qa", r->git);
    assert_false(vmscm_file_exists(path));

    assert_fails(vmscm_refs_delete(r->db, HEADS "server", a, &err), &err, VMSCM_ECONFLICT, "moved");
    assert_fails(vmscm_refs_delete(r->db, HEADS "server", "", &err), &err, VMSCM_EUSAGE, "server");
    assert_done(vmscm_refs_delete(r->db, HEADS "server", b, &err), &err);
    assert_fails(
        vmscm_refs_delete(r->db, HEADS "server", NULL, &err), &err, VMSCM_ENOTFOUND, "server");
    snprintf(path, sizeof path, "%s/logs/refs/heads/server", r->git);
    assert_false(vmscm_file_exists(path));
    assert_done(vmscm_refs_log_ids(r->db, HEADS "server", count_ids, &ids, &err), &err);
    assert_int_equal(ids, 5);
    gitrepo_fsck(r);
}

struct listed {
    char text[4096];
};

static int note_ref(void *data, const char *ref, const char *id)
{
    struct listed *l = data;
    size_t len = strlen(l->text);
    snprintf(l->text + len, sizeof l->text - len, "%s%s ", ref, id ? "" : "!");
    return 0;
}

static void write_ref(struct gitrepo *r, const char *ref, const char *text)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char path[700];

    snprintf(path, sizeof path, "%s/%s", r->git, ref);
    assert_done(vmscm_file_replace(path, text, strlen(text), 0666, &err), &err);
}

static void listing_and_damage(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct listed l = {""};
    char a[VMSCM_GITDB_ID], id[VMSCM_GITDB_ID];
    static const char *const names[] = {"web", "qa/web", "qa/db", "web-2"};

    gitrepo_commit(a, r, "a", NULL, "first");
    for (size_t i = 0; i < 4; i++) {
        char ref[64];
        snprintf(ref, sizeof ref, HEADS "%s", names[i]);
        assert_done(vmscm_refs_update(r->db, ref, "", a, &gitrepo_who, "x", &err), &err);
        if (i == 1)
            assert_git(r, "", "pack-refs", "--all");
    }
    assert_done(vmscm_refs_tag(
                    r->db, "refs/tags/web/v1", "", a, "web/v1", NULL, &gitrepo_who, &err),
        &err);
    write_ref(r, HEADS "torn", "");
    write_ref(r, HEADS "qa/junk", "not an id at all, but quite long enough for one\n");
    write_ref(r, HEADS "qa/db.lock", "");
    assert_done(vmscm_reflist_walk(r->db, HEADS, note_ref, &l, &err), &err);
    assert_string_equal(l.text,
        "refs/heads/qa/db refs/heads/qa/junk! refs/heads/qa/web refs/heads/torn! refs/heads/web "
        "refs/heads/web-2 ");
    l.text[0] = '\0';
    assert_done(vmscm_reflist_walk(r->db, "refs/heads/we", note_ref, &l, &err), &err);
    assert_string_equal(l.text, "refs/heads/web refs/heads/web-2 ");
    l.text[0] = '\0';
    assert_done(vmscm_reflist_walk(r->db, "refs/", note_ref, &l, &err), &err);
    assert_non_null(strstr(l.text, "refs/heads/torn! "));
    assert_non_null(strstr(l.text, "refs/tags/web/v1 "));
    l.text[0] = '\0';
    assert_done(vmscm_reflist_walk(r->db, "refs/remotes/", note_ref, &l, &err), &err);
    assert_string_equal(l.text, "");

    assert_fails(vmscm_refs_read(id, r->db, HEADS "torn", &err), &err, VMSCM_EDAMAGED,
        "machine torn: damaged");
    assert_fails(vmscm_refs_update(r->db, HEADS "torn", a, a, &gitrepo_who, "x", &err), &err,
        VMSCM_EDAMAGED, "torn");
    assert_done(vmscm_refs_update(r->db, HEADS "torn", NULL, a, &gitrepo_who, "x", &err), &err);
    assert_done(vmscm_refs_read(id, r->db, HEADS "torn", &err), &err);
    assert_done(vmscm_refs_delete(r->db, HEADS "qa/junk", NULL, &err), &err);
    /* A ref to what is not there. */
    write_ref(r, HEADS "dangling", "0123456789012345678901234567890123456789\n");
    assert_fails(vmscm_refs_read_commit(id, r->db, HEADS "dangling", &err), &err, VMSCM_EDAMAGED,
        "machine dangling: damaged");
}

static void tags(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_signature tagger;
    char a[VMSCM_GITDB_ID], b[VMSCM_GITDB_ID], id[VMSCM_GITDB_ID], old[VMSCM_GITDB_ID], *message;
    const char *ref = "refs/tags/qa/web/golden";
    int ids = 0;

    gitrepo_commit(a, r, "a", NULL, "first");
    gitrepo_commit(b, r, "b", a, "second");
    assert_fails(vmscm_refs_tag_read(&message, &tagger, r->db, ref, &err), &err, VMSCM_ENOTFOUND,
        "tag qa/web:golden: does not exist");
    assert_done(
        vmscm_refs_tag(r->db, ref, "", a, "qa/web/golden", "for\nall\n\n", &gitrepo_who, &err),
        &err);
    assert_fails(vmscm_refs_tag(r->db, ref, "", b, "qa/web/golden", "x", &gitrepo_who, &err), &err,
        VMSCM_EEXIST, "tag qa/web:golden");
    assert_git(r, "tag", "cat-file", "-t", ref);
    assert_git(r, "Ann Author|for\nall\n", "for-each-ref", "--format=%(taggername)|%(contents)",
        ref);
    assert_done(vmscm_refs_read_commit(id, r->db, ref, &err), &err);
    assert_string_equal(id, a);
    assert_done(vmscm_refs_read(old, r->db, ref, &err), &err);
    assert_string_not_equal(old, a);
    assert_done(vmscm_refs_tag_read(&message, &tagger, r->db, ref, &err), &err);
    assert_string_equal(message, "for\nall");
    assert_string_equal(tagger.email, "ann@example.org");
    assert_int_equal(tagger.time, 1700000000);
    free(message);
    free((char *)tagger.name);
    free((char *)tagger.email);
    /* Moved, the old tag object stays in the reflog, for gc to see. */
    assert_done(
        vmscm_refs_tag(r->db, ref, old, b, "qa/web/golden", NULL, &gitrepo_who, &err), &err);
    assert_done(vmscm_refs_log_ids(r->db, ref, count_ids, &ids, &err), &err);
    assert_int_equal(ids, 3);
    /* A light tag of plain git's. */
    assert_git(r, "", "tag", "-f", "qa/web/light", a);
    assert_done(
        vmscm_refs_tag_read(&message, &tagger, r->db, "refs/tags/qa/web/light", &err), &err);
    assert_string_equal(message, "");
    free(message);
    free((char *)tagger.name);
    free((char *)tagger.email);
    gitrepo_fsck(r);
}

static void stale_locks(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char a[VMSCM_GITDB_ID], path[600];

    gitrepo_commit(a, r, "a", NULL, "first");
    write_ref(r, HEADS "web.lock", "left by the dead");
    assert_done(vmscm_refs_update(r->db, HEADS "web", "", a, &gitrepo_who, "x", &err), &err);
    snprintf(path, sizeof path, "%s/" HEADS "web.lock", r->git);
    assert_false(vmscm_file_exists(path));
    assert_git(r, "", "pack-refs", "--all");
    write_ref(r, "packed-refs.lock", "left by the dead");
    assert_done(vmscm_refs_delete(r->db, HEADS "web", a, &err), &err);
    snprintf(path, sizeof path, "%s/packed-refs.lock", r->git);
    assert_false(vmscm_file_exists(path));
}

/* Reflogs that a killed removal left: as a file, above and below new names. */
static void orphaned_reflogs(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char a[VMSCM_GITDB_ID], line[256], dir[600];
    int ids = 0;

    gitrepo_commit(a, r, "a", NULL, "first");
    snprintf(line, sizeof line, "%s %s A <a> 1 +0000\told\n", a, a);
    snprintf(dir, sizeof dir, "%s/logs/refs/heads/below/x", r->git);
    assert_done(vmscm_file_mkdirs(dir, &err), &err);
    write_ref(r, "logs/refs/heads/same", line);
    write_ref(r, "logs/refs/heads/above", line);
    write_ref(r, "logs/refs/heads/below/x/y", line);
    static const char *const refs[] = {HEADS "same", HEADS "above/x/y", HEADS "below"};
    for (size_t i = 0; i < 3; i++) {
        assert_done(vmscm_refs_update(r->db, refs[i], "", a, &gitrepo_who, "new", &err), &err);
        assert_git(r, "new", "reflog", "show", "--format=%gs", refs[i]);
        assert_done(vmscm_refs_log_ids(r->db, refs[i], count_ids, &ids, &err), &err);
    }
    assert_int_equal(ids, 3);
}

/* A last line of which a part was written, or which came to the disk in part, does not spoil the next. */
static void torn_reflogs(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char a[VMSCM_GITDB_ID], b[VMSCM_GITDB_ID], path[600], id[VMSCM_GITDB_ID], text[16];
    static const char *const torn[] = {"0123456789", "\0\0\0\0\0\0\0\0", "part of a line\n",
        "0000000000000000000000000000000000000000 0000000000000000000000000000000000000000 A <"};
    static const size_t lengths[] = {10, 8, 15, 84};

    gitrepo_commit(a, r, "a", NULL, "first");
    gitrepo_commit(b, r, "b", a, "second");
    assert_done(vmscm_refs_update(r->db, HEADS "m", "", a, &gitrepo_who, "0", &err), &err);
    snprintf(path, sizeof path, "%s/logs/refs/heads/m", r->git);
    for (int i = 0; i < 4; i++) {
        int fd;
        assert_done(vmscm_file_open(&fd, path, O_WRONLY | O_APPEND, 0, &err), &err);
        assert_done(vmscm_file_write(fd, torn[i], lengths[i], path, &err), &err);
        close(fd);
        snprintf(text, sizeof text, "%d", i + 1);
        assert_done(vmscm_refs_update(r->db, HEADS "m", i % 2 ? b : a, i % 2 ? a : b, &gitrepo_who,
                        text, &err), &err);
    }
    assert_git(r, "4\n3\n2\n1\n0", "reflog", "show", "--format=%gs", "m");
    assert_done(vmscm_refs_read(id, r->db, HEADS "m", &err), &err);
    assert_string_equal(id, a);
}

/* A rename whose process was killed at either end of the copy goes on; what only looks like it is in
 * the way. */
static void half_renamed(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char a[VMSCM_GITDB_ID], b[VMSCM_GITDB_ID], id[VMSCM_GITDB_ID];

    gitrepo_commit(a, r, "a", NULL, "first");
    gitrepo_commit(b, r, "b", a, "second");
    assert_done(vmscm_refs_update(r->db, HEADS "old", "", a, &gitrepo_who, "one", &err), &err);
    assert_done(vmscm_refs_update(r->db, HEADS "old", a, b, &gitrepo_who, "two", &err), &err);
    for (int i = 0; i < 2; i++) {
        if (i)
            assert_done(
                vmscm_refs_update(r->db, HEADS "new", "", b, &gitrepo_who, "why", &err), &err);
        else
            assert_done(
                vmscm_refs_copy(r->db, HEADS "old", HEADS "new", &gitrepo_who, "why", &err), &err);
        assert_fails(vmscm_refs_rename(r->db, HEADS "old", HEADS "new", &gitrepo_who, "no", &err),
            &err, VMSCM_EEXIST, "machine new");
        assert_done(
            vmscm_refs_rename(r->db, HEADS "old", HEADS "new", &gitrepo_who, "why", &err), &err);
        assert_git(r, "why\ntwo\none", "reflog", "show", "--format=%gs", "new");
        assert_fails(vmscm_refs_read(id, r->db, HEADS "old", &err), &err, VMSCM_ENOTFOUND, "old");
        assert_done(vmscm_refs_delete(r->db, HEADS "new", b, &err), &err);
        assert_done(vmscm_refs_update(r->db, HEADS "old", "", a, &gitrepo_who, "one", &err), &err);
        assert_done(vmscm_refs_update(r->db, HEADS "old", a, b, &gitrepo_who, "two", &err), &err);
    }
    /* Renamed, and made anew from it: two machines. */
    assert_done(vmscm_refs_rename(r->db, HEADS "old", HEADS "new", &gitrepo_who, "why", &err), &err);
    assert_done(vmscm_refs_update(r->db, HEADS "old", "", b, &gitrepo_who, "clone", &err), &err);
    assert_fails(vmscm_refs_rename(r->db, HEADS "old", HEADS "new", &gitrepo_who, "why", &err), &err,
        VMSCM_EEXIST, "machine new");
}

/* One of the processes: its commits on a machine that all share, each built on the tip that it
 * finds; a tag and a comment for each. */
static void writer(struct gitrepo *r, int n, const char *first)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_gitdb *db;
    char tip[VMSCM_GITDB_ID], id[VMSCM_GITDB_ID], text[32], ref[64];
    int rc;

    if (vmscm_gitdb_open(&db, r->git, r->locks, &err))
        _exit(1);
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(text, sizeof text, "%d-%d", n, i);
        struct vmscm_gitdb_file file = {"machine.json", text, strlen(text)};
        const char *parent = tip;
        do {
            if (vmscm_refs_read(tip, db, HEADS "shared", &err) ||
                vmscm_gitdb_commit(id, db, &file, 1, &parent, 1, &gitrepo_who, &gitrepo_who, text,
                    &err))
                _exit(2);
            rc = vmscm_refs_update(db, HEADS "shared", tip, id, &gitrepo_who, text, &err);
        } while (rc == VMSCM_ECONFLICT);
        if (rc)
            _exit(3);
        snprintf(ref, sizeof ref, "refs/tags/shared/t%s", text);
        if (vmscm_refs_tag(db, ref, "", id, ref + 10, text, &gitrepo_who, &err))
            _exit(4);
        if (vmscm_notes_comment(db, first, text, &gitrepo_who, &err))
            _exit(5);
    }
    vmscm_gitdb_close(db);
    _exit(0);
}

static int count_comments(void *data, const struct vmscm_signature *author, const char *text)
{
    (void)author, (void)text;
    ++*(int *)data;
    return 0;
}

static void many_processes(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char first[VMSCM_GITDB_ID], expected[32];
    pid_t pids[WRITERS];
    int comments = 0, status;

    gitrepo_commit(first, r, "start", NULL, "start");
    assert_done(vmscm_refs_update(r->db, HEADS "shared", "", first, &gitrepo_who, "x", &err), &err);
    for (int n = 0; n < WRITERS; n++) {
        pids[n] = fork();
        if (pids[n] == 0)
            writer(r, n, first);
        assert_true(pids[n] > 0);
    }
    for (int n = 0; n < WRITERS; n++) {
        assert_int_equal(waitpid(pids[n], &status, 0), pids[n]);
        assert_int_equal(status, 0);
    }
    snprintf(expected, sizeof expected, "%d", WRITERS * ROUNDS + 1);
    assert_git(r, expected, "rev-list", "--count", "shared");
    char *log = gitrepo_git(r, "log", "--format=%s", "shared", NULL);
    char *said = gitrepo_git(r, "tag", "-l", "--format=%(contents:subject)", NULL);
    for (int n = 0; n < WRITERS; n++)
        for (int i = 0; i < ROUNDS; i++) {
            snprintf(expected, sizeof expected, "%d-%d\n", n, i);
            assert_non_null(strstr(log, expected));
            expected[3] = '\0';
            assert_non_null(strstr(said, expected));
        }
    free(log);
    free(said);
    assert_done(vmscm_notes_comments(r->db, first, count_comments, &comments, &err), &err);
    assert_int_equal(comments, WRITERS * ROUNDS);
    gitrepo_fsck(r);
}

/* Revisions on top of each other, each told through the pipe once it is acknowledged; after every
 * other one, the machine is renamed to and fro. */
static void work_until_killed(struct gitrepo *r, int out)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_gitdb *db;
    char tip[VMSCM_GITDB_ID], id[VMSCM_GITDB_ID], text[32];
    const char *here = HEADS "m", *there = HEADS "n", *parent = tip;

    if (vmscm_gitdb_open(&db, r->git, r->locks, &err))
        _exit(1);
    /* The one before may have been killed in a rename: both are there, and equal. */
    if (vmscm_refs_read(tip, db, here, &err)) {
        if (vmscm_refs_read(tip, db, there, &err))
            _exit(2);
        here = HEADS "n", there = HEADS "m";
    } else if (vmscm_refs_delete(db, there, NULL, &err) && err.code != VMSCM_ENOTFOUND) {
        _exit(3);
    }
    for (int i = 0;; i++) {
        snprintf(text, sizeof text, "%d-%d", (int)getpid(), i);
        struct vmscm_gitdb_file file = {"machine.json", text, strlen(text)};
        if (vmscm_gitdb_commit(
                id, db, &file, 1, &parent, 1, &gitrepo_who, &gitrepo_who, text, &err) ||
            vmscm_refs_update(db, here, tip, id, &gitrepo_who, text, &err) ||
            write(out, id, 40) != 40)
            _exit(4);
        memcpy(tip, id, sizeof tip);
        if (i % 2 && vmscm_refs_rename(db, here, there, &gitrepo_who, "to and fro", &err))
            _exit(5);
        if (i % 2) {
            const char *swap = here;
            here = there;
            there = swap;
        }
    }
}

static void killed(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char told[VMSCM_GITDB_ID], m[VMSCM_GITDB_ID], n[VMSCM_GITDB_ID], next[VMSCM_GITDB_ID];
    int total = 0;

    gitrepo_commit(told, r, "start", NULL, "start");
    assert_done(vmscm_refs_update(r->db, HEADS "m", "", told, &gitrepo_who, "x", &err), &err);
    for (int round = 0; round < 15; round++) {
        int fds[2], status;
        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        if (pid == 0)
            work_until_killed(r, fds[1]);
        close(fds[1]);
        /* A lock of the one before may have to be waited for; then a while of work. */
        assert_int_equal(read(fds[0], told, 40), 40);
        usleep((unsigned)(2000 + round * 1777));
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        for (total++; read(fds[0], told, 40) == 40; total++)
            ;
        close(fds[0]);
        told[40] = '\0';
        int no_m = vmscm_refs_read(m, r->db, HEADS "m", &err);
        int no_n = vmscm_refs_read(n, r->db, HEADS "n", &err);
        assert_true(!no_m || !no_n);
        if (!no_m && !no_n)
            assert_string_equal(m, n);
        /* What was acknowledged last is the tip, or one that was not told any more is on it. */
        snprintf(next, sizeof next, "%s", no_m ? n : m);
        if (strcmp(next, told) != 0) {
            struct vmscm_gitdb_info info;
            assert_done(vmscm_gitdb_read_commit(&info, r->db, next, &err), &err);
            assert_int_equal(info.parent_count, 1);
            assert_string_equal(info.parents[0], told);
            vmscm_gitdb_info_release(&info);
            total++;
        }
        gitrepo_fsck(r);
    }
    char count[32];
    snprintf(count, sizeof count, "%d", total + 1);
    assert_git(r, count, "rev-list", "--count", next);
}

int main(void)
{
#define GIT_TEST(f) cmocka_unit_test_setup_teardown(f, gitrepo_setup, gitrepo_teardown)
    const struct CMUnitTest tests[] = {
        GIT_TEST(update_and_read),
        GIT_TEST(clashes),
        GIT_TEST(remove_and_rename),
        GIT_TEST(listing_and_damage),
        GIT_TEST(tags),
        GIT_TEST(stale_locks),
        GIT_TEST(orphaned_reflogs),
        GIT_TEST(torn_reflogs),
        GIT_TEST(half_renamed),
        GIT_TEST(many_processes),
        GIT_TEST(killed),
    };
    return unit_run(tests);
}
