/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "catalog/db.h"
#include "inspect/vercmp.h"

#include <string.h>

#define VERSION 4
#define TEXT(n) #n
#define NUMBER(n) TEXT(n)

static const char schema[] =
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;"
    "CREATE TABLE revision(id INTEGER PRIMARY KEY, oid TEXT UNIQUE, content TEXT, time INTEGER,"
    " author TEXT, message TEXT);"
    "CREATE INDEX revision_content ON revision(content);"
    "CREATE TABLE parent(child TEXT, parent TEXT, PRIMARY KEY(child, parent)) WITHOUT ROWID;"
    "CREATE TABLE machine(name TEXT PRIMARY KEY, oid TEXT) WITHOUT ROWID;"
    "CREATE TABLE tag(machine TEXT, name TEXT, oid TEXT, PRIMARY KEY(machine, name)) WITHOUT ROWID;"
    "CREATE INDEX tag_oid ON tag(oid);"
    "CREATE TABLE lineage(oid TEXT, machine TEXT, PRIMARY KEY(oid, machine)) WITHOUT ROWID;"
    "CREATE TABLE note(kind TEXT, subject TEXT, blob TEXT, PRIMARY KEY(kind, subject)) WITHOUT ROWID;"
    "CREATE VIRTUAL TABLE revision_words USING fts5(text, tokenize = 'unicode61');"
    "CREATE VIRTUAL TABLE comment_words USING fts5(subject UNINDEXED, text, tokenize = 'unicode61');"
    "CREATE TABLE content(key TEXT PRIMARY KEY, status TEXT, summary TEXT) WITHOUT ROWID;"
    "CREATE TABLE system(id INTEGER PRIMARY KEY, content TEXT, type TEXT, distro TEXT, product TEXT,"
    " version TEXT, arch TEXT, hostname TEXT, sp INTEGER, build TEXT, edition TEXT);"
    "CREATE INDEX system_content ON system(content);"
    "CREATE VIRTUAL TABLE system_words USING fts5(text, tokenize = 'unicode61');"
    "CREATE TABLE application(id INTEGER PRIMARY KEY, name TEXT, version TEXT, publisher TEXT,"
    " path TEXT, UNIQUE(name, version, publisher, path));"
    "CREATE VIRTUAL TABLE application_words USING fts5(text, content = '', tokenize = 'unicode61');"
    "CREATE TABLE holding(application INTEGER, system INTEGER, PRIMARY KEY(application, system))"
    " WITHOUT ROWID;"
    "CREATE INDEX holding_system ON holding(system);"
    "CREATE TABLE item(kind TEXT, value TEXT, system INTEGER, PRIMARY KEY(kind, value, system))"
    " WITHOUT ROWID;"
    "CREATE INDEX item_system ON item(system);"
    "CREATE TABLE filesystem(content TEXT, type TEXT, label TEXT);"
    "CREATE INDEX filesystem_content ON filesystem(content);"
    "CREATE TABLE inside(note TEXT PRIMARY KEY, text TEXT) WITHOUT ROWID;"
    "CREATE TABLE change(oid TEXT PRIMARY KEY, before TEXT, after TEXT, text TEXT, bytes INTEGER)"
    " WITHOUT ROWID;"
    "PRAGMA user_version = " NUMBER(VERSION) ";";

int vmscm_db_error(struct vmscm_db *db, struct vmscm_error *err)
{
    int code = db->sqlite ? sqlite3_errcode(db->sqlite) & 0xff : SQLITE_NOMEM;
    const char *text = db->sqlite ? sqlite3_errmsg(db->sqlite) : "";

    switch (code) {
    case SQLITE_NOMEM:
        return vmscm_error_nomem(err);
    case SQLITE_BUSY:
        return vmscm_error_set(err, VMSCM_EBUSY, "catalog.db: %s", text);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR: /* no such table, for instance: what is there is not ours */
    case SQLITE_SCHEMA:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
        return vmscm_error_set(err, VMSCM_EDAMAGED, "catalog.db: %s", text);
    default:
        return vmscm_error_set(err, VMSCM_EIO, "catalog.db: %s", text);
    }
}

int vmscm_db_exec(struct vmscm_db *db, const char *sql, struct vmscm_error *err)
{
    return sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL) == SQLITE_OK ? 0
                                                                        : vmscm_db_error(db, err);
}

int vmscm_db_prepare(sqlite3_stmt **out, struct vmscm_db *db, const char *sql,
    struct vmscm_error *err)
{
    return sqlite3_prepare_v2(db->sqlite, sql, -1, out, NULL) == SQLITE_OK
        ? 0
        : vmscm_db_error(db, err);
}

int vmscm_db_step(bool *row, struct vmscm_db *db, sqlite3_stmt *statement, struct vmscm_error *err)
{
    int code = sqlite3_step(statement);

    *row = code == SQLITE_ROW;
    return code == SQLITE_ROW || code == SQLITE_DONE ? 0 : vmscm_db_error(db, err);
}

int vmscm_db_run(struct vmscm_db *db, sqlite3_stmt *statement, struct vmscm_error *err)
{
    bool row;
    int rc = vmscm_db_step(&row, db, statement, err);

    sqlite3_reset(statement);
    return rc;
}

const char *vmscm_db_text(sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);

    return text ? text : "";
}

static const char *argument(sqlite3_value *value)
{
    const char *text = (const char *)sqlite3_value_text(value);

    return text ? text : "";
}

/* Who asks without an epoch does not think of one. */
static void compare(sqlite3_context *context, int count, sqlite3_value **values)
{
    const char *version = argument(values[0]), *asked = argument(values[1]);
    size_t digits = strspn(version, "0123456789");

    (void)count;
    if (version[digits] == ':' && !strchr(asked, ':'))
        version += digits + 1;
    sqlite3_result_int(context, vmscm_vercmp(version, asked));
}

static void within(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    sqlite3_result_int(context, vmscm_vercmp_within(argument(values[0]), argument(values[1])));
}

/* Its version, which may be none of ours, and whether nothing is in it. */
static int look(int *version, bool *empty, struct vmscm_db *db, struct vmscm_error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row;
    int rc = vmscm_db_prepare(&statement, db,
        "SELECT user_version, (SELECT count(*) FROM sqlite_master) FROM pragma_user_version", err);

    if (!rc && !(rc = vmscm_db_step(&row, db, statement, err))) {
        *version = sqlite3_column_int(statement, 0);
        *empty = sqlite3_column_int(statement, 1) == 0;
    }
    sqlite3_finalize(statement);
    return rc;
}

static int set_up(struct vmscm_db *db, int wait_ms, struct vmscm_error *err)
{
    const int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY;
    int version = 0, rc;
    bool empty = false;

    sqlite3_busy_timeout(db->sqlite, wait_ms);
    sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    if (sqlite3_create_function(db->sqlite, "vercmp", 2, flags, NULL, compare, NULL, NULL) ||
        sqlite3_create_function(db->sqlite, "within", 2, flags, NULL, within, NULL, NULL))
        return vmscm_db_error(db, err);
    if ((rc = vmscm_db_exec(db, "PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY", err)) ||
        (rc = look(&version, &empty, db, err)) || version == VERSION)
        return rc;
    /* Another process may be making it now. */
    if ((rc = vmscm_db_exec(db, "BEGIN IMMEDIATE", err)) || (rc = look(&version, &empty, db, err)))
        return rc;
    if (empty && version == 0)
        rc = vmscm_db_exec(db, schema, err);
    else if (version != VERSION)
        rc = vmscm_error_set(err, VMSCM_EDAMAGED, "catalog.db: of another version");
    return rc ? rc : vmscm_db_exec(db, "COMMIT", err);
}

int vmscm_db_open(struct vmscm_db *db, const char *path, int wait_ms, struct vmscm_error *err)
{
    int code = sqlite3_open_v2(path ? path : ":memory:", &db->sqlite,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW, NULL);
    int rc = code == SQLITE_OK ? set_up(db, wait_ms, err) : vmscm_db_error(db, err);

    if (rc)
        vmscm_db_close(db);
    return rc;
}

void vmscm_db_close(struct vmscm_db *db)
{
    sqlite3_close_v2(db->sqlite);
    db->sqlite = NULL;
}
