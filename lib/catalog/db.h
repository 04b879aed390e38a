/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The file catalog.db: an SQLite database that is made from history, and may be gone, old or damaged at any
 * time. Whoever finds that it is damaged (VMSCM_EDAMAGED) removes it and begins anew.
 * Threading: one thread at a time.
 */
#ifndef CATALOG_DB_H
#define CATALOG_DB_H

#include "base/error.h"
#include <sqlite3.h>
#include <stdbool.h>

struct vmscm_db {
    sqlite3 *sqlite;
};

/* path NULL: in memory. Tables are made where there are none; those of another version are VMSCM_EDAMAGED.
 * wait_ms: how long others who write are waited for, now and later. */
int vmscm_db_open(struct vmscm_db *db, const char *path, int wait_ms, struct vmscm_error *err);
void vmscm_db_close(struct vmscm_db *db);

/* One or several statements without parameters. */
int vmscm_db_exec(struct vmscm_db *db, const char *sql, struct vmscm_error *err);

/* Free with sqlite3_finalize. */
int vmscm_db_prepare(sqlite3_stmt **out, struct vmscm_db *db, const char *sql,
    struct vmscm_error *err);
/* *row: there is one. */
int vmscm_db_step(bool *row, struct vmscm_db *db, sqlite3_stmt *statement, struct vmscm_error *err);
/* A statement that gives no rows: done, and ready to be bound again. */
int vmscm_db_run(struct vmscm_db *db, sqlite3_stmt *statement, struct vmscm_error *err);

/* Text of a column, "" for NULL. Valid till the next step. */
const char *vmscm_db_text(sqlite3_stmt *statement, int column);

/* The error that SQLite has now. */
int vmscm_db_error(struct vmscm_db *db, struct vmscm_error *err);

#endif
