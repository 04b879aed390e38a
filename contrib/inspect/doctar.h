/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The copyright files of Debian's packages, from a tar archive of /usr/share/doc that is read as it comes. */
#ifndef DOCTAR_H
#define DOCTAR_H

#include "facts.h"

#define DOCTAR_FILE_MAX ((size_t)512 << 10) /* bytes of a copyright file; a larger one is passed over */
#define DOCTAR_MAX ((size_t)128 << 20)      /* bytes of an archive that are read: some thousand packages */
#define DOCTAR_PACKAGES_MAX 20000

/* Into licenses, an object, as strings under names of packages; into links, the names of those that have
 * another's file or directory. What is damaged ends it. */
void doctar_read(int fd, json_t *licenses, json_t *links);

/* Of a package, by its own file or that of another that it has; NULL: not known. Borrowed. */
const char *doctar_find(const json_t *licenses, const json_t *links, const char *package);

#endif
