/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The registry of a Windows guest. One hive is open at a time; it is read within the appliance: it
 * may be hostile.
 */
#ifndef REGISTRY_H
#define REGISTRY_H

#include "guest.h"

/* Opens a hive by its path; false: it is not there, or none. registry_close() ends it. */
int registry_open(guestfs_h *g, const char *path);
void registry_close(guestfs_h *g);

/* The node below `at` by its keys; 0 if there is none, or at is 0. */
int64_t registry_find(guestfs_h *g, int64_t at, const char *const *keys);
/* The same by one path, "A\B\C". */
int64_t registry_path(guestfs_h *g, int64_t at, const char *path);

/* A value of a node, which may be 0. The caller's; NULL if it is not there, or no text. */
char *registry_text(guestfs_h *g, int64_t node, const char *key);
/* Into list, of one or several texts. */
void registry_texts(guestfs_h *g, int64_t node, const char *key, json_t *list);
/* -1 if it is not there. */
int64_t registry_number(guestfs_h *g, int64_t node, const char *key);
/* The caller's; NULL if it is not there. */
unsigned char *registry_bytes(guestfs_h *g, int64_t node, const char *key, size_t *size);

/* Calls each() with every child of a node, its name, and data; of more than FACTS_LIST_MAX with the
 * first. */
void registry_each(guestfs_h *g, int64_t node,
    void (*each)(guestfs_h *g, int64_t child, const char *name, void *data), void *data);

/* Of 8 bytes, or a number, 100 ns since 1601: seconds since 1970. */
int64_t registry_filetime(const unsigned char *bytes);
int64_t registry_ticks(uint64_t ticks);
/* When a key of the hive that is open, by its path, or a value of it was last written, seconds since
 * 1970; 0: that cannot be read, or node is 0. */
int64_t registry_written(guestfs_h *g, const char *path, int64_t node);

/* A path of Windows, "C:\A" or "%SystemDrive%\A", as one of the mounted system; the caller's; NULL:
 * there is no such file. */
char *registry_file(guestfs_h *g, const char *path);

/* windows.c's, by what they read. */
/* programs.c: what is installed for all, by the hive SOFTWARE; for one user, by that user's hive.
 */
void programs_read(guestfs_h *g, int64_t software, json_t *apps, char **inventory);
void programs_read_user(guestfs_h *g, int64_t top, const char *user, json_t *apps);
/* accounts.c: local users and groups, by the hive SAM. */
void accounts_read(guestfs_h *g, int64_t top, json_t *system);
/* winpatch.c: updates, by the hive SOFTWARE. */
void winpatch_read(guestfs_h *g, int64_t software, json_t *system);
/* winnet.c: interfaces, by the current control set. */
void winnet_read(guestfs_h *g, int64_t control_set, json_t *system);
/* bcd.c: the default entry of the boot configuration data, which may be in another partition. */
void bcd_read(const struct guest *guest, const char *root, json_t *system);

#endif
