/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Proxmox VE's configuration of a machine (qm.conf(5) of pve-docs), NUMBER.conf: lines KEY: VALUE, up to the
 * first section of a snapshot; a value of several parts is separated by commas. CD-ROM drives and disks that
 * are not attached are left out. Pure.
 */
#ifndef MACHINE_PROXMOX_H
#define MACHINE_PROXMOX_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <vmscm/machine.h>

#define VMSCM_PROXMOX_MAX (1 << 20) /* bytes */

struct vmscm_proxmox {
    struct vmscm_machine *machine; /* its disks' size and format are not filled in */
    char **volumes; /* each disk's volume without its storage and folders: parallel to the disks */
    char *nvram;    /* the same of the EFI disk, or NULL */
};

/* Whether this is the beginning of one. text: NUL-terminated. */
bool vmscm_proxmox_match(const char *text);

/* VMSCM_EINPUT: numbers out of range, too much of something, a disk without a volume. */
int vmscm_proxmox_parse(struct vmscm_proxmox *out, const void *text, size_t len,
    struct vmscm_error *err);
void vmscm_proxmox_release(struct vmscm_proxmox *proxmox);

#endif
