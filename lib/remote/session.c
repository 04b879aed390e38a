/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "remote/session.h"
#include "base/str.h"
#include "remote/pathway.h"
#include "remote/remotes.h"
#include "repo/refnames.h"

#include <stdlib.h>
#include <string.h>

#define BUNDLE "bundle" /* what a bundle is remembered as that no remote is */
#define REFS_MAX (1u << 20) /* of a remote */

static int by_name(const void *a, const void *b)
{
    return strcmp(
        ((const struct vmscm_session_ref *)a)->name, ((const struct vmscm_session_ref *)b)->name);
}

const struct vmscm_session_ref *vmscm_session_find(const struct vmscm_session *s, const char *name)
{
    const struct vmscm_session_ref key = {.name = (char *)name};

    return s->refs.len ? bsearch(&key, s->refs.items, s->refs.len, sizeof key, by_name) : NULL;
}

int vmscm_session_begin(struct vmscm_session *s, unsigned op, unsigned flags,
    struct vmscm_error *err)
{
    const struct vmscm_wire_opening opening = {.op = (uint8_t)op, .flags = (uint16_t)flags};
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    int rc = vmscm_wire_encode_opening(&buf, &opening, err);

    if (!rc)
        rc = vmscm_stream_put_buf(s->stream, VMSCM_WIRE_REQUEST, &buf, err);
    vmscm_buf_release(&buf);
    return rc;
}

/* What the other side says went wrong. */
static int relay(struct vmscm_session *s, const struct vmscm_stream_frame *frame,
    struct vmscm_error *err)
{
    struct vmscm_error said = VMSCM_ERROR_INIT;
    int rc = vmscm_wire_decode_error(&said, frame->data, frame->len, err);

    if (rc)
        return rc;
    /* That something was canceled or is out of memory there is a failure here. */
    if (said.code == VMSCM_ECANCELED || said.code == VMSCM_ENOMEM || said.code == VMSCM_EUSAGE)
        said.code = VMSCM_EIO;
    vmscm_error_copy(err, &said);
    return vmscm_error_prefix(err, "%s", vmscm_stream_peer(s->stream));
}

int vmscm_session_explain(struct vmscm_session *s, int rc, struct vmscm_error *err)
{
    struct vmscm_error said = VMSCM_ERROR_INIT;
    struct vmscm_stream_frame frame;

    /* After a failure of this side's own the other still waits for what does not come: it says nothing. */
    if (!vmscm_stream_is_cut(s->stream) || vmscm_stream_get(s->stream, &frame, NULL) ||
        frame.type != VMSCM_WIRE_ERROR || !relay(s, &frame, &said))
        return rc;
    return vmscm_error_copy(err, &said);
}

int vmscm_session_turn(struct vmscm_session *s, unsigned op, struct vmscm_error *err)
{
    struct vmscm_wire_opening opening;
    struct vmscm_stream_frame frame;
    int rc;

    if ((rc = vmscm_stream_put(s->stream, VMSCM_WIRE_END, NULL, 0, NULL, 0, err)) ||
        (rc = vmscm_stream_flush(s->stream, err)))
        return vmscm_session_explain(s, rc, err);
    s->round_trips++;
    if ((rc = vmscm_stream_get(s->stream, &frame, err)))
        return rc;
    if (frame.type == VMSCM_WIRE_ERROR)
        return relay(s, &frame, err);
    if (frame.type != VMSCM_WIRE_RESPONSE)
        rc = vmscm_error_set(err, VMSCM_EINPUT, "what answers there is no vmscm");
    else if (!(rc = vmscm_wire_decode_opening(&opening, frame.data, frame.len, err)) &&
        opening.op != op)
        rc = vmscm_error_set(err, VMSCM_EINPUT, "it answers another request");
    return rc ? vmscm_error_prefix(err, "%s", vmscm_stream_peer(s->stream)) : 0;
}

int vmscm_session_next(struct vmscm_session *s, struct vmscm_stream_frame *frame, bool *over,
    struct vmscm_error *err)
{
    int rc = vmscm_stream_get(s->stream, frame, err);

    *over = !rc && frame->type == VMSCM_WIRE_END;
    return !rc && frame->type == VMSCM_WIRE_ERROR ? relay(s, frame, err) : rc;
}

int vmscm_session_put_list(struct vmscm_session *s, unsigned type, unsigned role, const void *ids,
    size_t count, size_t size, struct vmscm_error *err)
{
    struct vmscm_buf frame = VMSCM_BUF_INIT;
    const uint8_t *at = ids;
    int rc = 0;

    while (count && !rc) {
        size_t n = count > VMSCM_WIRE_IDS_MAX ? VMSCM_WIRE_IDS_MAX : count;
        frame.len = 0;
        if (!(rc = vmscm_wire_encode_list(&frame, role, at, n, size, err)))
            rc = vmscm_stream_put_buf(s->stream, type, &frame, err);
        at += n * size;
        count -= n;
    }
    vmscm_buf_release(&frame);
    return rc;
}

static int take_refs(struct vmscm_session *s, const struct vmscm_stream_frame *frame,
    struct vmscm_error *err)
{
    struct vmscm_session_ref *slot;
    struct vmscm_wire_ref wire;
    const uint8_t *at = frame->data;
    size_t left = frame->len;
    int rc = 0;

    while (left && !rc && !(rc = vmscm_wire_decode_ref(&wire, &at, &left, err))) {
        if (s->refs.len >= REFS_MAX)
            rc = vmscm_error_set(err, VMSCM_EINPUT, "it has too many refs");
        else if (vmscm_refnames_kind(wire.name, NULL, NULL) == VMSCM_REFNAMES_NONE)
            rc = vmscm_error_set(err, VMSCM_EINPUT, "it has a ref named %s, which none can be", wire.name);
        else if (!(rc = vmscm_vec_add(&s->refs, &slot, err))) {
            vmscm_str_hex(slot->id, wire.id, sizeof wire.id);
            vmscm_str_hex(slot->commit, wire.commit, sizeof wire.commit);
            rc = vmscm_str_dup(&slot->name, wire.name, err);
        }
    }
    return rc;
}

static int sort_refs(struct vmscm_session *s, struct vmscm_error *err)
{
    if (s->refs.len)
        qsort(s->refs.items, s->refs.len, sizeof *s->refs.items, by_name);
    for (size_t i = 1; i < s->refs.len; i++)
        if (strcmp(s->refs.items[i].name, s->refs.items[i - 1].name) == 0)
            return vmscm_error_set(
                err, VMSCM_EINPUT, "%s: has a ref twice", vmscm_stream_peer(s->stream));
    return 0;
}

static int ask_refs(struct vmscm_session *s, struct vmscm_error *err)
{
    struct vmscm_stream_frame frame;
    bool over = false;
    int rc;

    if ((rc = vmscm_session_begin(s, VMSCM_WIRE_OP_REFS, 0, err)) ||
        (rc = vmscm_session_turn(s, VMSCM_WIRE_OP_REFS, err)))
        return rc;
    while (!(rc = vmscm_session_next(s, &frame, &over, err)) && !over) {
        if (frame.type == VMSCM_WIRE_INFO)
            rc = vmscm_wire_decode_info(&s->info, frame.data, frame.len, err);
        else if (frame.type == VMSCM_WIRE_REFS)
            rc = take_refs(s, &frame, err);
        else
            rc = vmscm_error_set(err, VMSCM_EINPUT, "an answer that cannot be read");
        if (rc)
            return vmscm_error_prefix(err, "%s", vmscm_stream_peer(s->stream));
    }
    return rc ? rc : sort_refs(s, err);
}

/* A bundle says what it has, and needs no asking. */
static int open_bundle(struct vmscm_session *s, const char *path,
    const struct vmscm_events *events, struct vmscm_error *err)
{
    struct vmscm_stream_frame refs = {.type = VMSCM_WIRE_REFS};
    int rc = vmscm_bundlefile_open(&s->bundle, path, events, err);

    if (rc || (!s->remote && (rc = vmscm_str_dup(&s->remote, BUNDLE, err))))
        return rc;
    s->stream = s->bundle->stream;
    s->info = s->bundle->info;
    s->info.flags |= VMSCM_WIRE_READ_ONLY;
    refs.data = s->bundle->refs.data;
    refs.len = s->bundle->refs.len;
    if ((rc = take_refs(s, &refs, err)))
        return vmscm_error_prefix(err, "%s", path);
    return sort_refs(s, err);
}

/* A setting of the user's, or NULL: it names a program, which a repository of others must not choose. */
static int setting(char **out, struct vmscm_gitconfig *own, const char *key, struct vmscm_error *err)
{
    int rc = vmscm_gitconfig_get(out, own, key, err);

    if (rc != VMSCM_ENOTFOUND)
        return rc;
    vmscm_error_clear(err);
    return 0;
}

int vmscm_session_open(struct vmscm_session *s, struct vmscm_repo *repo, const char *name,
    const struct vmscm_events *events, uint64_t limit, struct vmscm_error *err)
{
    struct vmscm_transport_options options = {.events = events, .limit = limit};
    const char *wanted = getenv("VMSCM_SSH");
    char *ssh = NULL, *program = NULL, *key = NULL, *path = NULL;
    struct vmscm_gitconfig *own = NULL;
    struct vmscm_url url = {0};
    int rc;

    /* A file that is no remote's name needs no "./". */
    bool file = name && !vmscm_url_is(name) && vmscm_bundlefile_is(name) &&
        vmscm_remotes_resolve(&s->remote, &s->url, repo, name, NULL);
    if ((file ? (rc = vmscm_str_printf(&s->url, err, "./%s", name))
              : !s->url && (rc = vmscm_remotes_resolve(&s->remote, &s->url, repo, name, err))) ||
        (rc = vmscm_url_parse(&url, s->url, err)) ||
        (rc = vmscm_gitconfig_open(&own, NULL, err)) ||
        (rc = setting(&ssh, own, "core.sshcommand", err)) ||
        (rc = vmscm_transport_patience(&options.patience, repo, err)))
        goto out;
    if (s->remote &&
        ((rc = vmscm_str_printf(&key, err, "remote.%s.program", s->remote)) ||
            (rc = setting(&program, own, key, err))))
        goto out;
    if (url.kind == VMSCM_URL_PATH && !(rc = vmscm_pathway_expand(&path, url.path, err)) &&
        vmscm_bundlefile_is(path)) {
        rc = open_bundle(s, path, events, err);
        goto out;
    }
    if (rc)
        goto out;
    options.ssh = wanted ? wanted : ssh;
    options.program = program;
    if ((rc = vmscm_transport_open(&s->transport, &url, &options, err)))
        goto out;
    s->stream = vmscm_transport_stream(s->transport);
    rc = ask_refs(s, err);
out:
    vmscm_url_release(&url);
    vmscm_gitconfig_close(own);
    free(ssh);
    free(program);
    free(key);
    free(path);
    return rc;
}

void vmscm_session_measure(const struct vmscm_session *s, struct vmscm_remote_result *result)
{
    struct vmscm_transport_traffic traffic = {0};

    if (s->transport && s->stream) {
        vmscm_transport_traffic(s->transport, &traffic);
    } else if (s->stream) {
        traffic.sent = vmscm_stream_sent(s->stream);
        traffic.received = vmscm_stream_received(s->stream);
    }
    result->sent = traffic.sent;
    result->received = traffic.received;
    result->requests = traffic.requests;
    result->round_trips = s->round_trips;
}

void vmscm_session_close(struct vmscm_session *s, struct vmscm_error *err)
{
    vmscm_bundlefile_close(s->bundle);
    vmscm_transport_close(s->transport, err);
    for (size_t i = 0; i < s->refs.len; i++)
        free(s->refs.items[i].name);
    vmscm_vec_release(&s->refs);
    free(s->remote);
    free(s->url);
    memset(s, 0, sizeof *s);
}
