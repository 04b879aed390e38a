/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Facts about a guest as JSON: vmscm-format-facts(5). What a guest says is bounded, and made UTF-8.
 * Running out of memory ends the process.
 */
#ifndef FACTS_H
#define FACTS_H

#include <guestfs.h>
#include <jansson.h>
#include <stdint.h>

#define FACTS_TEXT_MAX 1024  /* bytes of one string */
#define FACTS_LIST_MAX 20000 /* items of one list */

/* The caller's: at most FACTS_TEXT_MAX bytes of s, and U+FFFD for what is not UTF-8 or zero. */
char *facts_clean(const char *s);

/* Nothing is put for NULL and "". */
void facts_text(json_t *object, const char *key, const char *value);
/* The same for a string that is free()d. */
void facts_own(json_t *object, const char *key, char *value);
void facts_number(json_t *object, const char *key, int64_t value);
/* value is taken over; an empty list is left out. */
void facts_put(json_t *object, const char *key, json_t *value);
/* Takes value over; false, and nothing done, if the list is full. */
int facts_add(json_t *list, json_t *value);
int facts_add_text(json_t *list, const char *value);

json_t *facts_object(void);
json_t *facts_list(void);

/* Frees a list of libguestfs, and its strings; NULL is fine. */
void facts_free_strings(char **list);

/* What main has attached. */
struct guest {
    guestfs_h *g;
    char **disks; /* their ids, in the order of /dev/sda and so on; NULL ends */
};

/* How a device is written: "ID", "ID:PARTITION", or as it is if it is on no disk itself. The caller's. */
char *facts_device(const struct guest *guest, const char *device);

/* storage.c: disks, partitions, file systems, volumes, into the document. */
void storage_read(const struct guest *guest, json_t *document);
/* system.c: an operating system by its root. */
json_t *system_read(const struct guest *guest, const char *root);
/* Its file systems, read-only; which ones, and what failed, into system. */
void system_mount(const struct guest *guest, const char *root, json_t *system);
/* files.c: the entries of a directory, or the one that is no directory, as JSON; or a file's bytes, both to
 * standard output. device, as facts_device() writes it, is the file system that path is in; NULL: that of
 * the first operating system. 0, or 1 and *why, the caller's. */
int files_list(const struct guest *guest, const char *path, const char *device, char **why);
int files_read(const struct guest *guest, const char *path, const char *device, char **why);
/* unix.c, windows.c: what is in a system whose file systems are mounted. */
void unix_read(guestfs_h *g, json_t *system);
void windows_read(guestfs_h *g, const char *root, json_t *system);

#endif
