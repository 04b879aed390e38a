/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Xen's own configurations, which xl and xm read: KEY = VALUE, of strings, numbers and lists of them
 * (xl.cfg(5), xl-disk-configuration(5), xl-network-configuration(5)). CD-ROM drives are left out. Pure.
 */
#ifndef MACHINE_XL_H
#define MACHINE_XL_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <vmscm/machine.h>

#define VMSCM_XL_MAX (1u << 20) /* bytes */

struct vmscm_xl {
    struct vmscm_machine *machine; /* its disks' size is not filled in, their format is */
    char **sources;                /* each disk's file or device, without its folders */
};

/* Whether this is the beginning of one. text: NUL-terminated. */
bool vmscm_xl_match(const char *text);

/* VMSCM_EINPUT: malformed; VMSCM_EUNSUPPORTED: a disk of an unknown format. */
int vmscm_xl_parse(struct vmscm_xl *out, const void *text, size_t len, struct vmscm_error *err);
void vmscm_xl_release(struct vmscm_xl *xl);

#endif
