/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The git directory of a repository: commits, trees and blobs. Everything written is fsynced
 * before the call returns (libgit2's GIT_OPT_ENABLE_FSYNC_GITDIR).
 *
 * Ids are 40 lower-case hexadecimal digits, NUL-terminated: char[41].
 * Threading: one thread at a time per struct vmscm_gitdb.
 */
#ifndef HISTORY_GITDB_H
#define HISTORY_GITDB_H

#include "base/buf.h"
#include <vmscm/revision.h>

#define VMSCM_GITDB_ID 41

struct vmscm_gitdb;

/* Make a bare git repository at path, with reflogs on. */
int vmscm_gitdb_init(const char *path, struct vmscm_error *err);

/* Open it; locks_dir is where "refs" (a flock file) lives, which every change of a ref holds. */
int vmscm_gitdb_open(struct vmscm_gitdb **out, const char *path, const char *locks_dir,
    struct vmscm_error *err);

/* Forget what was read. Garbage collection by another process takes objects that this one has seen,
 * or has open in a pack; who relies on one being there to stay takes the commit lock, then calls
 * this, then looks. Objects of libgit2 that are held stay good. */
int vmscm_gitdb_reload(struct vmscm_gitdb *db, struct vmscm_error *err);

void vmscm_gitdb_close(struct vmscm_gitdb *db);

struct vmscm_gitdb_file {
    const char *path; /* slash-separated, confined */
    const void *data;
    size_t len;
};

/* Write blobs, trees and a commit. No ref moves. parents: ids; may be none. */
int vmscm_gitdb_commit(char *id, struct vmscm_gitdb *db, const struct vmscm_gitdb_file *files,
    size_t file_count, const char *const *parents, size_t parent_count,
    const struct vmscm_signature *author, const struct vmscm_signature *committer,
    const char *message, struct vmscm_error *err);

/* A commit read into memory. */
struct vmscm_gitdb_info {
    char id[VMSCM_GITDB_ID];
    char tree[VMSCM_GITDB_ID];
    char *message; /* without trailing newlines */
    struct vmscm_signature author; /* strings owned by this struct */
    struct vmscm_signature committer;
    char (*parents)[VMSCM_GITDB_ID];
    size_t parent_count;
};

/* VMSCM_ENOTFOUND: no such object; VMSCM_EDAMAGED: not a readable commit. */
int vmscm_gitdb_read_commit(struct vmscm_gitdb_info *out, struct vmscm_gitdb *db, const char *id,
    struct vmscm_error *err);
void vmscm_gitdb_info_release(struct vmscm_gitdb_info *info);

/* Contents of a file in a commit's tree, appended to buf. VMSCM_ENOTFOUND: no such path;
 * VMSCM_EDAMAGED: larger than max, or unreadable. */
int vmscm_gitdb_read_file(struct vmscm_buf *buf, struct vmscm_gitdb *db, const char *id,
    const char *path, size_t max, struct vmscm_error *err);

/* The id of the tree at a path in a commit's. VMSCM_ENOTFOUND. */
int vmscm_gitdb_find_tree(char *tree, struct vmscm_gitdb *db, const char *id, const char *path,
    struct vmscm_error *err);

/* Every blob below directory dir ("" for all) of a commit's tree, path relative to dir, in git's
 * order. Paths that are not confined are VMSCM_EDAMAGED. Non-zero from each ends the walk and is
 * returned. */
int vmscm_gitdb_walk_files(struct vmscm_gitdb *db, const char *id, const char *dir,
    int (*each)(void *data, const char *path, const char *blob, uint64_t size), void *data,
    struct vmscm_error *err);

#endif
