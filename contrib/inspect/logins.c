/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who was last here, and when the system was up: wtmp and lastlog, of both only a bounded part; and the
 * database that has taken lastlog's place, liblastlog2(3). */
#include "guest.h"
#include "guestdb.h"
#include "utmp.h"

#include <stdlib.h>
#include <string.h>

#define WTMP_MAX ((int64_t)1024 * UTMP_SIZE * 2) /* of its end, bytes */
#define LASTLOG_MAX ((int64_t)1 << 20) /* of its beginning: user ids below 3591 */
#define SINGLE_MAX 200 /* records behind that */

/* glibc's records have this form there. */
static int is_known_form(const json_t *system)
{
    const char *arch = facts_get(system, "arch");

    return strcmp(arch, "x86_64") == 0 || strcmp(arch, "i386") == 0;
}

static int64_t size_of(guestfs_h *g, const char *path)
{
    if (guestfs_is_file_opts(g, path, GUESTFS_IS_FILE_OPTS_FOLLOWSYMLINKS, 1, -1) != 1)
        return -1;
    return guestfs_filesize(g, path);
}

static void read_wtmp(guestfs_h *g, const char *path, json_t *system)
{
    int64_t size = size_of(g, path);
    size_t had = 0;

    if (size < UTMP_SIZE)
        return;
    size -= size % UTMP_SIZE;
    int64_t from = size > WTMP_MAX ? size - WTMP_MAX : 0;
    char *bytes = guestfs_pread(g, path, (int)(size - from), from, &had);
    if (bytes)
        utmp_read(system, bytes, had);
    free(bytes);
}

static void read_lastlog(guestfs_h *g, json_t *system)
{
    static const char path[] = "/var/log/lastlog";
    json_t *users = json_object_get(system, "users");
    int64_t size = size_of(g, path), first = size < LASTLOG_MAX ? size : LASTLOG_MAX;
    size_t had = 0, got, singles = 0;

    char *bytes = first > 0 ? guestfs_pread(g, path, (int)first, 0, &had) : NULL;
    for (size_t i = 0; bytes && i < json_array_size(users); i++) {
        json_t *user = json_array_get(users, i);
        uint64_t id = strtoull(facts_get(user, "id"), NULL, 10), at = id * LASTLOG_SIZE;
        if (id > UINT32_MAX || at + LASTLOG_SIZE > (uint64_t)size)
            continue;
        if (at + LASTLOG_SIZE <= had) {
            utmp_put_login(user, utmp_lastlog(bytes + at));
        } else if (singles++ < SINGLE_MAX) {
            char *one = guestfs_pread(g, path, LASTLOG_SIZE, (int64_t)at, &got);
            if (one && got == LASTLOG_SIZE)
                utmp_put_login(user, utmp_lastlog(one));
            free(one);
        }
    }
    free(bytes);
}

/* Names are compared as facts have them. */
static void read_lastlog2(guestfs_h *g, json_t *system)
{
    json_t *users = json_object_get(system, "users"), *last = facts_object();
    sqlite3 *db = guestdb_open(g, "/var/lib/lastlog/lastlog2.db");
    sqlite3_stmt *statement = NULL;

    if (db)
        sqlite3_prepare_v2(db, "SELECT Name, Time FROM Lastlog2 WHERE typeof(Name) = 'text'", -1, &statement,
            NULL);
    for (size_t i = 0; statement && i < FACTS_LIST_MAX && sqlite3_step(statement) == SQLITE_ROW; i++) {
        const char *said = (const char *)sqlite3_column_text(statement, 0);
        char *name = facts_clean(said ? said : "");
        facts_number(last, name, sqlite3_column_int64(statement, 1));
        free(name);
    }
    for (size_t i = 0; i < json_array_size(users); i++) {
        json_t *user = json_array_get(users, i);
        utmp_put_login(user, json_integer_value(json_object_get(last, facts_get(user, "name"))));
    }
    sqlite3_finalize(statement);
    guestdb_close(db);
    json_decref(last);
}

void logins_read(guestfs_h *g, json_t *system)
{
    read_lastlog2(g, system);
    if (!is_known_form(system))
        return;
    read_wtmp(g, "/var/log/wtmp.1", system);
    read_wtmp(g, "/var/log/wtmp", system);
    read_lastlog(g, system);
}
