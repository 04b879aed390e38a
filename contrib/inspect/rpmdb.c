/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Packages of RPM, of the database that it has since 4.16, in SQLite. libguestfs reads older ones,
 * too, but with a librpm that looks where its own distribution has it: Debian's finds none in a
 * guest.
 */
#include "guest.h"
#include "rpmheader.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DATABASE_MAX ((int64_t)1 << 30)
#define HEADER_MAX (16 << 20) /* bytes of a package; the largest are of some 100 KiB */

/* A copy that SQLite can open, with what was written to it last and is in a file beside it. */
static int copy(guestfs_h *g, const char *from, const char *to)
{
    if (guestfs_is_file_opts(g, from, GUESTFS_IS_FILE_OPTS_FOLLOWSYMLINKS, 1, -1) != 1)
        return -1;
    int64_t size = guestfs_filesize(g, from);
    return size < 0 || size > DATABASE_MAX ? -1 : guestfs_download(g, from, to);
}

/* It may be anybody's: no code in it is run, and nothing of it is trusted. */
static sqlite3 *open_database(const char *path)
{
    sqlite3 *db = NULL;

    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
        sqlite3_close(db);
        return NULL;
    }
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, HEADER_MAX);
    return db;
}

static void read_packages(sqlite3 *db, json_t *apps)
{
    sqlite3_stmt *statement = NULL;

    if (sqlite3_prepare_v2(db, "SELECT blob FROM Packages", -1, &statement, NULL) != SQLITE_OK)
        return;
    while (sqlite3_step(statement) == SQLITE_ROW) {
        const unsigned char *bytes = sqlite3_column_blob(statement, 0);
        json_t *app =
            bytes ? rpmheader_read(bytes, (size_t)sqlite3_column_bytes(statement, 0)) : NULL;
        if (app && !facts_add(apps, app))
            break;
    }
    sqlite3_finalize(statement);
}

void rpmdb_read(guestfs_h *g, json_t *apps)
{
    static const char *const places[] = {
        "/usr/lib/sysimage/rpm/rpmdb.sqlite", "/var/lib/rpm/rpmdb.sqlite"};
    const char *dir = getenv("XDG_RUNTIME_DIR");
    char *path = NULL, *log = NULL, *from = NULL;

    if (!dir || asprintf(&path, "%s/rpmdb.sqlite", dir) < 0)
        return;
    for (size_t i = 0; i < 2 && json_array_size(apps) == 0; i++) {
        if (asprintf(&log, "%s-wal", path) < 0 || asprintf(&from, "%s-wal", places[i]) < 0)
            break;
        if (copy(g, places[i], path) == 0) {
            copy(g, from, log);
            sqlite3 *db = open_database(path);
            if (db)
                read_packages(db, apps);
            sqlite3_close(db);
        }
        remove(path);
        remove(log);
        free(log);
        free(from);
        log = from = NULL;
    }
    free(log);
    free(from);
    free(path);
}
