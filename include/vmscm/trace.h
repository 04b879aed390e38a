/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Boot traces: which places of its disks a machine reads when it starts, in order. Kept in history for the
 * content of the disks, as what inspections find is, so that every revision with the same disks has it, and
 * that it travels with history. Later starts read ahead by it: vmscm_trace_fetch.
 *
 * Places are told to 4 KiB, at most 1048576 of them; the form is in vmscm-format-repository(5).
 */
#ifndef VMSCM_TRACE_H
#define VMSCM_TRACE_H

#include <stdint.h>
#include <vmscm/disk.h>
#include <vmscm/revision.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vmscm_trace;

/* An empty one, to be filled. */
VMSCM_API int vmscm_trace_new(struct vmscm_trace **out, struct vmscm_error *err);
VMSCM_API void vmscm_trace_free(struct vmscm_trace *trace); /* NULL is fine */

/* Note that len bytes at offset of a disk are read. Returns 1 if that is new; what is beyond what a trace
 * can hold is left out. Any thread may call it at any time. */
VMSCM_API int vmscm_trace_add(struct vmscm_trace *trace, const char *disk, uint64_t offset,
    uint64_t len);
/* Whether (1) the place at offset is in it. Likewise. */
VMSCM_API int vmscm_trace_has(struct vmscm_trace *trace, const char *disk, uint64_t offset);

/* A trace as text, one line, into *text, the caller's (vmscm_free). VMSCM_ENOTFOUND: it is empty. */
VMSCM_API int vmscm_trace_text(char **text, struct vmscm_trace *trace, struct vmscm_error *err);

/* Keep such a text for the disks of a revision. VMSCM_EINPUT: it is none; VMSCM_EUNSUPPORTED: of a newer
 * form; VMSCM_ENOTFOUND: the revision has no disks; VMSCM_EREFUSED: the repository is not written to.
 * Thread safety: as the repository's. */
VMSCM_API int vmscm_trace_record(struct vmscm_revision *rev, const char *text,
    struct vmscm_error *err);

/* The one that was recorded last. VMSCM_ENOTFOUND: there is none. Thread safety: as the repository's. */
VMSCM_API int vmscm_trace_read(struct vmscm_trace **out, struct vmscm_revision *rev,
    struct vmscm_error *err);

/* Fetch what a trace has of a disk, as vmscm_disk_fetch does. */
VMSCM_API int vmscm_trace_fetch(struct vmscm_trace *trace, struct vmscm_disk *disk,
    const struct vmscm_events *events, struct vmscm_error *err);

#ifdef __cplusplus
}
#endif
#endif
