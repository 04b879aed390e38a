/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Subvolumes of btrfs as libguestfs names them, "btrfsvol:DEVICE/SUBVOLUME". The device there may have the
 * kernel's name, which is another disk's in some starts, while what it is given back is taken for its own:
 * libguestfs 1.48.6 translates only names that are a device as a whole. Pure.
 */
#ifndef MOUNTABLE_H
#define MOUNTABLE_H

/* What to call it by: with libguestfs's own name of the device, by the list that guestfs_list_filesystems()
 * gives, where a file system's subvolumes are behind its device; NULL: there is none. What is no subvolume,
 * or of no device there, stays as it is. The caller's; NULL: there is no memory. */
char *mountable_own(const char *mountable, char *const *filesystems);

/* Of what that gave: the device, the caller's, and in *subvolume what is behind it, borrowed; NULL, and no
 * device, if it is no subvolume. */
char *mountable_device(const char *mountable, char *const *filesystems, const char **subvolume);

#endif
