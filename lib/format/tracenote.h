/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A boot trace: which places of its disks a machine reads when it starts, in order; one line of text, which
 * is part of a note in history, vmscm-format-repository(5). Pure, thread-safe.
 */
#ifndef FORMAT_TRACENOTE_H
#define FORMAT_TRACENOTE_H

#include "base/buf.h"
#include "base/vec.h"
#include <stdint.h>

#define VMSCM_TRACENOTE_UNIT_LOG2 12
#define VMSCM_TRACENOTE_UNIT (1u << VMSCM_TRACENOTE_UNIT_LOG2) /* bytes of guest address space */
#define VMSCM_TRACENOTE_UNITS_MAX (1u << 20) /* 4 GiB: what reads more is no boot */
#define VMSCM_TRACENOTE_FIRST_MAX (UINT64_C(1) << 50) /* of the largest disk there can be */
#define VMSCM_TRACENOTE_DISKS_MAX 64u
#define VMSCM_TRACENOTE_DISK 64u /* bytes of a disk's id */
#define VMSCM_TRACENOTE_TIME_MAX INT64_C(253402300799) /* the end of the year 9999 */
#define VMSCM_TRACENOTE_LINE_MAX (2u << 20)

struct vmscm_tracenote_place {
    uint32_t disk; /* index */
    uint32_t count;
    uint64_t first; /* unit */
};

struct vmscm_tracenote {
    int64_t time; /* seconds since 1970: when it was recorded */
    VMSCM_VEC(char *) disks; /* ids */
    VMSCM_VEC(struct vmscm_tracenote_place) places;
    uint32_t units; /* of all places */
    uint32_t length; /* of the line, at most */
};

void vmscm_tracenote_release(struct vmscm_tracenote *note);

/* The index of a disk, which is added if need be. VMSCM_EINPUT: an id that cannot be written down, or too
 * many disks. */
int vmscm_tracenote_disk(uint32_t *index, struct vmscm_tracenote *note, const char *id,
    struct vmscm_error *err);
/* Append units; those that follow the last place's become part of it. VMSCM_EINPUT: too many, or more than a
 * line may have, or beyond the end of any disk. */
int vmscm_tracenote_add(struct vmscm_tracenote *note, uint32_t disk, uint64_t first, uint32_t count,
    struct vmscm_error *err);

/* Append the line to buf, without its end. */
int vmscm_tracenote_encode(struct vmscm_buf *buf, const struct vmscm_tracenote *note,
    struct vmscm_error *err);
/* From len bytes without a line's end; version 1, with units of 64 KiB, is turned into ours.
 * VMSCM_EUNSUPPORTED: of a newer form; VMSCM_EINPUT: none. */
int vmscm_tracenote_decode(struct vmscm_tracenote *note, const char *line, size_t len,
    struct vmscm_error *err);

#endif
