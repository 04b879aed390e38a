/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A repository that is kept in a bucket, as it is seen here: a bare repository in the user's cache, whose
 * history follows the newest generation, and whose packs are but header, index and trailer; their records are
 * read from the bucket. All of it can be deleted at any time.
 *
 * Who changes it (sync.c, publish.c) holds the lock "locks/far" in it alone. Threading: one thread at a time,
 * but for reading records.
 */
#ifndef BUCKET_MIRROR_H
#define BUCKET_MIRROR_H

#include "bucket/blocks.h"
#include "format/generation.h"
#include "repo/handle.h"
#include "store/packlist.h"

struct vmscm_mirror {
    struct vmscm_s3 *s3;
    char *url, *dir;
    const struct vmscm_events *events;
    struct vmscm_blocks *blocks;
    struct vmscm_packsource source;
    struct vmscm_handle_far far;
    struct vmscm_repo *repo; /* which closes all of this when it is closed */

    /* What is known of the bucket: sync.c. */
    uint64_t number; /* the newest generation that was taken in; 0: none */
    uint64_t base;   /* the last one that is whole, up to that */
    uint64_t since;  /* bytes of those after it */
    uint8_t digest[VMSCM_GENERATION_DIGEST]; /* of the newest */
    struct vmscm_generation_state state;
    VMSCM_VEC(struct vmscm_packlist_name) pending; /* packs that are here whole, and about to be added */
    bool apart; /* gc's: has no packs that are condemned */
    uint64_t made; /* a generation that there is, as one's own was refused; a list may not have it yet */
    bool seen; /* in this process, that the bucket still has what was taken in */
};

/* Open it, made if need be, and bring its history up to date. *out belongs to its repository, with whose
 * closing it ends. VMSCM_ENOTFOUND: there is no bucket, or no repository in it. limit: bytes a second. */
int vmscm_mirror_open(struct vmscm_mirror **out, const char *url, const struct vmscm_events *events,
    uint64_t limit, struct vmscm_error *err);

/* Another one, of gc's own, without what is condemned. */
int vmscm_mirror_open_apart(struct vmscm_mirror **out, const char *url,
    const struct vmscm_events *events, struct vmscm_error *err);

/* Make a repository in a bucket. VMSCM_EEXIST: there is one already; VMSCM_EREFUSED: the bucket cannot hold
 * one. */
int vmscm_mirror_init(const char *url, const struct vmscm_events *events, struct vmscm_error *err);

/* The right to change what is here. *fd is the caller's to release. */
int vmscm_mirror_lock(int *fd, struct vmscm_mirror *m, struct vmscm_error *err);

/* A file or directory of it; *out is the caller's. */
int vmscm_mirror_path(char **out, const struct vmscm_mirror *m, const char *name, struct vmscm_error *err);

#endif
