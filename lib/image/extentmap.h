/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where a disk's bytes are: runs of guest address space, in order and without gaps, 16 bytes each.
 * Adjacent runs that continue one another are one. Pure; no I/O.
 */
#ifndef IMAGE_EXTENTMAP_H
#define IMAGE_EXTENTMAP_H

#include "base/error.h"
#include "base/vec.h"
#include <stdbool.h>
#include <stdint.h>

enum vmscm_extentmap_kind {
    VMSCM_EXTENT_ZERO,     /* reads as zeros */
    VMSCM_EXTENT_INDIRECT, /* only the format's driver can read it, e.g. compressed */
    VMSCM_EXTENT_FILE,     /* plain bytes in a file; past the file's end they are zeros */
    VMSCM_EXTENT_BELOW,    /* what the image below has there: only until that is filled in */
};

#define VMSCM_EXTENTMAP_FILE_MAX 255                /* number of the last file */
#define VMSCM_EXTENTMAP_RUNS_MAX (2u * 1024 * 1024) /* 32 MiB of them */

struct vmscm_extent {
    uint64_t start;
    uint64_t length;
    enum vmscm_extentmap_kind kind;
    unsigned file;   /* FILE: which one */
    uint64_t offset; /* FILE: of the run's first byte there */
};

struct vmscm_extentmap_run {
    uint64_t start;
    uint64_t where; /* kind, file and offset, packed */
};

/* Zero-initialised is empty. */
struct vmscm_extentmap {
    VMSCM_VEC(struct vmscm_extentmap_run) runs;
    uint64_t end; /* how far the runs reach */
};

/* Append what follows the last run. The extent's file and offset matter for FILE only; one whose
 * numbers are out of the packed form's range becomes INDIRECT. VMSCM_EINPUT: not the next byte,
 * empty, past `size`; VMSCM_EUNSUPPORTED: more than VMSCM_EXTENTMAP_RUNS_MAX runs. */
int vmscm_extentmap_add(struct vmscm_extentmap *map, const struct vmscm_extent *extent,
    uint64_t size, struct vmscm_error *err);

/* What is at offset, which is below map->end, up to the end of its run. */
void vmscm_extentmap_find(const struct vmscm_extentmap *map, uint64_t offset,
    struct vmscm_extent *out);

/* What is seen of an image of size bytes on top of another (NULL: there is none), which is zeros behind its
 * end: *out, which is empty, has no BELOW. Errors as of vmscm_extentmap_add. */
int vmscm_extentmap_over(struct vmscm_extentmap *out, const struct vmscm_extentmap *top,
    const struct vmscm_extentmap *below, uint64_t size, struct vmscm_error *err);

/* True if any run is of this kind. */
bool vmscm_extentmap_has(const struct vmscm_extentmap *map, enum vmscm_extentmap_kind kind);

void vmscm_extentmap_release(struct vmscm_extentmap *map);

#endif
