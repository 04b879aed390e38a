/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Debian's copyright files in the machine-readable form,
 * https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/. Pure. */
#ifndef COPYRIGHT_H
#define COPYRIGHT_H

#include <stddef.h>

#define COPYRIGHT_LICENSE_MAX 1000 /* bytes of an expression */

/* The licences of all files, as an expression of SPDX's; what has no identifier there is a LicenseRef-deb-...
 * with its name. The caller's. NULL: the text is in no such form, does not say it clearly, or it would be too
 * long. */
char *copyright_license(const char *text);

#endif
