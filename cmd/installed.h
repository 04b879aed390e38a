/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files that are installed with this program. */
#ifndef INSTALLED_H
#define INSTALLED_H

/* The path of one: beside this program, as in a build tree, or in `dir`, which is relative to where this
 * program is. The caller's; NULL if it is in neither place. */
char *installed_find(const char *name, const char *dir);

#endif
