/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A guest whose disks are attached: what is read of it, within the appliance, and by which file.
 * Facts go into the objects of facts.h.
 */
#ifndef GUEST_H
#define GUEST_H

#include "facts.h"
#include <guestfs.h>

/* Frees a list of libguestfs, and its strings; NULL is fine. */
void guest_free_strings(char **list);

/* What main has attached. */
struct guest {
    guestfs_h *g;
    char **disks; /* their ids, in the order of /dev/sda and so on; NULL ends */
    char **filesystems; /* what guestfs_list_filesystems() gave, or NULL */
};

/* How a device is written: "ID", "ID:PARTITION", or as it is if it is on no disk itself; and a subvolume,
 * by the name that guest_mountable() gives, as its device with a slash and its path. The caller's. */
char *guest_device(const struct guest *guest, const char *device);
/* What libguestfs calls a root, what is mounted or a file system, as it takes it back: mountable.h. The
 * caller's. */
char *guest_mountable(const struct guest *guest, const char *mountable);

/* Files of what is mounted, followed within the appliance, where a link cannot lead out of the
 * guest; NULL if it is no regular file, larger than 1 MiB, or cannot be read. The lines are the
 * caller's (guest_free_strings). */
char **guest_lines(guestfs_h *g, const char *path);
/* The same as bytes, at most max, with a zero behind them. */
char *guest_bytes(guestfs_h *g, const char *path, size_t max, size_t *size);
/* When it was last written, seconds since 1970; 0: it is not there. */
int64_t guest_time(guestfs_h *g, const char *path);
/* The names that match, in order; NULL-ended, maybe NULL. The caller's (guest_free_strings). */
char **guest_glob(guestfs_h *g, const char *pattern);
/* What is behind the last slash; borrowed. */
const char *guest_base_name(const char *path);

/* storage.c: disks, partitions, file systems, volumes, into the document. */
void storage_read(const struct guest *guest, json_t *document);
/* system.c: an operating system by its root. */
json_t *system_read(const struct guest *guest, const char *root);
/* Its file systems, read-only; which ones, and what failed, into system. */
void system_mount(const struct guest *guest, const char *root, json_t *system);
/* files.c: the entries of a directory, or the one that is no directory, as JSON; or a file's bytes,
 * both to standard output. device, as guest_device() writes it, is the file system that path is in;
 * NULL: that of the first operating system. 0, or 1 and *why, the caller's. */
int files_list(const struct guest *guest, const char *path, const char *device, char **why);
int files_read(const struct guest *guest, const char *path, const char *device, char **why);
/* Mounts what these look into. */
int files_mount(const struct guest *guest, const char *device, char **why);
/* tree.c: all files, to standard output, and the sums of those that standard input names. */
int tree_tell(const struct guest *guest, const char *device, char **why);
/* What is in a system whose file systems are mounted, into system.
 * unix.c: what the usual files say. windows.c: what the registry says, after which something else
 * may be mounted. */
void unix_read(guestfs_h *g, json_t *system);
void windows_read(const struct guest *guest, const char *root, json_t *system);
/* logins.c: who was last here, and when it was up. */
void logins_read(guestfs_h *g, json_t *system);
/* network.c: how interfaces are configured. */
void network_read(guestfs_h *g, json_t *system);
/* boot.c: what is booted unless somebody chooses. */
void boot_read(guestfs_h *g, json_t *system);
/* packages.c: when packages came, and what is installed beside the system's. */
void packages_read(guestfs_h *g, json_t *system);
/* licenses.c: of Debian's packages, into a list of applications that has nothing else yet. */
void licenses_read_deb(guestfs_h *g, json_t *apps);
/* rpmdb.c, packages.c: packages of RPM and Alpine, into a list of applications. -1: not all of RPM's
 * could be read. */
int rpmdb_read(guestfs_h *g, json_t *apps);
void packages_read_apk(guestfs_h *g, json_t *apps);
/* marks.c: what runs it, and under which right: guest agents, subscriptions. */
void marks_read(guestfs_h *g, json_t *system);
/* oracle.c: the homes of Oracle's products, by the inventory that a Unix system has in its usual
 * place, or by that in a directory, into its applications. */
void oracle_read(guestfs_h *g, json_t *system);
void oracle_read_inventory(
    guestfs_h *g, const char *dir, char *(*find)(guestfs_h *g, const char *path), json_t *apps);
/* How a home is told as an application: its version is in its path, or in its name. It is left out
 * if it is there already. */
void oracle_add_home(
    json_t *apps, const char *label, const char *name, const char *home, const char *origin);

#endif
