/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Configurations of boot loaders: which entry is booted unless somebody chooses another, into
 * "boot_loader", "default_boot" and "default_kernel" of a system. Pure: only what it is given is
 * read.
 */
#ifndef BOOTCONF_H
#define BOOTCONF_H

#include "facts.h"

/* lines: of a file, NULL-ended, changed in place. True if the entry was found. */
/* grub.cfg of GRUB 2; saved: what its environment block has as saved_entry, or "". */
int bootconf_grub(json_t *system, char **lines, const char *saved);
int bootconf_grub_legacy(json_t *system, char **lines); /* menu.lst */
int bootconf_extlinux(json_t *system, char **lines); /* extlinux.conf, syslinux.cfg */
int bootconf_ini(json_t *system, char **lines); /* boot.ini of Windows before Vista */
/* An entry of the Boot Loader Specification,
 * https://uapi-group.org/specifications/specs/boot_loader_specification/ */
int bootconf_entry(json_t *system, const char *loader, char **lines);

/* "NAME=VALUE" or "NAME VALUE" among lines: the value, borrowed, without quotes; the last of
 * several; NULL. */
const char *bootconf_value(char **lines, const char *name);

#endif
