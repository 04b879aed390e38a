/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * VirtualBox's machines: NAME.vbox, whose schema is not documented on purpose; what is taken from it is what
 * versions 4 to 7 write. Of snapshots the machine's present state is taken, with the images that it is based
 * on; optical and floppy drives are left out. Pure.
 */
#ifndef MACHINE_VBOX_H
#define MACHINE_VBOX_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vmscm/machine.h>

#define VMSCM_VBOX_MAX (8u << 20) /* bytes */
#define VMSCM_VBOX_DEPTH_MAX 64   /* images on top of one another */

/* An image, and what it is on top of. */
struct vmscm_vbox_image {
    char *location; /* as written: relative to the folder, or absolute */
    char *format;   /* "VDI", "VMDK", ...; may be NULL */
};

/* All that a disk consists of: the first is on top. */
struct vmscm_vbox_disk {
    struct vmscm_vbox_image *images;
    size_t count;
};

struct vmscm_vbox {
    struct vmscm_machine *machine; /* its disks' size and format are not filled in */
    struct vmscm_vbox_disk *disks; /* parallel to the machine's */
    char *nvram;                   /* its file, as written; NULL: none */
};

/* VMSCM_EINPUT: no such document, an image that is not in its registry, too much of something;
 * VMSCM_EREFUSED: a document type; VMSCM_EUNSUPPORTED: an encrypted machine. */
int vmscm_vbox_parse(struct vmscm_vbox *out, const void *xml, size_t len, struct vmscm_error *err);
void vmscm_vbox_release(struct vmscm_vbox *vbox);

#endif
