/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "remote/s3way.h"
#include "bucket/mirror.h"
#include "remote/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct server {
    pthread_t thread;
    struct vmscm_mirror *mirror;
    const struct vmscm_events *events; /* of the asking side, which waits while this one works */
    int fd;
};

static void *serve(void *data)
{
    struct server *server = data;

    /* What goes wrong, it tells the other side. */
    vmscm_serve_run(server->mirror->repo, server->mirror, server->fd, server->fd, false, true, NULL);
    shutdown(server->fd, SHUT_RDWR);
    return NULL;
}

static int start(void **state, int *fd, const struct vmscm_url *url,
    const struct vmscm_transport_options *options, struct vmscm_error *err)
{
    struct server *server = calloc(1, sizeof *server);
    int fds[2] = {-1, -1}, rc, e;

    if (!server)
        return vmscm_error_nomem(err);
    server->events = options->events;
    /* The limit holds for what goes to the bucket; what goes through here does not leave the machine. */
    if ((rc = vmscm_mirror_open(&server->mirror, url->path, options->events, options->limit, err)))
        goto out;
    server->mirror->far.writable = true;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0 ||
        fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0) {
        rc = vmscm_error_errno(err, errno, "%s", url->path);
        goto out;
    }
    server->fd = fds[1];
    if ((e = pthread_create(&server->thread, NULL, serve, server))) {
        rc = vmscm_error_errno(err, e, "a thread");
        goto out;
    }
    *fd = fds[0];
    *state = server;
out:
    if (rc) {
        if (fds[0] >= 0)
            close(fds[0]);
        if (fds[1] >= 0)
            close(fds[1]);
        if (server->mirror)
            vmscm_repo_close(server->mirror->repo);
        free(server);
    }
    return rc;
}

/* Nobody waits any more for what is going on there. */
static int stop(void *state, struct vmscm_error *err)
{
    struct server *server = state;
    struct vmscm_http_traffic traffic;

    (void)err;
    vmscm_s3_cancel(server->mirror->s3);
    pthread_join(server->thread, NULL);
    close(server->fd);
    vmscm_s3_traffic(server->mirror->s3, &traffic);
    vmscm_handle_note(server->events, "s3: %llu requests, %llu bytes sent, %llu received",
        (unsigned long long)traffic.requests, (unsigned long long)traffic.sent,
        (unsigned long long)traffic.received);
    vmscm_repo_close(server->mirror->repo);
    free(server);
    return 0;
}

/* What goes through the stream stays on the machine. */
static void measure(void *state, struct vmscm_transport_traffic *out)
{
    struct server *server = state;
    struct vmscm_http_traffic traffic;

    vmscm_s3_traffic(server->mirror->s3, &traffic);
    out->sent = traffic.sent;
    out->received = traffic.received;
    out->requests = traffic.requests;
}

static const struct vmscm_transport_kind kind = {start, stop, measure};

const struct vmscm_transport_kind *vmscm_s3way_kind(void)
{
    return &kind;
}
