/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "remote/transport.h"
#include "remote/pathway.h"
#include "remote/s3way.h"
#include "remote/sshway.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#define PATIENCE 300 /* seconds, unless set */

struct vmscm_transport {
    const struct vmscm_transport_kind *kind;
    void *state;
    int fd;
    struct vmscm_stream *stream;
};

int vmscm_transport_patience(unsigned *seconds, struct vmscm_repo *repo, struct vmscm_error *err)
{
    int64_t value = PATIENCE;
    int rc = vmscm_gitconfig_get_int(&value, repo->config, "transfer.timeout", PATIENCE, err);

    *seconds = value < 0 || value > INT_MAX / 1000 ? 0 : (unsigned)value;
    return rc;
}

int vmscm_transport_open(struct vmscm_transport **out, const struct vmscm_url *url,
    const struct vmscm_transport_options *options, struct vmscm_error *err)
{
    struct vmscm_transport *t = calloc(1, sizeof *t);
    int rc;

    if (!t)
        return vmscm_error_nomem(err);
    t->fd = -1;
    t->kind = url->kind == VMSCM_URL_SSH ? vmscm_sshway_kind()
        : url->kind == VMSCM_URL_S3     ? vmscm_s3way_kind()
                                        : vmscm_pathway_kind();
    if ((rc = t->kind->open(&t->state, &t->fd, url, options, err)) ||
        (rc = vmscm_stream_open(&t->stream, t->fd, t->fd,
             url->kind == VMSCM_URL_SSH ? url->host : url->path, options->events,
             url->kind == VMSCM_URL_S3 ? 0 : options->limit, err)) ||
        /* A thread of this process gives signs of its own. */
        (url->kind == VMSCM_URL_SSH &&
            (rc = vmscm_stream_patience(t->stream, options->patience, err))))
        vmscm_transport_close(t, err);
    else
        *out = t;
    return rc;
}

struct vmscm_stream *vmscm_transport_stream(struct vmscm_transport *t)
{
    return t->stream;
}

void vmscm_transport_traffic(struct vmscm_transport *t, struct vmscm_transport_traffic *out)
{
    out->sent = vmscm_stream_sent(t->stream);
    out->received = vmscm_stream_received(t->stream);
    out->requests = 0;
    if (t->kind->traffic)
        t->kind->traffic(t->state, out);
}

void vmscm_transport_close(struct vmscm_transport *t, struct vmscm_error *err)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;

    if (!t)
        return;
    vmscm_stream_close(t->stream);
    if (t->fd >= 0)
        close(t->fd);
    if (t->state && t->kind->close(t->state, &why) && err && err->code == VMSCM_EIO)
        vmscm_error_copy(err, &why);
    free(t);
}
