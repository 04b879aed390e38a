/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whole reads and writes, durable renames. Messages name the path that is passed along.
 * All descriptors are opened close-on-exec. EINTR is retried everywhere; a failed fsync never is.
 */
#ifndef SYS_FILE_H
#define SYS_FILE_H

#include "base/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* open(2) with O_CLOEXEC; *fd is the caller's. */
int vmscm_file_open(int *fd, const char *path, int flags, mode_t mode, struct vmscm_error *err);

/* Exactly len bytes at offset; a short file is VMSCM_EDAMAGED "PATH: ends early". */
int vmscm_file_pread(int fd, void *data, size_t len, uint64_t offset, const char *path,
    struct vmscm_error *err);

/* As many of len bytes at offset as the file has: *got tells. */
int vmscm_file_pread_some(int fd, void *data, size_t len, uint64_t offset, size_t *got,
    const char *path, struct vmscm_error *err);

int vmscm_file_write(int fd, const void *data, size_t len, const char *path,
    struct vmscm_error *err);
int vmscm_file_pwrite(int fd, const void *data, size_t len, uint64_t offset, const char *path,
    struct vmscm_error *err);

/* The whole of a regular file of at most max bytes, appended to buf. A longer one is
 * VMSCM_EINPUT; a missing one VMSCM_ENOTFOUND. */
int vmscm_file_read(struct vmscm_buf *buf, const char *path, size_t max, struct vmscm_error *err);

int vmscm_file_fsync(int fd, const char *path, struct vmscm_error *err);

/* Closes *fd and sets it to -1; close's own error is reported. */
int vmscm_file_close(int *fd, const char *path, struct vmscm_error *err);

/* Make an empty file where there is none: VMSCM_EEXIST if there is. */
int vmscm_file_make(const char *path, struct vmscm_error *err);

/* fsync of a file that another program wrote. */
int vmscm_file_sync(const char *path, struct vmscm_error *err);

/* fsync of a directory, so that names made or removed in it last. */
int vmscm_file_sync_dir(const char *dir, struct vmscm_error *err);

/* Rename that fails with VMSCM_EEXIST rather than replace (renameat2, link+unlink where the file
 * system lacks it). The caller syncs the directory. */
int vmscm_file_rename_new(const char *from, const char *to, struct vmscm_error *err);

/* Replace or create path with data, atomically and durably: a temporary file beside it, fsync,
 * rename, fsync of the directory. Temporary files of processes that died over the same are removed. */
int vmscm_file_replace(const char *path, const void *data, size_t len, mode_t mode,
    struct vmscm_error *err);

/* A new directory beside path, to be filled and renamed to it. *tmp, its name, and *lock, which is to be
 * closed after that, are the caller's. */
int vmscm_file_mkdir_beside(int *lock, char **tmp, const char *path, struct vmscm_error *err);

/* Remove what processes that died over path left beside it. */
void vmscm_file_sweep(const char *path);

/* mkdir -p, durable. Existing directories are fine. */
int vmscm_file_mkdirs(const char *path, struct vmscm_error *err);

/* True if path exists, whatever it is; a dangling symlink counts. */
bool vmscm_file_exists(const char *path);

/* An absolute path with symlinks resolved; *out is the caller's. */
int vmscm_file_realpath(char **out, const char *path, struct vmscm_error *err);

/* Removes a file, or a directory and all in it, never following a symlink. Missing is fine. */
int vmscm_file_remove_tree(const char *path, struct vmscm_error *err);

#endif
