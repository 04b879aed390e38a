/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "guestdb.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ITEM_MAX (16 << 20) /* bytes of one value in SQLite */

static int copy(guestfs_h *g, const char *from, const char *to)
{
    if (guestfs_is_file_opts(g, from, GUESTFS_IS_FILE_OPTS_FOLLOWSYMLINKS, 1, -1) != 1)
        return -1;
    int64_t size = guestfs_filesize(g, from);
    return size <= 0 || size > GUESTDB_MAX ? -1 : guestfs_download(g, from, to);
}

/* A path for it in the directory that goes when this process ends; the caller's. NULL: there is none. */
static char *place(const char *end)
{
    const char *dir = getenv("XDG_RUNTIME_DIR");
    char *path = NULL;

    return dir && asprintf(&path, "%s/guest.db%s", dir, end) >= 0 ? path : NULL;
}

const unsigned char *guestdb_map(guestfs_h *g, const char *path, size_t *size)
{
    char *to = place("");
    int fd = to && copy(g, path, to) == 0 ? open(to, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    void *bytes = MAP_FAILED;
    struct stat st;

    /* What is copied is what is there then, not what was said to be. */
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size <= GUESTDB_MAX) {
        *size = (size_t)st.st_size;
        bytes = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fd, 0);
    }
    if (fd >= 0)
        close(fd);
    if (to)
        remove(to);
    free(to);
    return bytes == MAP_FAILED ? NULL : bytes;
}

void guestdb_unmap(const unsigned char *bytes, size_t size)
{
    if (bytes)
        munmap((void *)bytes, size);
}

static sqlite3 *open_copy(const char *path)
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
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, ITEM_MAX);
    return db;
}

sqlite3 *guestdb_open(guestfs_h *g, const char *path)
{
    char *to = place(""), *log = place("-wal"), *from = NULL;
    sqlite3 *db = NULL;

    if (to && log && asprintf(&from, "%s-wal", path) >= 0 && copy(g, path, to) == 0) {
        copy(g, from, log);
        db = open_copy(to);
    }
    if (!db)
        guestdb_close(NULL);
    free(from);
    free(log);
    free(to);
    return db;
}

void guestdb_close(sqlite3 *db)
{
    static const char *const ends[] = {"", "-wal", "-shm"};

    sqlite3_close(db);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        char *path = place(ends[i]);
        if (path)
            remove(path);
        free(path);
    }
}
