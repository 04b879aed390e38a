/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A way to another repository: a stream of frames, requests one way, answers the other. What carries it is
 * behind a table of functions, one for each kind of URL.
 *
 * Threading: one thread at a time.
 */
#ifndef REMOTE_TRANSPORT_H
#define REMOTE_TRANSPORT_H

#include "remote/stream.h"
#include "remote/url.h"
#include "repo/handle.h"

struct vmscm_transport;

struct vmscm_transport_options {
    const char *ssh;     /* program and arguments, separated by spaces; NULL: ssh */
    const char *program; /* what vmscm is called there; NULL: vmscm */
    const struct vmscm_events *events;
    uint64_t limit; /* bytes a second; 0: none */
    unsigned patience; /* seconds that the other side may be silent; 0: any time */
};

struct vmscm_transport_traffic {
    uint64_t sent, received; /* bytes */
    uint64_t requests;       /* of HTTP; 0: it is another way */
};

/* What carries. Its state is the transport's own. */
struct vmscm_transport_kind {
    /* Connect: one descriptor for both ways, which is the transport's from then on. */
    int (*open)(void **state, int *fd, const struct vmscm_url *url,
        const struct vmscm_transport_options *options, struct vmscm_error *err);
    /* The descriptor is closed: end it. Fails if the other side did; then *err says why. */
    int (*close)(void *state, struct vmscm_error *err);
    /* What left the machine so far, where that is not what goes through the stream; or NULL. */
    void (*traffic)(void *state, struct vmscm_transport_traffic *out);
};

/* The setting transfer.timeout. */
int vmscm_transport_patience(unsigned *seconds, struct vmscm_repo *repo, struct vmscm_error *err);

int vmscm_transport_open(struct vmscm_transport **out, const struct vmscm_url *url,
    const struct vmscm_transport_options *options, struct vmscm_error *err);

struct vmscm_stream *vmscm_transport_stream(struct vmscm_transport *t);

void vmscm_transport_traffic(struct vmscm_transport *t, struct vmscm_transport_traffic *out);

/* Hang up. If err is an error already, one of the connection that the other side explains becomes what it
 * says. NULL is fine. */
void vmscm_transport_close(struct vmscm_transport *t, struct vmscm_error *err);

#endif
