/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Databases that a guest has: a copy of one is looked into outside the appliance, and may be hostile. */
#ifndef GUESTDB_H
#define GUESTDB_H

#include "guest.h"

#include <sqlite3.h>

#define GUESTDB_MAX ((int64_t)1 << 30) /* bytes of a file */

/* A copy, mapped; NULL: it is not there, is empty or larger than that. guestdb_unmap() ends it. */
const unsigned char *guestdb_map(guestfs_h *g, const char *path, size_t *size);
void guestdb_unmap(const unsigned char *bytes, size_t size);

/* One of SQLite, of which no code is run, with what was written to it last and is in a file beside it.
 * NULL: it is not there, or none. guestdb_close() ends it; one is open at a time. */
sqlite3 *guestdb_open(guestfs_h *g, const char *path);
void guestdb_close(sqlite3 *db);

#endif
