/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a mount shows of revisions: their files, looked up when they are asked for and then kept.
 *
 * Threading: any number of threads; reading files takes no lock.
 */
#ifndef REVFS_H
#define REVFS_H

#include <stdint.h>
#include <vmscm/disk.h>
#include <vmscm/revision.h>

struct revfs;

#define REVFS_PARTITIONS "partitions" /* their directory */

/* One file of a revision: a disk, a partition of one, or one of its configuration files. */
struct revfs_file {
    char *path;    /* relative to the revision's directory */
    uint64_t size;
    uint64_t offset;    /* in the disk */
    const char *disk;   /* its id; NULL: a configuration file */
    const char *config; /* its path below config/; NULL: a disk */
};

/* A revision; it lives as long as the revfs. */
struct revfs_snap {
    struct revfs_snap *next;
    struct vmscm_revision *rev;
    int64_t time;
    struct revfs_file *files;
    size_t count;
    /* revfs_partitions makes these; before that nobody looks at them. */
    struct revfs_file *parts;
    size_t part_count;
    int parted;
};

/* repo lives longer, and is used by nobody else. cache_bytes: 0: the library's. */
int revfs_new(struct revfs **out, struct vmscm_repo *repo, uint64_t cache_bytes,
    struct vmscm_error *err);
void revfs_free(struct revfs *fs);

int revfs_snap(struct revfs_snap **out, struct revfs *fs, const char *spec,
    struct vmscm_error *err);

/* See what partitions its disks have: REVFS_PARTITIONS/vda1.raw, or x0p1.raw of a disk x0, whose id ends
 * with a digit. A disk whose table is malformed has none, and warn gets a message why, once. */
int revfs_partitions(struct revfs *fs, struct revfs_snap *snap, void (*warn)(const char *message),
    struct vmscm_error *err);

/* The file at a path; NULL: none. *is_dir: files are below it. Those of REVFS_PARTITIONS are there after
 * revfs_partitions. */
const struct revfs_file *revfs_find(const struct revfs_snap *snap, const char *path, int *is_dir);

struct revfs_handle;

int revfs_open(struct revfs_handle **out, struct revfs *fs, struct revfs_snap *snap,
    const struct revfs_file *file, struct vmscm_error *err);
void revfs_close(struct revfs *fs, struct revfs_handle *handle);
/* At most len bytes; *got is less at the end. */
int revfs_read(struct revfs_handle *handle, void *data, size_t len, uint64_t offset, size_t *got,
    struct vmscm_error *err);
/* What is at offset, as vmscm_disk_extent. */
int revfs_extent(struct revfs_handle *handle, uint64_t offset, uint64_t *len, int *zero,
    struct vmscm_error *err);
uint64_t revfs_size(const struct revfs_handle *handle);

/* Under the lock that guards the repository: walk(data, repo, err). */
int revfs_walk(struct revfs *fs, int (*walk)(void *data, struct vmscm_repo *, struct vmscm_error *),
    void *data, struct vmscm_error *err);

#endif
