/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Other repositories: which there are, and bringing machines there and back. What they say to each other
 * is vmscm-format-remote(5).
 *
 * A URL is a path, file:///PATH, ssh://[USER@]HOST[:PORT]/PATH or [USER@]HOST:PATH. One with a password in
 * it is refused, and is neither stored nor repeated in a message.
 *
 * What a remote has is remembered below its name: machine "web" of remote "origin" is "origin/web" as a
 * revision, unless a machine of this repository has that name.
 *
 * Nothing that comes from another repository is seen before all of it is there and was verified; what an
 * interrupted transfer brought whole is used by the next. One thread at a time per repository.
 */
#ifndef VMSCM_REMOTE_H
#define VMSCM_REMOTE_H

#include <stddef.h>
#include <stdint.h>
#include <vmscm/error.h>
#include <vmscm/events.h>
#include <vmscm/gc.h>
#include <vmscm/repo.h>
#include <vmscm/revision.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Name a repository elsewhere. It is not looked at. VMSCM_EEXIST; VMSCM_EUSAGE: a name or a URL that can
 * be none; VMSCM_EREFUSED: a URL with a password. */
VMSCM_API int vmscm_remote_add(struct vmscm_repo *repo, const char *name, const char *url,
    struct vmscm_error *err);

/* each(data, name, url) for every remote, sorted by name; non-zero ends the walk and is returned. */
VMSCM_API int vmscm_remote_list(struct vmscm_repo *repo,
    int (*each)(void *data, const char *name, const char *url), void *data,
    struct vmscm_error *err);

/* *url is the caller's. VMSCM_ENOTFOUND. */
VMSCM_API int vmscm_remote_url(char **url, struct vmscm_repo *repo, const char *name,
    struct vmscm_error *err);

/* VMSCM_ENOTFOUND, and errors as vmscm_remote_add. */
VMSCM_API int vmscm_remote_set_url(struct vmscm_repo *repo, const char *name, const char *url,
    struct vmscm_error *err);

/* With all that is remembered of it. VMSCM_ENOTFOUND, VMSCM_EEXIST. A rename that was interrupted is
 * completed by doing it again. */
VMSCM_API int vmscm_remote_rename(struct vmscm_repo *repo, const char *from, const char *to,
    struct vmscm_error *err);
VMSCM_API int vmscm_remote_remove(struct vmscm_repo *repo, const char *name,
    struct vmscm_error *err);

/* What is remembered of the machines of remotes, as vmscm_revision_machines; names are
 * "REMOTE/MACHINE". */
VMSCM_API int vmscm_remote_machines(struct vmscm_repo *repo, const char *pattern,
    int (*each)(void *data, const struct vmscm_machine_entry *entry), void *data,
    struct vmscm_error *err);

/* A ref of a remote, as it is there now. */
struct vmscm_remote_ref {
    const char *machine;
    const char *tag; /* NULL: the machine itself */
    const char *id;  /* the revision's */
};

/* Ask a remote what it has; remote is its name, or a URL. Errors: VMSCM_EIO and VMSCM_ETOOL: it cannot be
 * reached; VMSCM_ENOTFOUND: no such remote, or no repository there; VMSCM_EUNSUPPORTED: of another
 * version; VMSCM_EINPUT: what answers there is no vmscm. */
VMSCM_API int vmscm_remote_show(struct vmscm_repo *repo, const char *remote,
    int (*each)(void *data, const struct vmscm_remote_ref *ref), void *data,
    struct vmscm_error *err);

/* What a transfer is to do. Zero-initialise. */
struct vmscm_remote_options {
    const char *remote; /* its name, or a URL; NULL: "origin", or the only one there is */
    /* Machines by name or pattern (as vmscm_revision_machines), tags as MACHINE:TAG; "+" before one
     * allows it what `force` allows all. None: fetch, all machines; push and pull, those that are on
     * both sides. */
    const char *const *names;
    size_t name_count;
    int all;     /* push: every machine */
    int tags;    /* the machines' tags, too */
    int prune;   /* let go of what is not on the side that gives any more; push: with names or all, and
                  * only of what is as it is remembered */
    int remove;  /* push: let the remote remove what is named */
    int force;   /* also where something is lost by it: what is not in the new history */
    int dry_run; /* only tell */
    int atomic;  /* push: all or nothing */
    uint64_t limit; /* bytes a second; 0: none */
    int lazy;   /* clone: take only history; data comes from there when it is needed */
    int mirror; /* clone: all follows the remote, here and whenever it is fetched */
};

enum vmscm_remote_change {
    VMSCM_REMOTE_SAME,    /* nothing to do */
    VMSCM_REMOTE_NEW,
    VMSCM_REMOTE_FORWARD,
    VMSCM_REMOTE_FORCED,
    VMSCM_REMOTE_GONE,    /* removed */
    VMSCM_REMOTE_REFUSED, /* see why */
};

/* What became of one name. */
struct vmscm_remote_item {
    const char *machine;
    const char *tag;    /* NULL: the machine itself */
    const char *before; /* 40 hex digits; NULL: there was none */
    const char *after;  /* likewise */
    enum vmscm_remote_change change;
    int local; /* 1: the machine or tag of this repository, not what is remembered of the remote */
    const struct vmscm_error *why; /* NULL, or why it was refused or, a tag of ours, left alone */
};

struct vmscm_remote_result {
    uint64_t sent;        /* bytes; to and from a bucket, all that HTTP takes */
    uint64_t received;
    uint64_t round_trips; /* waits for an answer of the other side; of a bucket, of what speaks to it here */
    uint64_t requests;    /* to a bucket, several at a time; 0: it is none */
    uint64_t stored;      /* bytes of packs that came */
    uint64_t resumed;     /* packs that an interrupted transfer had brought */
    uint64_t refused;     /* items; comments that could not be merged are one more */
    uint64_t comments;    /* 1: comments, or notes of inspections, came or went */
    double seconds;
};

/*
 * Bring machines and tags to a remote. Comments and notes of inspections go with them, and are merged
 * there. each(data, item), if not NULL, is called for every name at the end; non-zero from it is returned
 * then.
 *
 * Errors: VMSCM_ECONFLICT: some item was refused since the remote has what is not here, or has changed
 * meanwhile; what was done is done, unless atomic. As if refused count comments that could not be merged,
 * with the error that says why. VMSCM_EREFUSED: the remote forbids it. VMSCM_ENOTFOUND: no such machine;
 * as vmscm_remote_show; VMSCM_ECANCELED, VMSCM_EIO: nothing is to be seen there, and
 * what arrived whole is used by the next attempt.
 */
VMSCM_API int vmscm_remote_push(struct vmscm_repo *repo, const struct vmscm_remote_options *options,
    const struct vmscm_events *events,
    int (*each)(void *data, const struct vmscm_remote_item *item), void *data,
    struct vmscm_remote_result *result, struct vmscm_error *err);

/* Bring what a remote has here, to be seen as REMOTE/MACHINE; its comments and notes of inspections are
 * merged with ours. With tags, its tags become this repository's, where there is such a machine. Errors as
 * above, but little is refused: what is remembered follows the remote. */
VMSCM_API int vmscm_remote_fetch(struct vmscm_repo *repo,
    const struct vmscm_remote_options *options, const struct vmscm_events *events,
    int (*each)(void *data, const struct vmscm_remote_item *item), void *data,
    struct vmscm_remote_result *result, struct vmscm_error *err);

/* The same, and then let each machine follow the remote's where nothing is lost by it, with its tags.
 * Machines that are named are made if they are not there. VMSCM_ECONFLICT: some machine went its own
 * way; the others are done. */
VMSCM_API int vmscm_remote_pull(struct vmscm_repo *repo, const struct vmscm_remote_options *options,
    const struct vmscm_events *events,
    int (*each)(void *data, const struct vmscm_remote_item *item), void *data,
    struct vmscm_remote_result *result, struct vmscm_error *err);

/* Make a new repository at dir, as vmscm_repo_init, that has all that the one at url has; url becomes its
 * remote "origin". *path is the caller's. A clone that was interrupted is gone on with by doing it again:
 * VMSCM_EEXIST if there is a repository that is none such. */
VMSCM_API int vmscm_remote_clone(char **path, const char *url, const char *dir, int bare,
    const struct vmscm_remote_options *options, const struct vmscm_events *events,
    int (*each)(void *data, const struct vmscm_remote_item *item), void *data,
    struct vmscm_remote_result *result, struct vmscm_error *err);

/* A lazy repository (vmscm_remote_options.lazy) lacks data that its remote has: reach that from now on, when
 * something is read that is not here. Before anything is read; nothing for a repository that lacks nothing.
 * events (may be NULL) live as long as repo, and are called by any thread, but for progress, which is not
 * told. Reading then also fails with what vmscm_remote_show fails with. */
VMSCM_API const char *vmscm_remote_promisor(const struct vmscm_repo *repo); /* that remote; NULL: none */
VMSCM_API int vmscm_remote_attach(struct vmscm_repo *repo, const struct vmscm_events *events,
    struct vmscm_error *err);

/* Bring all data of revisions (40 hex digits each; none: of all there are) into a lazy repository, to stay
 * there. Errors as vmscm_remote_fetch; VMSCM_EUSAGE: it is not lazy; VMSCM_EDAMAGED: its remote does not have
 * all of it any more. */
VMSCM_API int vmscm_remote_complete(struct vmscm_repo *repo, const char *const *ids, size_t count,
    const struct vmscm_events *events, struct vmscm_remote_result *result,
    struct vmscm_error *err);

/*
 * Repositories that are kept in a bucket, s3://BUCKET/PREFIX, for AWS, Ceph's RADOS gateway and others that
 * honour If-None-Match; vmscm-s3(7). Credentials are found as the AWS tools find them, and neither stored nor
 * repeated in a message.
 *
 * Errors of all that asks a bucket: VMSCM_ENOTFOUND: no such bucket, or no repository in it; VMSCM_EREFUSED:
 * no credentials, wrong or expired ones, a clock that is off, no permission, a certificate that is not
 * trusted; VMSCM_EIO: it cannot be reached.
 */

/* Whether a word is the URL of such a one. */
VMSCM_API int vmscm_remote_is_bucket(const char *word);

/* Make one. VMSCM_EEXIST: there is one already; VMSCM_EREFUSED: If-None-Match is not honoured there. */
VMSCM_API int vmscm_remote_init(
    const char *url, const struct vmscm_events *events, struct vmscm_error *err);

/* Open one for reading, as it is now; what would change it is VMSCM_EREFUSED. Its history is copied to the
 * user's cache, and what is read of its disks is kept there for a while. events may be NULL, and outlive it.
 * Close it with vmscm_repo_close. */
VMSCM_API int vmscm_remote_open(struct vmscm_repo **out, const char *url,
    const struct vmscm_events *events, struct vmscm_error *err);

/* Garbage collection of one, safe beside all that push and read: what is not needed is condemned, and
 * removed by a run after the grace period. automatic does nothing. As vmscm_gc; moved_bytes of the result
 * are those condemned, trash_bytes those that wait to be removed. */
VMSCM_API int vmscm_remote_gc(const char *url, const struct vmscm_gc_options *options,
    const struct vmscm_events *events, struct vmscm_gc_result *result, struct vmscm_error *err);

/*
 * Bundles of history: machines and tags in a file, to be carried where no connection goes. A bundle's
 * path is what can be fetched, pulled and cloned from as from a URL; what it has is remembered as of a
 * remote "bundle", or of the remote by whose name it was given.
 */
struct vmscm_remote_bundle { /* Zero-initialise. */
    const char *const *names; /* machines and tags, as in struct vmscm_remote_options; none: all */
    size_t name_count;
    /* Revisions (40 hex digits each) that are there already, with all before them. */
    const char *const *known;
    size_t known_count;
    const char *known_by; /* a remote: what is remembered of it is there already; NULL: none */
};

/* Make one at path, in place of what is there; NULL: write it to standard output. result->sent is its size.
 * VMSCM_ENOTFOUND: no such machine, tag or remote. */
VMSCM_API int vmscm_remote_bundle(struct vmscm_repo *repo, const char *path,
    const struct vmscm_remote_bundle *what, const struct vmscm_events *events,
    struct vmscm_remote_result *result, struct vmscm_error *err);

/* Tell what is in one: needs(data, id, here) for each revision that it builds on, here if repo (may be
 * NULL) has it; then each(data, ref). Both may be NULL; non-zero ends it and is returned. check: read all
 * of it first, and see that it is whole. VMSCM_EINPUT: it is none, or damaged. */
VMSCM_API int vmscm_remote_bundle_show(const char *path, struct vmscm_repo *repo, int check,
    const struct vmscm_events *events,
    int (*each)(void *data, const struct vmscm_remote_ref *ref),
    int (*needs)(void *data, const char *id, int here), void *data, struct vmscm_error *err);

/* Whether a word is a URL of a repository and no revision: it has "://", is HOST:PATH with a path that
 * can be no tag, or begins with "/", "." or "~". */
VMSCM_API int vmscm_remote_is_url(const char *word);

/* Answer another vmscm that speaks on descriptor `in` and listens on `out`, until it hangs up: the far
 * side of a connection. With read_only it may not send anything. Both descriptors stay the caller's. */
VMSCM_API int vmscm_remote_serve(struct vmscm_repo *repo, int in, int out, int read_only,
    struct vmscm_error *err);

#ifdef __cplusplus
}
#endif
#endif
