/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading a stored disk without checking it out. */
#ifndef VMSCM_DISK_H
#define VMSCM_DISK_H

#include <stddef.h>
#include <stdint.h>
#include <vmscm/error.h>
#include <vmscm/events.h>
#include <vmscm/revision.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vmscm_disk;

/* Open disk `id` of a revision (NULL: its only disk; VMSCM_EUSAGE if it has several). */
VMSCM_API int vmscm_disk_open(struct vmscm_disk **out, struct vmscm_revision *rev, const char *id,
    struct vmscm_error *err);
VMSCM_API void vmscm_disk_close(struct vmscm_disk *disk); /* NULL is fine */

VMSCM_API uint64_t vmscm_disk_size(const struct vmscm_disk *disk); /* bytes */

/* Exactly len bytes at offset, verified by hash. Several threads may read one disk at once. */
VMSCM_API int vmscm_disk_pread(struct vmscm_disk *disk, void *data, size_t len, uint64_t offset,
    struct vmscm_error *err);

/* What is at offset: *zero is 1 if it reads as zeros, for *len bytes from there. */
VMSCM_API int vmscm_disk_extent(struct vmscm_disk *disk, uint64_t offset, uint64_t *len, int *zero,
    struct vmscm_error *err);

/* Write the disk to a file descriptor in a format (NULL or "raw": the plain bytes, holes by seeking
 * where fd is a regular file, zeros otherwise). Other formats are made in a temporary file first,
 * since they are not written in order. */
VMSCM_API int vmscm_disk_write(struct vmscm_disk *disk, int fd, const char *format,
    const struct vmscm_events *events, struct vmscm_error *err);

#ifdef __cplusplus
}
#endif
#endif
