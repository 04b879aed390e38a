/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "remote/serve.h"
#include "base/str.h"
#include "history/reflist.h"
#include "history/refs.h"
#include "remote/promisor.h"
#include "remote/transport.h"
#include "repo/refnames.h"

#include <stdio.h>
#include <string.h>
#include <vmscm/remote.h>
#include <vmscm/version.h>

#define REFS_FRAME (1u << 20) /* bytes of refs that go in one frame */

int vmscm_serve_answer(struct vmscm_serve *s, unsigned op, struct vmscm_error *err)
{
    const struct vmscm_wire_opening opening = {.op = (uint8_t)op};
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    int rc = vmscm_wire_encode_opening(&buf, &opening, err);

    if (!rc)
        rc = vmscm_stream_put_buf(s->stream, VMSCM_WIRE_RESPONSE, &buf, err);
    vmscm_buf_release(&buf);
    return rc;
}

int vmscm_serve_end(struct vmscm_serve *s, struct vmscm_error *err)
{
    int rc = vmscm_stream_put(s->stream, VMSCM_WIRE_END, NULL, 0, NULL, 0, err);

    return rc ? rc : vmscm_stream_flush(s->stream, err);
}

bool vmscm_serve_shows(const struct vmscm_serve *s, const char *ref)
{
    (void)s;
    return vmscm_refnames_kind(ref, NULL, NULL) != VMSCM_REFNAMES_NONE;
}

struct listing {
    struct vmscm_serve *serve;
    struct vmscm_buf buf;
    struct vmscm_error *err;
};

static int flush_refs(struct listing *l)
{
    int rc = vmscm_stream_put_buf(l->serve->stream, VMSCM_WIRE_REFS, &l->buf, l->err);

    l->buf.len = 0;
    return rc;
}

/* A ref to what is damaged is not shown: fsck tells of it. But one that cannot be read just now must not seem
 * to be gone. */
static int list_ref(void *data, const char *ref, const char *id)
{
    struct listing *l = data;
    struct vmscm_error why = VMSCM_ERROR_INIT;
    struct vmscm_wire_ref wire;
    char commit[VMSCM_GITDB_ID];
    int rc;

    if (!id || strlen(ref) > VMSCM_WIRE_NAME_MAX || !vmscm_serve_shows(l->serve, ref))
        return 0;
    if ((rc = vmscm_refs_peel(commit, l->serve->repo->git, id, &why)))
        return rc == VMSCM_EIO || rc == VMSCM_ENOMEM ? vmscm_error_copy(l->err, &why) : 0;
    if (!vmscm_str_unhex(wire.id, sizeof wire.id, id) ||
        !vmscm_str_unhex(wire.commit, sizeof wire.commit, commit))
        return 0;
    memcpy(wire.name, ref, strlen(ref) + 1);
    rc = vmscm_wire_encode_ref(&l->buf, &wire, l->err);
    return rc || l->buf.len < REFS_FRAME ? rc : flush_refs(l);
}

/* The frames of a request that has none of its own. */
static int no_more(struct vmscm_serve *s, struct vmscm_error *err)
{
    struct vmscm_stream_frame frame;
    int rc = vmscm_stream_get(s->stream, &frame, err);

    if (!rc && frame.type != VMSCM_WIRE_END)
        rc = vmscm_error_set(err, VMSCM_EINPUT, "a request that cannot be read");
    return rc;
}

static int answer_refs(struct vmscm_serve *s, struct vmscm_error *err)
{
    struct listing listing = {.serve = s, .err = err};
    struct vmscm_wire_info info = {0};
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    struct vmscm_store *store;
    int rc;

    if ((rc = no_more(s, err)) || (rc = vmscm_handle_store(&store, s->repo, err)))
        return rc;
    snprintf(info.agent, sizeof info.agent, "vmscm %.40s", vmscm_version());
    info.flags = (s->read_only ? VMSCM_WIRE_READ_ONLY : 0u) |
        (vmscm_quarantine_any(s->repo->path) ? VMSCM_WIRE_RESUMABLE : 0u) |
        (vmscm_store_pack_count(store) ? 0u : VMSCM_WIRE_EMPTY);
    if ((rc = vmscm_serve_answer(s, VMSCM_WIRE_OP_REFS, err)) ||
        (rc = vmscm_wire_encode_info(&buf, &info, err)) ||
        (rc = vmscm_stream_put_buf(s->stream, VMSCM_WIRE_INFO, &buf, err)) ||
        (rc = vmscm_reflist_walk(s->repo->git, "refs/", list_ref, &listing, err)) ||
        (listing.buf.len && (rc = flush_refs(&listing))))
        goto out;
    rc = vmscm_serve_end(s, err);
out:
    vmscm_buf_release(&listing.buf);
    vmscm_buf_release(&buf);
    return rc;
}

/* What others did since the last request is seen. */
static int look_again(struct vmscm_serve *s, struct vmscm_error *err)
{
    struct vmscm_store *store;
    bool changed;
    int rc;

    if ((rc = vmscm_gitdb_reload(s->repo->git, err)) ||
        (rc = vmscm_handle_store(&store, s->repo, err)))
        return rc;
    return vmscm_store_reload(store, &changed, err);
}

static int answer(struct vmscm_serve *s, const struct vmscm_wire_opening *request,
    struct vmscm_error *err)
{
    int rc = look_again(s, err);

    if (rc)
        return rc;
    if (s->read_only && (request->op == VMSCM_WIRE_OP_ASK || request->op == VMSCM_WIRE_OP_SEND))
        return vmscm_error_set(err, VMSCM_EREFUSED, "nothing can be pushed there: it is read-only");
    switch (request->op) {
    case VMSCM_WIRE_OP_REFS:
        return answer_refs(s, err);
    case VMSCM_WIRE_OP_HISTORY:
        return vmscm_servefetch_history(s, err);
    case VMSCM_WIRE_OP_DATA:
        return vmscm_servefetch_data(s, request->flags, err);
    case VMSCM_WIRE_OP_ASK:
        return vmscm_servepush_ask(s, err);
    case VMSCM_WIRE_OP_SEND:
        return vmscm_servepush_send(s, request->flags, err);
    }
    return vmscm_error_set(err, VMSCM_EUNSUPPORTED, "a request of a kind that is not known there");
}

/* Tell the other side what went wrong. It may have gone. */
static void tell(struct vmscm_serve *s, const struct vmscm_error *why)
{
    struct vmscm_buf buf = VMSCM_BUF_INIT;

    if (!vmscm_wire_encode_error(&buf, why, NULL) &&
        !vmscm_stream_put_buf(s->stream, VMSCM_WIRE_ERROR, &buf, NULL))
        vmscm_stream_flush(s->stream, NULL);
    vmscm_buf_release(&buf);
}

/* A sender that broke the rules leaves nothing; one that was cut off is to go on where it was. It is a bucket
 * that refuses what comes for one: with another token it will not. */
static bool is_worth_keeping(const struct vmscm_serve *s, int rc)
{
    return rc != VMSCM_EINPUT && rc != VMSCM_EUNSUPPORTED && (rc != VMSCM_EREFUSED || s->mirror);
}

int vmscm_serve_run(struct vmscm_repo *repo, struct vmscm_mirror *mirror, int in, int out,
    bool read_only, bool near, struct vmscm_error *err)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;
    struct vmscm_serve s = {.repo = repo, .read_only = read_only, .mirror = mirror};
    struct vmscm_wire_opening request;
    struct vmscm_stream_frame frame;
    unsigned patience;
    bool more;
    int rc;

    if ((rc = vmscm_transport_patience(&patience, repo, err)) ||
        (rc = vmscm_stream_open(&s.stream, in, out, "the other side", NULL, 0, err)))
        return rc;
    /* What a lazy repository lacks is had from where it has it. */
    if ((!near && (rc = vmscm_stream_patience(s.stream, patience, err))) ||
        (rc = vmscm_promisor_attach(repo, NULL, err))) {
        vmscm_stream_close(s.stream);
        return rc;
    }
    while (!(rc = vmscm_stream_wait(s.stream, &more, &why)) && more) {
        if (!(rc = vmscm_stream_get(s.stream, &frame, &why)) &&
            frame.type != VMSCM_WIRE_REQUEST)
            rc = vmscm_error_set(&why, VMSCM_EINPUT, "a request that cannot be read");
        if (rc || (rc = vmscm_wire_decode_opening(&request, frame.data, frame.len, &why)) ||
            (rc = answer(&s, &request, &why)))
            break;
    }
    /* Where in a request it stopped is not known, so nothing more is read. */
    if (rc) {
        tell(&s, &why);
        vmscm_error_copy(err, &why);
    }
    vmscm_receive_close(s.receive, is_worth_keeping(&s, rc));
    vmscm_lease_close(s.lease);
    vmscm_stream_close(s.stream);
    return rc;
}

int vmscm_remote_serve(struct vmscm_repo *repo, int in, int out, int read_only,
    struct vmscm_error *err)
{
    return vmscm_serve_run(repo, NULL, in, out, read_only != 0, false, err);
}
