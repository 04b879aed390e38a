/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The side that asks: a connection to a remote, what it has, and requests to it. One thread at a time. */
#ifndef REMOTE_SESSION_H
#define REMOTE_SESSION_H

#include "base/vec.h"
#include "remote/bundlefile.h"
#include "remote/transport.h"
#include "repo/handle.h"
#include <vmscm/remote.h>

struct vmscm_session_ref {
    char *name;
    char id[VMSCM_GITDB_ID];
    char commit[VMSCM_GITDB_ID]; /* that it leads to */
};

struct vmscm_session {
    struct vmscm_transport *transport;
    struct vmscm_bundlefile *bundle; /* in place of a connection: all there is, in one order */
    struct vmscm_stream *stream;
    char *remote; /* its name; NULL: only known by a URL */
    char *url;
    struct vmscm_wire_info info;
    VMSCM_VEC(struct vmscm_session_ref) refs; /* sorted by name; names and ids were checked */
    uint64_t round_trips;
};

/* Connect to a remote by name, or by URL, and ask what it has. name NULL: the one that is meant where none
 * is named. Zero-initialised before; closed in any case. */
int vmscm_session_open(struct vmscm_session *s, struct vmscm_repo *repo, const char *name,
    const struct vmscm_events *events, uint64_t limit, struct vmscm_error *err);

/* Hang up. err: what has gone wrong so far, which the far side may explain. */
void vmscm_session_close(struct vmscm_session *s, struct vmscm_error *err);

/* What it took so far, into the members of *result for that. */
void vmscm_session_measure(const struct vmscm_session *s, struct vmscm_remote_result *result);

/* The ref of that name, or NULL. */
const struct vmscm_session_ref *vmscm_session_find(const struct vmscm_session *s, const char *name);

/* A request: its first frame; all others are the caller's; then its end, and the beginning of what is
 * answered. */
int vmscm_session_begin(struct vmscm_session *s, unsigned op, unsigned flags,
    struct vmscm_error *err);
int vmscm_session_turn(struct vmscm_session *s, unsigned op, struct vmscm_error *err);

/* The next frame of the answer; *over: that was all. An error that the other side tells of is one. */
int vmscm_session_next(struct vmscm_session *s, struct vmscm_stream_frame *frame, bool *over,
    struct vmscm_error *err);

/* Whether writing failed since the other side gave up: then it may have said why, which err becomes. */
int vmscm_session_explain(struct vmscm_session *s, int rc, struct vmscm_error *err);

/* A list of ids in as many frames as it takes. size: of one. */
int vmscm_session_put_list(struct vmscm_session *s, unsigned type, unsigned role, const void *ids,
    size_t count, size_t size, struct vmscm_error *err);

#endif
