/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * DiskDescriptor.xml, which Parallels, OpenVZ and Virtuozzo have beside a disk's images
 * (docs/interop/prl-xml.txt of QEMU). It is of one disk, and says nothing of a machine. Pure.
 */
#ifndef MACHINE_PLOOP_H
#define MACHINE_PLOOP_H

#include "base/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vmscm/machine.h>

#define VMSCM_PLOOP_MAX (1u << 20) /* bytes */
#define VMSCM_PLOOP_DEPTH_MAX 64

struct vmscm_ploop_image {
    char *file; /* as written */
    bool plain; /* raw, not Parallels' expandable format */
};

struct vmscm_ploop {
    uint64_t size; /* bytes */
    /* What the disk's present state consists of: the first is on top of the others. */
    struct vmscm_ploop_image *images;
    size_t count;
    char *as, *is; /* see machine/hint.h; NULL: none */
};

/* VMSCM_EINPUT: no such document, or one that contradicts itself; VMSCM_EREFUSED: a document type;
 * VMSCM_EUNSUPPORTED: a disk of several parts, with padding, encrypted, or of other sectors. */
int vmscm_ploop_parse(struct vmscm_ploop *out, const void *xml, size_t len, struct vmscm_error *err);
void vmscm_ploop_release(struct vmscm_ploop *ploop);

/* The machine that is taken for one with so many of them. */
int vmscm_ploop_machine(struct vmscm_machine **out, size_t disks, struct vmscm_error *err);

/* The descriptor of an expandable image FILE of so many bytes, whole sectors, of a revision; as and is may be
 * NULL. */
int vmscm_ploop_encode(struct vmscm_buf *out, const char *file, uint64_t size, const char *revision,
    const char *as, const char *is, struct vmscm_error *err);

#endif
