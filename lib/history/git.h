/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of this room share: the inside of a struct vmscm_gitdb, libgit2's errors as ours,
 * and making objects durable. Not for other rooms.
 */
#ifndef HISTORY_GIT_H
#define HISTORY_GIT_H

#include "history/gitdb.h"
#include <git2.h>
#include <stdbool.h>

/* Bytes of one object that is read into memory, far above what vmscm writes. */
#define VMSCM_GIT_COMMIT_MAX ((size_t)16 << 20)
#define VMSCM_GIT_BLOB_MAX ((size_t)1 << 30)

struct vmscm_gitdb {
    git_repository *repo;
    git_odb *odb;
    char *path;      /* of the git directory, absolute */
    char *refs_lock; /* the flock file that a change of a ref holds */
};

/* Start libgit2 (counted; each success wants a vmscm_git_stop) and set its switches. */
int vmscm_git_start(struct vmscm_error *err);
void vmscm_git_stop(void);

/* "WHAT: libgit2's last error". rc is what libgit2 returned; fallback is the code where rc and the
 * error's class don't tell. Returns the code. */
int vmscm_git_error(struct vmscm_error *err, int rc, int fallback, const char *fmt, ...)
    VMSCM_PRINTF(4, 5);

/* 40 hex digits to an oid; VMSCM_EUSAGE. */
int vmscm_git_oid(git_oid *out, const char *id, struct vmscm_error *err);

/* A signature of git's own type; VMSCM_EUSAGE. Free with git_signature_free. */
int vmscm_git_signature(git_signature **out, const struct vmscm_signature *who,
    struct vmscm_error *err);

/* A copy of one that libgit2 read, its strings the caller's; VMSCM_ENOMEM also where libgit2 had no memory
 * for one of them, which it does not tell. */
int vmscm_git_signature_copy(struct vmscm_signature *out, const git_signature *from,
    struct vmscm_error *err);

/* A message as it is stored: valid UTF-8, "\n" ends lines, one newline at the end; "" stays "".
 * VMSCM_EUSAGE. *out is the caller's. */
int vmscm_git_message(char **out, const char *message, struct vmscm_error *err);

/* Objects that something new refers to, so that their names can be made to last. libgit2 fsyncs an
 * object and its directory when it writes one, but neither the directory that it made for it, nor
 * one that another process just wrote into. */
struct vmscm_git_objects {
    bool fan[256];
};
void vmscm_git_objects_add(struct vmscm_git_objects *set, const git_oid *oid);
int vmscm_git_objects_sync(const struct vmscm_git_objects *set, const struct vmscm_gitdb *db,
    struct vmscm_error *err);

/* The size of an object that must be there, of this type, and of at most max bytes; else
 * VMSCM_EDAMAGED. */
int vmscm_git_expect(size_t *size, git_odb *odb, const git_oid *oid, git_object_t type, size_t max,
    struct vmscm_error *err);

#endif
