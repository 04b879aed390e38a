/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The database of packages that rpm has beside SQLite since 4.14, "Packages.db" of its ndb, as SUSE's: a
 * table of slots, and blobs of whole blocks of 16 bytes. By rpm's lib/backend/ndb/rpmpkg.c, version 0,
 * always little-endian. Pure.
 */
#ifndef RPMNDB_H
#define RPMNDB_H

#include <stddef.h>

#define RPMNDB_ITEM_MAX ((size_t)16 << 20) /* of one package; the largest are of some 100 KiB */

/* Calls each() with every package, in the order of slots, until it returns false. The bytes live during
 * the call. 0: it is whole; -1: it is no such database, or not all of it could be read. */
int rpmndb_each(const unsigned char *bytes, size_t size,
    int (*each)(void *data, const unsigned char *item, size_t len), void *data);

#endif
