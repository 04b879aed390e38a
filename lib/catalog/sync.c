/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the catalog was made from is told by a hash of all refs that matter, kept in it: the same hash, and
 * it is up to date. Else revisions are read from the tips on, down to those that are known, and notes whose
 * blobs changed; machines, tags and whose history holds what are written anew. One transaction does it.
 */
#include "catalog/sync.h"
#include "base/buf.h"
#include "base/path.h"
#include "base/str.h"
#include "base/vec.h"
#include "catalog/fill.h"
#include "codec/hash.h"
#include "history/notes.h"
#include "history/refs.h"
#include "history/reflist.h"
#include "repo/refnames.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_NAME "catalog.db"
#define JOURNAL_NAME "catalog.db-journal"
#define WAIT_MS 60000
#define SHORT_MS 100

struct sync {
    struct vmscm_repo *repo;
    struct vmscm_db *db;
    struct vmscm_buf refs;  /* all that matter, with their ids */
    VMSCM_VEC(char *) queue; /* revisions to be read */
    const char *kind;       /* of notes */
    struct vmscm_error *err;
};

/* Ready a statement whose parameters are texts. */
static int prepare(sqlite3_stmt **out, struct sync *s, const char *sql, const char *const *texts,
    size_t count)
{
    int rc = vmscm_db_prepare(out, s->db, sql, s->err);

    for (size_t i = 0; i < count && !rc; i++)
        if (sqlite3_bind_text(*out, (int)i + 1, texts[i], -1, SQLITE_TRANSIENT))
            rc = vmscm_db_error(s->db, s->err);
    return rc;
}

static int run(struct sync *s, const char *sql, const char *const *texts, size_t count)
{
    sqlite3_stmt *statement = NULL;
    int rc = prepare(&statement, s, sql, texts, count);

    if (!rc)
        rc = vmscm_db_run(s->db, statement, s->err);
    sqlite3_finalize(statement);
    return rc;
}

/* Whether the query has a row. */
static int has(bool *row, struct sync *s, const char *sql, const char *const *texts, size_t count)
{
    sqlite3_stmt *statement = NULL;
    int rc = prepare(&statement, s, sql, texts, count);

    *row = false;
    if (!rc)
        rc = vmscm_db_step(row, s->db, statement, s->err);
    sqlite3_finalize(statement);
    return rc;
}

static int note_ref(void *data, const char *ref, const char *id)
{
    struct sync *s = data;

    return vmscm_buf_printf(&s->refs, s->err, "%s %s\n", ref, id ? id : "-");
}

static int fingerprint(char *hex, struct sync *s)
{
    static const char *const prefixes[] = {VMSCM_HANDLE_HEADS, VMSCM_HANDLE_TAGS, "refs/notes/"};
    struct vmscm_hash *hash = NULL;
    struct vmscm_id id;
    int rc = 0;

    s->refs.len = 0;
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0] && !rc; i++)
        rc = vmscm_reflist_walk(s->repo->git, prefixes[i], note_ref, s, s->err);
    if (!rc && !(rc = vmscm_hash_new(&hash, s->err)))
        rc = vmscm_hash_compute(hash, &id, vmscm_buf_str(&s->refs), s->refs.len, s->err);
    if (!rc)
        vmscm_str_hex(hex, id.bytes, sizeof id.bytes);
    vmscm_hash_free(hash);
    return rc;
}

static int enqueue(struct sync *s, const char *id)
{
    char **slot, *copy;
    bool known;
    int rc = has(&known, s, "SELECT 1 FROM revision WHERE oid = ?1", &id, 1);

    if (rc || known)
        return rc;
    if ((rc = vmscm_str_dup(&copy, id, s->err)))
        return rc;
    if ((rc = vmscm_vec_add(&s->queue, &slot, s->err)))
        free(copy);
    else
        *slot = copy;
    return rc;
}

/* A machine or a tag. */
static int add_ref(void *data, const char *ref, const char *id)
{
    struct sync *s = data;
    char *machine = NULL, commit[VMSCM_GITDB_ID];
    const char *tag = NULL;
    enum vmscm_refnames_kind kind = vmscm_refnames_kind(ref, &machine, &tag);
    int rc = 0;

    /* What cannot be read is for fsck to tell. */
    if (!id || (kind != VMSCM_REFNAMES_MACHINE && kind != VMSCM_REFNAMES_TAG) ||
        vmscm_refs_peel(commit, s->repo->git, id, NULL))
        goto out;
    if (kind == VMSCM_REFNAMES_MACHINE) {
        const char *const texts[] = {machine, commit};
        rc = run(s, "INSERT OR REPLACE INTO machine VALUES(?1, ?2)", texts, 2);
    } else {
        const char *const texts[] = {machine, tag, commit};
        rc = run(s, "INSERT OR REPLACE INTO tag VALUES(?1, ?2, ?3)", texts, 3);
    }
    if (!rc)
        rc = enqueue(s, commit);
out:
    free(machine);
    return rc;
}

static int add_revision(struct sync *s, const char *id)
{
    struct vmscm_gitdb_info info = {0};
    char key[VMSCM_GITDB_ID] = "", time[32], *author = NULL, *words = NULL;
    bool known;
    int rc = has(&known, s, "SELECT 1 FROM revision WHERE oid = ?1", &id, 1);

    if (rc || known)
        return rc;
    rc = vmscm_gitdb_read_commit(&info, s->repo->git, id, s->err);
    if (rc == VMSCM_ENOTFOUND || rc == VMSCM_EDAMAGED) {
        vmscm_error_clear(s->err);
        return 0;
    }
    if (rc)
        return rc;
    if (vmscm_gitdb_find_tree(key, s->repo->git, id, VMSCM_HANDLE_DISK_DIR, NULL))
        key[0] = '\0';
    snprintf(time, sizeof time, "%lld", (long long)info.author.time);
    if ((rc = vmscm_str_printf(&author, s->err, "%s <%s>", info.author.name, info.author.email)) ||
        (rc = vmscm_str_printf(&words, s->err, "%s %s", info.message, author)))
        goto out;
    const char *const texts[] = {id, key, time, author, info.message};
    const char *const row[] = {words};
    if ((rc = run(s, "INSERT INTO revision(oid, content, time, author, message)"
                     " VALUES(?1, nullif(?2, ''), CAST(?3 AS INTEGER), ?4, ?5)",
             texts, 5)) ||
        (rc = run(s, "INSERT INTO revision_words(rowid, text) VALUES(last_insert_rowid(), ?1)", row, 1)))
        goto out;
    for (size_t i = 0; i < info.parent_count && !rc; i++) {
        const char *const pair[] = {id, info.parents[i]};
        if (!(rc = run(s, "INSERT OR IGNORE INTO parent VALUES(?1, ?2)", pair, 2)))
            rc = enqueue(s, info.parents[i]);
    }
out:
    free(author);
    free(words);
    vmscm_gitdb_info_release(&info);
    return rc;
}

static int add_revisions(struct sync *s)
{
    static const char *const prefixes[] = {VMSCM_HANDLE_HEADS, VMSCM_HANDLE_TAGS};
    int rc = vmscm_db_exec(s->db, "DELETE FROM machine; DELETE FROM tag; DELETE FROM lineage", s->err);

    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0] && !rc; i++)
        rc = vmscm_reflist_walk(s->repo->git, prefixes[i], add_ref, s, s->err);
    while (!rc && s->queue.len) {
        char *id = s->queue.items[--s->queue.len];
        rc = add_revision(s, id);
        free(id);
    }
    if (rc)
        return rc;
    /* UNION ends where history joins; what no ref leads to any more is forgotten. */
    return vmscm_db_exec(s->db,
        "INSERT INTO lineage(oid, machine) WITH RECURSIVE walk(oid, machine) AS ("
        " SELECT oid, name FROM machine UNION"
        " SELECT p.parent, w.machine FROM walk w JOIN parent p ON p.child = w.oid)"
        " SELECT oid, machine FROM walk;"
        "CREATE TEMP TABLE reached AS WITH RECURSIVE walk(oid) AS ("
        " SELECT oid FROM tag UNION"
        " SELECT p.parent FROM walk w JOIN parent p ON p.child = w.oid)"
        " SELECT oid FROM walk UNION SELECT oid FROM lineage;"
        "DELETE FROM revision_words WHERE rowid IN"
        " (SELECT id FROM revision WHERE oid NOT IN (SELECT oid FROM reached));"
        "DELETE FROM parent WHERE child NOT IN (SELECT oid FROM reached);"
        "DELETE FROM revision WHERE oid NOT IN (SELECT oid FROM reached);"
        "DELETE FROM change WHERE oid NOT IN (SELECT oid FROM reached);"
        "DROP TABLE reached",
        s->err);
}

static int add_comment(void *data, const struct vmscm_signature *author, const char *text)
{
    struct vmscm_buf *buf = data;

    return vmscm_buf_printf(buf, NULL, "%s %s\n", author->name, text);
}

static int read_comments(struct sync *s, const char *subject, const char *note)
{
    struct vmscm_buf words = VMSCM_BUF_INIT;
    int rc = vmscm_notes_each(note, add_comment, &words, s->err);

    if (!rc)
        rc = run(s, "DELETE FROM comment_words WHERE subject = ?1", &subject, 1);
    const char *const texts[] = {subject, vmscm_buf_str(&words)};
    if (!rc && words.len)
        rc = run(s, "INSERT INTO comment_words(subject, text) VALUES(?1, ?2)", texts, 2);
    vmscm_buf_release(&words);
    return rc;
}

static int read_facts(struct sync *s, const char *subject, const char *note)
{
    struct vmscm_facts facts = {NULL, 0, false};
    int rc = vmscm_facts_choose(&facts, note, s->err);

    if (rc == VMSCM_ENOTFOUND)
        vmscm_error_clear(s->err);
    if (!rc || rc == VMSCM_ENOTFOUND)
        rc = vmscm_fill_content(s->db, subject, facts.root ? &facts : NULL, s->err);
    vmscm_facts_release(&facts);
    return rc;
}

static int add_note(void *data, const char *subject, const char *blob)
{
    struct sync *s = data;
    const char *const texts[] = {s->kind, subject, blob};
    bool comments = strcmp(s->kind, VMSCM_NOTES_COMMENTS) == 0, same = false;
    struct vmscm_buf note = VMSCM_BUF_INIT;
    int rc = run(s, "INSERT OR IGNORE INTO temp.seen VALUES(?1)", &subject, 1);

    if (!rc)
        rc = has(&same, s, "SELECT 1 FROM note WHERE kind = ?1 AND subject = ?2 AND blob = ?3", texts, 3);
    if (rc || same)
        return rc;
    rc = vmscm_notes_read(&note, s->repo->git, s->kind, subject, s->err);
    if (rc == VMSCM_EDAMAGED || rc == VMSCM_ENOTFOUND) {
        vmscm_error_clear(s->err);
        rc = 0;
    } else if (!rc) {
        rc = comments ? read_comments(s, subject, vmscm_buf_str(&note))
                      : read_facts(s, subject, vmscm_buf_str(&note));
    }
    if (!rc)
        rc = run(s, "INSERT OR REPLACE INTO note VALUES(?1, ?2, ?3)", texts, 3);
    vmscm_buf_release(&note);
    return rc;
}

/* Notes that somebody took away with other tools. */
static int drop_unseen(struct sync *s)
{
    const bool comments = strcmp(s->kind, VMSCM_NOTES_COMMENTS) == 0;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    char **slot;
    int rc = vmscm_db_prepare(&statement, s->db,
        "SELECT subject FROM note WHERE kind = ?1 AND subject NOT IN (SELECT subject FROM temp.seen)",
        s->err);

    if (!rc && sqlite3_bind_text(statement, 1, s->kind, -1, SQLITE_STATIC))
        rc = vmscm_db_error(s->db, s->err);
    while (!rc && !(rc = vmscm_db_step(&row, s->db, statement, s->err)) && row)
        if (!(rc = vmscm_vec_add(&s->queue, &slot, s->err)))
            rc = vmscm_str_dup(slot, vmscm_db_text(statement, 0), s->err);
    sqlite3_finalize(statement);
    while (!rc && s->queue.len) {
        char *subject = s->queue.items[--s->queue.len];
        const char *const pair[] = {s->kind, subject};
        if (!(rc = comments ? read_comments(s, subject, "")
                            : vmscm_fill_content(s->db, subject, NULL, s->err)))
            rc = run(s, "DELETE FROM note WHERE kind = ?1 AND subject = ?2", pair, 2);
        free(subject);
    }
    return rc;
}

static int bring_up(struct sync *s, const char *hex)
{
    const char *const texts[] = {hex};
    int rc = add_revisions(s);

    for (size_t i = 0; i < VMSCM_REFNAMES_NOTE_COUNT && !rc; i++) {
        s->kind = vmscm_refnames_notes[i];
        if (strcmp(s->kind, VMSCM_REFNAMES_TRACES) == 0)
            continue; /* nobody searches those */
        if ((rc = vmscm_db_exec(s->db,
                 "CREATE TEMP TABLE IF NOT EXISTS seen(subject TEXT PRIMARY KEY); DELETE FROM temp.seen",
                 s->err)))
            break;
        if (!(rc = vmscm_notes_list(s->repo->git, s->kind, add_note, s, s->err)))
            rc = drop_unseen(s);
        if (rc == VMSCM_EDAMAGED && s->err && strncmp(s->err->message, FILE_NAME, 10) != 0) {
            vmscm_error_clear(s->err); /* the notes are: for fsck to tell */
            rc = 0;
        }
    }
    if (!rc)
        rc = vmscm_db_exec(s->db, "DELETE FROM inside WHERE note NOT IN (SELECT blob FROM note)", s->err);
    return rc ? rc : run(s, "INSERT OR REPLACE INTO meta VALUES('refs', ?1)", texts, 1);
}

static int update(struct vmscm_db *db, struct vmscm_repo *repo, struct vmscm_error *err)
{
    struct sync s = {.repo = repo, .db = db, .err = err};
    char hex[2 * VMSCM_HASH_SIZE + 1];
    const char *const texts[] = {hex};
    const char same_refs[] = "SELECT 1 FROM meta WHERE key = 'refs' AND value = ?1";
    bool same = false;
    int rc = fingerprint(hex, &s);

    if (rc || (rc = has(&same, &s, same_refs, texts, 1)) || same)
        goto out;
    if ((rc = vmscm_db_exec(db, "BEGIN IMMEDIATE", err)))
        goto out;
    /* Another process may have been faster, and refs may have moved: both are seen here. */
    if (!(rc = fingerprint(hex, &s)) && !(rc = has(&same, &s, same_refs, texts, 1)) && !same)
        rc = bring_up(&s, hex);
    if (rc)
        sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL);
    else
        rc = vmscm_db_exec(db, "COMMIT", err);
out:
    for (size_t i = 0; i < s.queue.len; i++)
        free(s.queue.items[i]);
    vmscm_vec_release(&s.queue);
    vmscm_buf_release(&s.refs);
    return rc;
}

static int open_at(struct vmscm_db *db, const char *path, struct vmscm_repo *repo,
    struct vmscm_error *err)
{
    int rc = vmscm_db_open(db, path, WAIT_MS, err);

    if (!rc && (rc = update(db, repo, err)))
        vmscm_db_close(db);
    return rc;
}

static void remove_file(const struct vmscm_repo *repo, const char *name)
{
    char *path = NULL;

    if (!vmscm_path_join(&path, repo->path, name, NULL))
        unlink(path);
    free(path);
}

/* For a new one; false: the repository is not to be written to. */
static bool remove_damaged(const struct vmscm_repo *repo)
{
    if (access(repo->path, W_OK))
        return false;
    remove_file(repo, FILE_NAME);
    remove_file(repo, JOURNAL_NAME);
    return true;
}

int vmscm_sync_open(struct vmscm_db *db, struct vmscm_repo *repo, struct vmscm_error *err)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;
    char *path = NULL;
    int rc = vmscm_path_join(&path, repo->path, FILE_NAME, err);

    if (rc)
        return rc;
    rc = open_at(db, path, repo, &why);
    if (rc == VMSCM_EDAMAGED && remove_damaged(repo)) {
        vmscm_error_clear(&why);
        rc = open_at(db, path, repo, &why);
    }
    if (rc == VMSCM_EIO || rc == VMSCM_EDAMAGED) {
        vmscm_error_clear(&why);
        rc = open_at(db, NULL, repo, &why);
    }
    free(path);
    return rc ? vmscm_error_copy(err, &why) : 0;
}

bool vmscm_sync_open_as_is(struct vmscm_db *db, struct vmscm_repo *repo)
{
    char *path = NULL;
    int rc = vmscm_path_join(&path, repo->path, FILE_NAME, NULL);

    if (!rc && (rc = vmscm_db_open(db, path, SHORT_MS, NULL)) == VMSCM_EDAMAGED && remove_damaged(repo))
        rc = vmscm_db_open(db, path, SHORT_MS, NULL);
    free(path);
    return !rc;
}
