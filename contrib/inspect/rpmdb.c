/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Packages of RPM, of each of the databases that it has had: SQLite's since 4.16, its own ndb, and
 * Berkeley DB's. libguestfs reads them, too, but with a librpm that looks where its own distribution has
 * it: Debian's finds none in a guest.
 */
#include "guest.h"
#include "guestdb.h"
#include "rpmbdb.h"
#include "rpmheader.h"
#include "rpmndb.h"

static int add_package(void *data, const unsigned char *bytes, size_t size)
{
    json_t *app = rpmheader_read(bytes, size);

    return !app || facts_add(data, app);
}

static int read_sqlite(guestfs_h *g, const char *path, json_t *apps)
{
    sqlite3 *db = guestdb_open(g, path);
    sqlite3_stmt *statement = NULL;
    int rc = db ? sqlite3_prepare_v2(db, "SELECT blob FROM Packages", -1, &statement, NULL) : SQLITE_DONE;
    int more = 1;

    while (statement && more && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
        const unsigned char *bytes = sqlite3_column_blob(statement, 0);
        more = !bytes || add_package(apps, bytes, (size_t)sqlite3_column_bytes(statement, 0));
    }
    sqlite3_finalize(statement);
    guestdb_close(db);
    return rc == SQLITE_DONE || !more ? 0 : -1;
}

static int read_mapped(guestfs_h *g, const char *path, json_t *apps,
    int (*read)(const unsigned char *bytes, size_t size,
        int (*each)(void *data, const unsigned char *item, size_t len), void *data))
{
    size_t size;
    const unsigned char *bytes = guestdb_map(g, path, &size);
    int rc = bytes ? read(bytes, size, add_package, apps) : 0;

    guestdb_unmap(bytes, size);
    return rc;
}

static int read_ndb(guestfs_h *g, const char *path, json_t *apps)
{
    return read_mapped(g, path, apps, rpmndb_each);
}

static int read_berkeley(guestfs_h *g, const char *path, json_t *apps)
{
    return read_mapped(g, path, apps, rpmbdb_each);
}

int rpmdb_read(guestfs_h *g, json_t *apps)
{
    /* What came later first: the other may have been left behind. */
    static const struct {
        const char *path;
        int (*read)(guestfs_h *g, const char *path, json_t *apps);
    } places[] = {{"/usr/lib/sysimage/rpm/rpmdb.sqlite", read_sqlite},
        {"/var/lib/rpm/rpmdb.sqlite", read_sqlite}, {"/usr/lib/sysimage/rpm/Packages.db", read_ndb},
        {"/var/lib/rpm/Packages.db", read_ndb}, {"/usr/lib/sysimage/rpm/Packages", read_berkeley},
        {"/var/lib/rpm/Packages", read_berkeley}};
    int rc = 0;

    for (size_t i = 0; i < sizeof places / sizeof places[0] && json_array_size(apps) == 0; i++)
        if (places[i].read(g, places[i].path, apps))
            rc = -1;
    return rc;
}
