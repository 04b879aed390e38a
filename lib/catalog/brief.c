/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Lines about revisions. Those that took work are kept in the catalog by what they were made from, notes by
 * their blobs and revisions, so that none is ever out of date and the catalog need not be brought up to it:
 * a line about what is inside by its note, one about changes by its revision and both notes. Bytes that
 * changed are kept only if they were counted for sure. Rows are written a few at a time, in transactions that
 * nobody waits for long; where that fails, nothing is kept.
 */
#include <vmscm/brief.h>

#include "base/str.h"
#include "base/vec.h"
#include "catalog/sync.h"
#include "history/notes.h"
#include "inspect/changes.h"
#include "inspect/summary.h"
#include "repo/refnames.h"
#include "repo/snapshot.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <vmscm/diff.h>
#include <vmscm/inspect.h>

#define ROWS_MAX 64 /* that wait to be written */
#define UNKNOWN (-1)

/* What a revision's facts are, as a name: "" for none. */
struct state {
    char id[VMSCM_GITDB_ID];   /* the revision's; "": this is none */
    bool any;                  /* it has a note */
    char key[VMSCM_GITDB_ID];  /* of its disks */
    char note[VMSCM_GITDB_ID]; /* "": in several parts, which have no name */
};

struct row {
    bool change; /* or what is inside */
    char key[VMSCM_GITDB_ID], before[VMSCM_GITDB_ID], after[VMSCM_GITDB_ID];
    char *text;
    int64_t bytes;
};

/* Facts that were read lately: what is before one revision is after the next. */
struct kept {
    char note[VMSCM_GITDB_ID];
    struct vmscm_facts facts; /* root NULL: none */
};

struct vmscm_brief {
    struct vmscm_repo *repo;
    bool cached;
    struct vmscm_db db;
    sqlite3_stmt *find_inside, *find_change; /* NULL until they are used */
    struct state last; /* of the parent of the revision that was asked for last */
    VMSCM_VEC(struct row) rows;
    struct kept kept[2];
    size_t oldest; /* of kept */
    char *inside, *changes;
};

int vmscm_brief_open(struct vmscm_brief **out, struct vmscm_repo *repo, struct vmscm_error *err)
{
    struct vmscm_brief *brief = calloc(1, sizeof *brief);

    if (!(*out = brief))
        return vmscm_error_nomem(err);
    brief->repo = repo;
    brief->cached = vmscm_sync_open_as_is(&brief->db, repo);
    return 0;
}

static void clear_rows(struct vmscm_brief *brief)
{
    while (brief->rows.len)
        free(brief->rows.items[--brief->rows.len].text);
}

static int write_row(struct vmscm_db *db, const struct row *row)
{
    sqlite3_stmt *statement = NULL;
    int rc = vmscm_db_prepare(&statement, db,
        row->change ? "INSERT OR REPLACE INTO change VALUES(?1, ?3, ?4, ?2, nullif(?5, -1))"
                    : "INSERT OR REPLACE INTO inside VALUES(?1, ?2)",
        NULL);

    if (!rc &&
        (sqlite3_bind_text(statement, 1, row->key, -1, SQLITE_STATIC) ||
            sqlite3_bind_text(statement, 2, row->text, -1, SQLITE_STATIC) ||
            (row->change &&
                (sqlite3_bind_text(statement, 3, row->before, -1, SQLITE_STATIC) ||
                    sqlite3_bind_text(statement, 4, row->after, -1, SQLITE_STATIC) ||
                    sqlite3_bind_int64(statement, 5, row->bytes)))))
        rc = vmscm_db_error(db, NULL);
    if (!rc)
        rc = vmscm_db_run(db, statement, NULL);
    sqlite3_finalize(statement);
    return rc;
}

static void flush(struct vmscm_brief *brief)
{
    int rc = brief->cached && brief->rows.len ? vmscm_db_exec(&brief->db, "BEGIN IMMEDIATE", NULL) : 0;

    for (size_t i = 0; brief->cached && i < brief->rows.len && !rc; i++)
        rc = write_row(&brief->db, &brief->rows.items[i]);
    if (brief->cached && brief->rows.len && (rc || vmscm_db_exec(&brief->db, "COMMIT", NULL)))
        sqlite3_exec(brief->db.sqlite, "ROLLBACK", NULL, NULL, NULL);
    clear_rows(brief);
}

void vmscm_brief_close(struct vmscm_brief *brief)
{
    if (!brief)
        return;
    flush(brief);
    sqlite3_finalize(brief->find_inside);
    sqlite3_finalize(brief->find_change);
    if (brief->cached)
        vmscm_db_close(&brief->db);
    vmscm_vec_release(&brief->rows);
    vmscm_facts_release(&brief->kept[0].facts);
    vmscm_facts_release(&brief->kept[1].facts);
    free(brief->inside);
    free(brief->changes);
    free(brief);
}

static void keep_row(struct vmscm_brief *brief, const struct row *row, const char *text)
{
    struct row *slot;

    if (!brief->cached || vmscm_vec_add(&brief->rows, &slot, NULL))
        return;
    *slot = *row;
    if (vmscm_str_dup(&slot->text, text, NULL))
        brief->rows.len--;
    if (brief->rows.len >= ROWS_MAX)
        flush(brief);
}

/* Whether the row that these texts name is kept; its columns are the statement's, to be reset. */
static bool find(sqlite3_stmt **statement, struct vmscm_brief *brief, const char *sql,
    const char *const *texts, int count)
{
    bool row = false;

    if (!brief->cached || (!*statement && vmscm_db_prepare(statement, &brief->db, sql, NULL)))
        return false;
    for (int i = 0; i < count; i++)
        if (sqlite3_bind_text(*statement, i + 1, texts[i], -1, SQLITE_STATIC))
            return false;
    return !vmscm_db_step(&row, &brief->db, *statement, NULL) && row;
}

/* Not known is an answer. */
static int forgive(int rc, struct vmscm_error *err)
{
    if (rc != VMSCM_EDAMAGED && rc != VMSCM_ENOTFOUND)
        return rc;
    vmscm_error_clear(err);
    return 0;
}

static int look(struct state *out, struct vmscm_brief *brief, const char *id, struct vmscm_error *err)
{
    struct vmscm_gitdb *git = brief->repo->git;
    int rc;

    if (strcmp(brief->last.id, id) == 0) {
        *out = brief->last;
        return 0;
    }
    *out = (struct state){0};
    memcpy(out->id, id, sizeof out->id);
    if (!(rc = vmscm_gitdb_find_tree(out->key, git, id, VMSCM_HANDLE_DISK_DIR, err)) &&
        !(rc = vmscm_notes_id(out->note, git, VMSCM_REFNAMES_INSPECTION, out->key, err)))
        out->any = true;
    else
        out->note[0] = '\0';
    return forgive(rc, err);
}

/* *facts: NULL if there are none that can be read; else borrowed, while two others are not asked for. */
static int read_facts(const struct vmscm_facts **out, struct vmscm_brief *brief, const struct state *state,
    struct vmscm_error *err)
{
    struct vmscm_buf note = VMSCM_BUF_INIT;
    struct kept *slot;
    int rc;

    *out = NULL;
    if (!state->any)
        return 0;
    for (size_t i = 0; i < 2; i++)
        if (*state->note && brief->kept[i].facts.root && strcmp(brief->kept[i].note, state->note) == 0) {
            brief->oldest = 1 - i;
            *out = &brief->kept[i].facts;
            return 0;
        }
    slot = &brief->kept[brief->oldest];
    vmscm_facts_release(&slot->facts);
    if (!(rc = vmscm_notes_read(&note, brief->repo->git, VMSCM_REFNAMES_INSPECTION, state->key, err)) &&
        !(rc = vmscm_facts_choose(&slot->facts, vmscm_buf_str(&note), err))) {
        memcpy(slot->note, state->note, sizeof slot->note);
        brief->oldest = 1 - brief->oldest;
        *out = &slot->facts;
    }
    vmscm_buf_release(&note);
    return forgive(rc, err);
}

static int get_inside(struct vmscm_brief *brief, const struct state *state, struct vmscm_error *err)
{
    static const char sql[] = "SELECT text FROM inside WHERE note = ?1";
    const struct vmscm_facts *facts = NULL;
    const char *const texts[] = {state->note};
    int rc;

    if (*state->note && find(&brief->find_inside, brief, sql, texts, 1)) {
        rc = vmscm_str_dup(&brief->inside, vmscm_db_text(brief->find_inside, 0), err);
    } else if (!(rc = read_facts(&facts, brief, state, err)) && facts &&
        !(rc = vmscm_summary_make(&brief->inside, facts, err)) && *state->note) {
        struct row row = {.change = false};
        memcpy(row.key, state->note, sizeof row.key);
        keep_row(brief, &row, brief->inside);
    }
    sqlite3_reset(brief->find_inside);
    return rc;
}

/* Configuration and data, as vmscm_diff tells them. */
struct difference {
    struct vmscm_buf *out;
    struct vmscm_error *err;
    bool data_only;
    char disk[256];      /* "disks.ID." of one that came or went, of which no more is told */
    char nic[64];        /* "nics.N." of the last one */
    size_t files, nics, others;
    char *other;         /* the first, as "NAME BEFORE -> AFTER", or NULL: it is too long */
    uint64_t bytes;
    bool at_most;
};

/* What is before the last dot, with it, into at. */
static bool is_same_group(char *at, size_t size, const char *path)
{
    const char *dot = strrchr(path, '.');
    size_t len = dot ? (size_t)(dot - path) + 1 : 0;
    bool same = strncmp(at, path, len) == 0 && at[len] == '\0';

    if (len < size) {
        memcpy(at, path, len);
        at[len] = '\0';
    }
    return same;
}

static int tell_size(struct difference *d, const struct vmscm_diff_field *field)
{
    const char *id = field->path + strlen("disks."), *end = strrchr(id, '.');
    char x[VMSCM_STR_AMOUNT], y[VMSCM_STR_AMOUNT];
    int len = (int)(end - id);

    if (field->before && field->after)
        return vmscm_changes_part(d->out, d->err, "disk %.*s %s -> %s", len, id,
            vmscm_str_amount(x, strtoull(field->before, NULL, 10)),
            vmscm_str_amount(y, strtoull(field->after, NULL, 10)));
    is_same_group(d->disk, sizeof d->disk, field->path);
    return vmscm_changes_part(
        d->out, d->err, "disk %.*s %s", len, id, field->after ? "added" : "removed");
}

static int on_field(void *data, const struct vmscm_diff_field *field)
{
    struct difference *d = data;
    const char *path = field->path, *before = field->before, *after = field->after;
    char x[VMSCM_STR_AMOUNT], y[VMSCM_STR_AMOUNT];

    if (d->data_only)
        return 0;
    if (vmscm_str_starts(path, "disks.") && vmscm_str_ends(path, ".size"))
        return tell_size(d, field);
    if (vmscm_str_starts(path, "disks.") && *d->disk && vmscm_str_starts(path, d->disk))
        return 0;
    if (vmscm_str_starts(path, "nics.")) {
        d->nics += !is_same_group(d->nic, sizeof d->nic, path);
        return 0;
    }
    if (vmscm_str_starts(path, VMSCM_HANDLE_CONFIG_DIR "/")) {
        d->files++;
        return 0;
    }
    if (strcmp(path, "memory") == 0)
        return vmscm_changes_part(d->out, d->err, "memory %s -> %s",
            vmscm_str_amount(x, strtoull(before, NULL, 10)), vmscm_str_amount(y, strtoull(after, NULL, 10)));
    if (strcmp(path, "cpus") == 0)
        return vmscm_changes_part(d->out, d->err, "%s -> %s CPUs", before, after);
    if (!d->others++ && before && after && vmscm_changes_is_short(before) && vmscm_changes_is_short(after))
        return vmscm_str_printf(&d->other, d->err, "%s %s -> %s", path, before, after);
    return 0;
}

static int on_disk(void *data, const struct vmscm_diff_disk *disk)
{
    struct difference *d = data;

    if (disk->kind != VMSCM_DIFF_REMOVED)
        d->bytes += disk->changed;
    d->at_most = d->at_most || disk->at_most;
    return 0;
}

static int put_counts(struct difference *d)
{
    int rc = 0;

    if (d->nics)
        rc = vmscm_changes_part(
            d->out, d->err, "%zu network interface%s changed", d->nics, d->nics == 1 ? "" : "s");
    if (!rc && d->others == 1 && d->other)
        rc = vmscm_changes_part(d->out, d->err, "%s", d->other);
    else if (!rc && d->others)
        rc = vmscm_changes_part(
            d->out, d->err, "%zu setting%s changed", d->others, d->others == 1 ? "" : "s");
    if (!rc && d->files)
        rc = vmscm_changes_part(
            d->out, d->err, "%zu configuration file%s changed", d->files, d->files == 1 ? "" : "s");
    return rc;
}

/* *bytes: UNKNOWN if they are not known for sure; then at_most is. data_only: nothing goes to out. */
static int put_difference(struct vmscm_buf *out, int64_t *bytes, uint64_t *at_most,
    struct vmscm_revision *before, struct vmscm_revision *after, bool data_only, struct vmscm_error *err)
{
    struct difference d = {.out = out, .err = err, .data_only = data_only};
    struct vmscm_diff_sink sink = {&d, on_field, on_disk, 1};
    int differs, rc = vmscm_diff(before, after, &sink, &differs, err);

    if (!rc && !data_only)
        rc = put_counts(&d);
    free(d.other);
    *at_most = d.bytes;
    *bytes = d.at_most || d.bytes > INT64_MAX ? UNKNOWN : (int64_t)d.bytes;
    return rc;
}

static int put_inside(struct vmscm_buf *out, struct vmscm_brief *brief, const struct state *was,
    const struct state *is, struct vmscm_error *err)
{
    const struct vmscm_facts *before, *after;
    int rc;

    if (strcmp(was->key, is->key) == 0 || !was->any || !is->any)
        return 0;
    if ((rc = read_facts(&after, brief, is, err)) || (rc = read_facts(&before, brief, was, err)))
        return rc;
    return before && after && !before->failed && !after->failed
        ? vmscm_changes_put(out, before, after, err)
        : 0;
}

static int end_line(struct vmscm_brief *brief, struct vmscm_buf *line, int64_t bytes, uint64_t at_most,
    struct vmscm_error *err)
{
    char amount[VMSCM_STR_AMOUNT];
    int rc = 0;

    vmscm_str_amount(amount, bytes == UNKNOWN ? at_most : (uint64_t)bytes);
    if (bytes)
        rc = vmscm_changes_part(line, err, "%s%s changed", bytes == UNKNOWN ? "at most " : "", amount);
    if (!rc && !line->len)
        rc = vmscm_buf_puts(line, "nothing", err);
    if (!rc && !(brief->changes = vmscm_buf_steal(line)))
        rc = vmscm_error_nomem(err);
    return rc;
}

/* Of what can be had of it; what is not in the catalog is made, and told to be kept. */
static int get_line(struct vmscm_buf *line, int64_t *bytes, uint64_t *at_most, struct vmscm_brief *brief,
    struct vmscm_revision *rev, const struct state *was, const struct state *is, struct vmscm_error *err)
{
    static const char sql[] = "SELECT text, bytes FROM change WHERE oid = ?1 AND before = ?2 AND after = ?3";
    const char *const texts[] = {is->id, was->note, is->note};
    const bool named = (!is->any || *is->note) && (!was->any || *was->note);
    struct vmscm_revision *before = NULL;
    struct row row = {.change = true};
    bool found = named && find(&brief->find_change, brief, sql, texts, 3), counted = false;
    int rc = found ? vmscm_buf_puts(line, vmscm_db_text(brief->find_change, 0), err) : 0;

    if (found && sqlite3_column_type(brief->find_change, 1) == SQLITE_INTEGER) {
        *bytes = sqlite3_column_int64(brief->find_change, 1);
        counted = true;
    }
    sqlite3_reset(brief->find_change);
    if (rc || counted)
        return rc;
    if ((rc = vmscm_snapshot_open(&before, brief->repo, was->id, NULL, err)) ||
        (!found && (rc = put_inside(line, brief, was, is, err))) ||
        (rc = put_difference(line, bytes, at_most, before, rev, found, err)))
        goto out;
    if (named && !(found && *bytes == UNKNOWN)) {
        memcpy(row.key, is->id, sizeof row.key);
        memcpy(row.before, was->note, sizeof row.before);
        memcpy(row.after, is->note, sizeof row.after);
        row.bytes = *bytes;
        keep_row(brief, &row, vmscm_buf_str(line));
    }
out:
    vmscm_revision_free(before);
    return rc;
}

static int get_changes(struct vmscm_brief *brief, struct vmscm_revision *rev, const struct state *is,
    struct vmscm_error *err)
{
    struct vmscm_buf line = VMSCM_BUF_INIT;
    uint64_t at_most = 0;
    int64_t bytes;
    struct state was;
    int rc;

    if (!vmscm_revision_parent_count(rev))
        return 0;
    if (!(rc = look(&was, brief, vmscm_revision_parent(rev, 0), err)) &&
        !(rc = get_line(&line, &bytes, &at_most, brief, rev, &was, is, err)))
        rc = end_line(brief, &line, bytes, at_most, err);
    brief->last = was;
    vmscm_buf_release(&line);
    return forgive(rc, err);
}

int vmscm_brief_get(const char **inside, const char **changes, struct vmscm_brief *brief,
    struct vmscm_revision *rev, struct vmscm_error *err)
{
    struct vmscm_error why = VMSCM_ERROR_INIT; /* codes are looked at, and there may be no err */
    struct state state;
    int rc;

    free(brief->inside);
    free(brief->changes);
    brief->inside = brief->changes = NULL;
    if (!(rc = look(&state, brief, vmscm_revision_id(rev), &why)) &&
        !(inside && (rc = get_inside(brief, &state, &why))) && changes)
        rc = get_changes(brief, rev, &state, &why);
    if (inside)
        *inside = brief->inside;
    if (changes)
        *changes = brief->changes;
    return rc ? vmscm_error_copy(err, &why) : 0;
}
