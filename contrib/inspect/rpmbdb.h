/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The hash databases of Berkeley DB in which rpm kept its packages until 4.15, "Packages": what each
 * record's value is. By the layout of pages in Berkeley DB's dbinc/db_page.h, versions 7 to 10 of the
 * hash, in either order of bytes. Neither encrypted ones nor those with checksums, which rpm never made.
 * Pure.
 */
#ifndef RPMBDB_H
#define RPMBDB_H

#include <stddef.h>

#define RPMBDB_ITEM_MAX ((size_t)16 << 20) /* of one value; the largest are of some 100 KiB */

/* Calls each() with every value, in the order of the file's pages, until it returns false. The bytes
 * live during the call. 0: it is whole; -1: it is no such database, or not all of it could be read. */
int rpmbdb_each(const unsigned char *bytes, size_t size,
    int (*each)(void *data, const unsigned char *item, size_t len), void *data);

#endif
