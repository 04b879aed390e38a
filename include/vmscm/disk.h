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
struct vmscm_disk_cache;

/*
 * What the disks that are opened with it share: decompressed data, verified, at most `bytes` of it
 * (0: 128 MiB), found again by any disk that holds the same; and threads that read ahead of who
 * reads in sequence (0: as many as there are cores, up to 8). Any thread may use it; it is to live
 * longer than its disks.
 */
VMSCM_API int vmscm_disk_cache_new(struct vmscm_disk_cache **out, uint64_t bytes, unsigned threads,
    struct vmscm_error *err);
VMSCM_API void vmscm_disk_cache_free(struct vmscm_disk_cache *cache); /* NULL is fine */

struct vmscm_disk_cache_stats {
    uint64_t bytes; /* held now */
    uint64_t max;   /* at most, between reads */
    uint64_t reads; /* records read from packs and decompressed; a record holds about 1 MiB */
    uint64_t hits;  /* times that one was there already */
};
VMSCM_API void vmscm_disk_cache_stats(struct vmscm_disk_cache_stats *stats,
    struct vmscm_disk_cache *cache);

/* Open disk `id` of a revision (NULL: its only disk; VMSCM_EUSAGE if it has several). */
VMSCM_API int vmscm_disk_open(struct vmscm_disk **out, struct vmscm_revision *rev, const char *id,
    struct vmscm_error *err);
/* The same, for reads of any size, in any order, by many threads; cache may be NULL. For as long as
 * the disk is open, gc leaves alone what it needs, though the revision be removed. The functions
 * below may be called by several threads at once; rev and its repository need not outlive this
 * call, but the repository's handle must outlive the disk. */
VMSCM_API int vmscm_disk_open_cached(struct vmscm_disk **out, struct vmscm_revision *rev,
    const char *id, struct vmscm_disk_cache *cache, struct vmscm_error *err);

VMSCM_API void vmscm_disk_close(struct vmscm_disk *disk); /* NULL is fine */

VMSCM_API uint64_t vmscm_disk_size(const struct vmscm_disk *disk); /* bytes */
VMSCM_API const char *vmscm_disk_id(const struct vmscm_disk *disk); /* borrowed */

/* Exactly len bytes at offset, verified by hash. VMSCM_EUSAGE: beyond the end; VMSCM_EDAMAGED:
 * the message names the revision, the disk and the chunk; other places can still be read. */
VMSCM_API int vmscm_disk_pread(struct vmscm_disk *disk, void *data, size_t len, uint64_t offset,
    struct vmscm_error *err);

struct vmscm_disk_place {
    uint64_t offset, len; /* bytes */
};

/* See to it that these places, some of which may be beyond its end, can be read soon: what a lazy repository
 * lacks of them comes from its remote, in few large requests and in this order; then, as long as its cache is
 * not three quarters full, they are read into that. For a disk with a cache. VMSCM_ECANCELED; others as the
 * remote's; of what is damaged, who reads it is told. */
VMSCM_API int vmscm_disk_fetch(struct vmscm_disk *disk, const struct vmscm_disk_place *places,
    size_t count, const struct vmscm_events *events, struct vmscm_error *err);

/* From now on, in a lazy repository, only reads of what is not in the trace are read ahead of: what is in it,
 * vmscm_trace_fetch brings, and no more than that. The trace is the caller's, and lives longer than the disk.
 * Any thread may call it at any time. */
struct vmscm_trace;
VMSCM_API void vmscm_disk_follow(struct vmscm_disk *disk, struct vmscm_trace *trace);

/* What is at offset: *zero is 1 if it reads as zeros, for *len bytes from there, at least one and up to
 * the end of the disk at most. Neighbours may be of the same kind. */
VMSCM_API int vmscm_disk_extent(struct vmscm_disk *disk, uint64_t offset, uint64_t *len, int *zero,
    struct vmscm_error *err);

struct vmscm_disk_partition {
    unsigned number; /* from 1, as Linux counts: logical ones from 5 */
    uint64_t offset, len; /* bytes; within the disk */
};

/* The partitions of its MBR or GPT into *out, the caller's (vmscm_free), *count of them in the order of their
 * numbers; none if it has no table. The container of logical partitions is not among them. VMSCM_EINPUT: the
 * table is malformed, and the message says why. Any thread. */
VMSCM_API int vmscm_disk_partitions(struct vmscm_disk_partition **out, size_t *count,
    struct vmscm_disk *disk, struct vmscm_error *err);

/* Write the disk to a file descriptor in a format (NULL or "raw": the plain bytes, holes by seeking
 * where fd is a regular file, zeros otherwise). Other formats are made in a temporary file first,
 * since they are not written in order. */
VMSCM_API int vmscm_disk_write(struct vmscm_disk *disk, int fd, const char *format,
    const struct vmscm_events *events, struct vmscm_error *err);

#ifdef __cplusplus
}
#endif
#endif
