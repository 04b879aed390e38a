/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "remote/pathway.h"
#include "base/str.h"
#include "remote/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vmscm/remote.h>

struct server {
    pthread_t thread;
    struct vmscm_repo *repo;
    int fd;
};

static void *serve(void *data)
{
    struct server *server = data;

    /* What goes wrong, it tells the other side. */
    vmscm_serve_run(server->repo, NULL, server->fd, server->fd, false, true, NULL);
    shutdown(server->fd, SHUT_RDWR);
    return NULL;
}

int vmscm_pathway_expand(char **out, const char *path, struct vmscm_error *err)
{
    const char *home = getenv("HOME");

    if (path[0] == '~' && (path[1] == '/' || !path[1]) && home)
        return vmscm_str_printf(out, err, "%s%s", home, path + 1);
    return vmscm_str_dup(out, path, err);
}

static int start(void **state, int *fd, const struct vmscm_url *url,
    const struct vmscm_transport_options *options, struct vmscm_error *err)
{
    struct server *server = calloc(1, sizeof *server);
    char *path = NULL;
    int fds[2] = {-1, -1}, rc, e;

    (void)options;
    if (!server)
        return vmscm_error_nomem(err);
    if ((rc = vmscm_pathway_expand(&path, url->path, err)) ||
        (rc = vmscm_repo_open(&server->repo, path, err)))
        goto out;
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
        vmscm_repo_close(server->repo);
        free(server);
    }
    free(path);
    return rc;
}

static int stop(void *state, struct vmscm_error *err)
{
    struct server *server = state;

    (void)err;
    pthread_join(server->thread, NULL);
    close(server->fd);
    vmscm_repo_close(server->repo);
    free(server);
    return 0;
}

static const struct vmscm_transport_kind kind = {start, stop, NULL};

const struct vmscm_transport_kind *vmscm_pathway_kind(void)
{
    return &kind;
}
