/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a struct vmscm_repo holds, for the files of this room, and where things are in a repository:
 * vmscm-format-repository(5).
 */
#ifndef REPO_HANDLE_H
#define REPO_HANDLE_H

#include "history/gitconfig.h"
#include "history/gitdb.h"
#include "store/elsewhere.h"
#include "store/store.h"
#include <stdbool.h>
#include <vmscm/events.h>
#include <vmscm/repo.h>
#include <vmscm/revision.h>

#define VMSCM_HANDLE_VERSION 2 /* of the repository's layout: with what extensions.* say */
#define VMSCM_HANDLE_LAZY "extensions.lazy"
#define VMSCM_HANDLE_HEADS "refs/heads/"
#define VMSCM_HANDLE_TAGS "refs/tags/"
#define VMSCM_HANDLE_TRACKED "refs/remotes/"         /* REMOTE/MACHINE, as they were there */
#define VMSCM_HANDLE_TRACKED_TAGS "refs/remote-tags/" /* REMOTE/MACHINE/TAG */
#define VMSCM_HANDLE_MACHINE_FILE "machine.json"
#define VMSCM_HANDLE_CONFIG_DIR "config"
#define VMSCM_HANDLE_DISK_DIR "disks"
#define VMSCM_HANDLE_CONFIG_FILE_MAX (64u << 20) /* bytes of one recorded configuration file */

#define VMSCM_HANDLE_CACHE_OF "core.cacheof" /* setting: what a repository is but the local part of */

/* A repository that is kept elsewhere, and of which the directory has the history, and of packs what is in
 * them. It changes by being published there, and in no other way. */
struct vmscm_handle_far {
    const char *url; /* for messages */
    const struct vmscm_packsource *packs;
    /* The store is about to be opened: see that the directory has all packs. */
    int (*prepare)(void *data, struct vmscm_error *err);
    void (*close)(void *data);
    void *data;
    bool writable; /* who has it open is publishing */
};

struct vmscm_repo {
    char *path;
    struct vmscm_handle_far *far; /* NULL: the directory is all of it */
    struct vmscm_gitdb *git;
    struct vmscm_gitconfig *config;
    char *promisor;                 /* the remote that has what is lacking here; NULL: nothing is */
    struct vmscm_elsewhere elsewhere; /* how that is reached, if there is one */
    void (*detach)(void *data);     /* ends elsewhere.data; may be NULL */
    struct vmscm_store *store;      /* opened on first use: most commands need only history */
    struct vmscm_names *names;      /* held, or NULL: looked up whenever asked for */
    struct vmscm_pruned *pruned;    /* likewise */
    struct vmscm_signature author;  /* set by vmscm_revision_set_author; name NULL: not set */
    int64_t when;                   /* likewise */
    int when_offset;
    int has_when;
};

/* As vmscm_repo_open. far, the repository's from then on if it succeeds: see above; else such a one is
 * VMSCM_EREFUSED. */
int vmscm_repo_open_far(struct vmscm_repo **out, const char *path, struct vmscm_handle_far *far,
    struct vmscm_error *err);

/* VMSCM_EREFUSED if it is kept elsewhere, and not changed or looked through by itself. */
int vmscm_handle_check_near(const struct vmscm_repo *repo, struct vmscm_error *err);

/* What a checkout names it by. Borrowed. */
const char *vmscm_handle_name(const struct vmscm_repo *repo);

/* Whether the configuration is of a repository that this vmscm knows; path is for messages. */
int vmscm_handle_check_version(struct vmscm_gitconfig *config, const char *path,
    struct vmscm_error *err);

/* Which remote has what is lacking, by the configuration, into repo->promisor. */
int vmscm_handle_read_promisor(struct vmscm_repo *repo, struct vmscm_error *err);

/* Say that a repository, made just now, lacks what the remote of that name has. */
int vmscm_handle_set_promisor(struct vmscm_repo *repo, const char *remote, struct vmscm_error *err);

/* Reach what it lacks by bring from now on; detach ends that. The repository's name for it is set. */
int vmscm_handle_attach(struct vmscm_repo *repo, const struct vmscm_elsewhere *elsewhere,
    void (*detach)(void *data), struct vmscm_error *err);

/* The store, opened if need be; borrowed. */
int vmscm_handle_store(struct vmscm_store **out, struct vmscm_repo *repo, struct vmscm_error *err);

/* Who acts, now. Release both with vmscm_ident_release. committer may be NULL. */
int vmscm_handle_who(struct vmscm_signature *author, struct vmscm_signature *committer,
    struct vmscm_repo *repo, struct vmscm_error *err);

/* "refs/heads/NAME". *ref is the caller's. */
int vmscm_handle_head(char **ref, const char *machine, struct vmscm_error *err);

/* "refs/tags/MACHINE/TAG"; tag NULL: "refs/tags/MACHINE/". */
int vmscm_handle_tag(char **ref, const char *machine, const char *tag, struct vmscm_error *err);

/* How many threads to use: asked for, or core.jobs, or the cores there are, up to 12. */
int vmscm_handle_jobs(unsigned *jobs, struct vmscm_repo *repo, unsigned asked,
    struct vmscm_error *err);

/* The lock that says a revision is about to be made visible ("locks/commit"), shared. What is in
 * history from then on stays until it is released. */
int vmscm_handle_commit_lock(int *fd, struct vmscm_repo *repo, struct vmscm_error *err);
/* The same exclusively: nobody records anything meanwhile. Not for long. */
int vmscm_handle_commit_lock_alone(int *fd, struct vmscm_repo *repo, struct vmscm_error *err);

/* events may be NULL, and so may its members. */
void vmscm_handle_warn(const struct vmscm_events *events, const char *fmt, ...) VMSCM_PRINTF(2, 3);
void vmscm_handle_note(const struct vmscm_events *events, const char *fmt, ...) VMSCM_PRINTF(2, 3);
int vmscm_handle_canceled(const struct vmscm_events *events, struct vmscm_error *err);

#endif
