/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * OVF descriptors (DMTF DSP0243, versions 0.9 to 2): to machines, and back.
 *
 * What OVF itself has no word for is written as VMware's ExtraConfig, keys that begin with "vmscm.",
 * which other programs keep or pass over; reading takes them only where they do not contradict the rest.
 */
#ifndef MACHINE_OVF_H
#define MACHINE_OVF_H

#include "base/buf.h"
#include "base/vec.h"
#include <stdbool.h>
#include <vmscm/machine.h>

#define VMSCM_OVF_MAX (4 << 20) /* bytes of a descriptor */
#define VMSCM_OVF_FILES_MAX 4096

/* A file that the descriptor names. */
struct vmscm_ovf_file {
    char *id;
    char *href; /* as it is written; nothing is known of it but that it is printable */
    uint64_t size; /* 0: not said */
    bool gzip;
    uint64_t chunk; /* bytes of each part but the last, href.000000000 and so on; 0: not split */
};

/* Where a machine's disk comes from. */
struct vmscm_ovf_disk {
    size_t file;        /* index; SIZE_MAX: none, the disk is empty */
    const char *format; /* as an image format is called; NULL: not said. Static */
    uint64_t capacity;  /* bytes; 0: not said */
};

struct vmscm_ovf_system {
    char *id;
    char *os_id, *os_type; /* the operating system, as CIM and as VMware call it; may be NULL */
    struct vmscm_machine *machine; /* its disks' size and format are not filled in */
    struct vmscm_ovf_disk *disks;  /* parallel to its disks */
};

struct vmscm_ovf {
    VMSCM_VEC(struct vmscm_ovf_file) files;
    VMSCM_VEC(struct vmscm_ovf_system) systems;
};

/* VMSCM_EINPUT: not a descriptor, or one that contradicts itself; VMSCM_EUNSUPPORTED: delta disks;
 * VMSCM_EREFUSED: a document type. */
int vmscm_ovf_parse(struct vmscm_ovf **out, const void *xml, size_t len, struct vmscm_error *err);
void vmscm_ovf_free(struct vmscm_ovf *ovf); /* NULL is fine */

#endif
