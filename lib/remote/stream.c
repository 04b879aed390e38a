/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "remote/stream.h"
#include "base/str.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUFFER (256u << 10) /* bytes that are written at once */
#define READ_AHEAD (64u << 10)
#define PATIENCE 200 /* ms between two looks at whether it was canceled */

struct vmscm_stream {
    int in, out;
    char *peer;
    const struct vmscm_events *events;
    uint64_t limit;
    double due; /* when what was passed on so far may have been, at that rate */
    uint64_t sent, received;
    bool not_socket;
    struct vmscm_buf pending; /* to be written */
    struct vmscm_buf ahead;   /* was read, and from `at` on is still to be used */
    size_t at;
    struct vmscm_buf frame;
};

int vmscm_stream_open(struct vmscm_stream **out, int in, int out_fd, const char *peer,
    const struct vmscm_events *events, uint64_t limit, struct vmscm_error *err)
{
    struct vmscm_stream *s = calloc(1, sizeof *s);
    int rc;

    if (!s)
        return vmscm_error_nomem(err);
    s->in = in;
    s->out = out_fd;
    s->events = events;
    s->limit = limit;
    if ((rc = vmscm_str_dup(&s->peer, peer, err)) ||
        (rc = vmscm_buf_reserve(&s->ahead, READ_AHEAD, err))) {
        vmscm_stream_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

void vmscm_stream_close(struct vmscm_stream *s)
{
    if (!s)
        return;
    free(s->peer);
    vmscm_buf_release(&s->pending);
    vmscm_buf_release(&s->ahead);
    vmscm_buf_release(&s->frame);
    free(s);
}

static int canceled(const struct vmscm_stream *s, struct vmscm_error *err)
{
    if (s->events && s->events->canceled && s->events->canceled(s->events->data))
        return vmscm_error_set(err, VMSCM_ECANCELED, "interrupted");
    return 0;
}

static int await(const struct vmscm_stream *s, int fd, short what, struct vmscm_error *err)
{
    struct pollfd p = {fd, what, 0};
    int rc, n;

    do {
        if ((rc = canceled(s, err)))
            return rc;
        n = poll(&p, 1, PATIENCE);
        if (n < 0 && errno != EINTR)
            return vmscm_error_errno(err, errno, "%s", s->peer);
    } while (n <= 0);
    return 0;
}

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Wait until so many bytes more are allowed. */
static int brake(struct vmscm_stream *s, size_t bytes, struct vmscm_error *err)
{
    double t, wait;
    int rc = 0;

    if (!s->limit)
        return 0;
    t = now();
    if (s->due < t)
        s->due = t;
    s->due += (double)bytes / (double)s->limit;
    while (!rc && (wait = s->due - now()) > 0) {
        if (wait > 0.2)
            wait = 0.2;
        nanosleep(&(struct timespec){0, (long)(wait * 1e9)}, NULL);
        rc = canceled(s, err);
    }
    return rc;
}

static ssize_t write_some(struct vmscm_stream *s, const void *data, size_t len)
{
    ssize_t n = -1;

    if (!s->not_socket) {
        n = send(s->out, data, len, MSG_NOSIGNAL);
        s->not_socket = n < 0 && errno == ENOTSOCK;
    }
    /* A pipe: who serves on one ignores SIGPIPE. */
    return s->not_socket ? write(s->out, data, len) : n;
}

static int ended(const struct vmscm_stream *s, struct vmscm_error *err)
{
    return vmscm_error_set(err, VMSCM_EIO, "%s: the connection ended", s->peer);
}

int vmscm_stream_flush(struct vmscm_stream *s, struct vmscm_error *err)
{
    size_t at = 0;
    int rc = 0;

    while (at < s->pending.len && !rc) {
        size_t len = s->pending.len - at;
        if (s->limit && len > s->limit / 8 + 1)
            len = (size_t)(s->limit / 8 + 1);
        ssize_t n = write_some(s, s->pending.data + at, len);
        if (n > 0) {
            at += (size_t)n;
            s->sent += (uint64_t)n;
            rc = brake(s, (size_t)n, err);
        } else if (n < 0 && errno == EAGAIN) {
            rc = await(s, s->out, POLLOUT, err);
        } else if (n < 0 && errno == EINTR) {
            rc = canceled(s, err);
        } else if (errno == EPIPE || errno == ECONNRESET) {
            rc = ended(s, err);
        } else {
            rc = vmscm_error_errno(err, errno, "%s", s->peer);
        }
    }
    s->pending.len = 0;
    return rc;
}

int vmscm_stream_put(struct vmscm_stream *s, unsigned type, const void *head, size_t head_len,
    const void *data, size_t len, struct vmscm_error *err)
{
    uint8_t wire[VMSCM_WIRE_HEAD_SIZE];
    int rc;

    if (head_len + len > VMSCM_WIRE_FRAME_MAX)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED, "%s: more than fits into a frame", s->peer);
    vmscm_wire_encode_head(wire, type, (uint32_t)(head_len + len));
    if ((rc = vmscm_buf_append(&s->pending, wire, sizeof wire, err)) ||
        (rc = vmscm_buf_append(&s->pending, head, head_len, err)) ||
        (rc = vmscm_buf_append(&s->pending, data, len, err)))
        return rc;
    return s->pending.len >= BUFFER ? vmscm_stream_flush(s, err) : 0;
}

int vmscm_stream_put_buf(struct vmscm_stream *s, unsigned type, const struct vmscm_buf *buf,
    struct vmscm_error *err)
{
    return vmscm_stream_put(s, type, NULL, 0, buf->data, buf->len, err);
}

/* Some bytes; *n is 0 at the end. */
static int read_some(struct vmscm_stream *s, void *data, size_t len, size_t *n,
    struct vmscm_error *err)
{
    int rc = 0;

    for (;;) {
        ssize_t got = read(s->in, data, len);
        if (got >= 0) {
            *n = (size_t)got;
            s->received += *n;
            return brake(s, *n, err);
        }
        if (errno == ECONNRESET) {
            *n = 0;
            return 0;
        }
        if (errno == EAGAIN)
            rc = await(s, s->in, POLLIN, err);
        else if (errno == EINTR)
            rc = canceled(s, err);
        else
            rc = vmscm_error_errno(err, errno, "%s", s->peer);
        if (rc)
            return rc;
    }
}

/* Exactly len bytes, of which *got tells how many there were before the end. */
static int read_bytes(struct vmscm_stream *s, uint8_t *data, size_t len, size_t *got,
    struct vmscm_error *err)
{
    size_t n;
    int rc = 0;

    *got = 0;
    while (*got < len && !rc) {
        if (s->at < s->ahead.len) {
            n = s->ahead.len - s->at;
            if (n > len - *got)
                n = len - *got;
            memcpy(data + *got, s->ahead.data + s->at, n);
            s->at += n;
        } else if (len - *got >= READ_AHEAD) {
            rc = read_some(s, data + *got, len - *got, &n, err);
        } else {
            s->at = s->ahead.len = 0;
            if ((rc = read_some(s, s->ahead.data, READ_AHEAD, &n, err)))
                break;
            s->ahead.len = n;
            if (n)
                continue;
        }
        if (rc || n == 0)
            break;
        *got += n;
    }
    return rc;
}

/* Most often it is text. */
static int no_frame(const struct vmscm_stream *s, const uint8_t head[VMSCM_WIRE_HEAD_SIZE],
    struct vmscm_error *err)
{
    char text[VMSCM_WIRE_HEAD_SIZE + 1];

    for (size_t i = 0; i < VMSCM_WIRE_HEAD_SIZE; i++)
        text[i] = head[i] >= ' ' && head[i] < 0x7f ? (char)head[i] : '?';
    text[VMSCM_WIRE_HEAD_SIZE] = '\0';
    vmscm_error_set(err, VMSCM_EINPUT, "%s: what answers there is no vmscm", s->peer);
    return vmscm_error_hint(err,
        "it says \"%s...\"; does a start-up file of the shell there print something?", text);
}

int vmscm_stream_wait(struct vmscm_stream *s, bool *more, struct vmscm_error *err)
{
    size_t n = 0;
    int rc = vmscm_stream_flush(s, err);

    if (!rc && s->at == s->ahead.len) {
        s->at = s->ahead.len = 0;
        rc = read_some(s, s->ahead.data, READ_AHEAD, &n, err);
        s->ahead.len = rc ? 0 : n;
    }
    *more = s->at < s->ahead.len;
    return rc;
}

int vmscm_stream_get(struct vmscm_stream *s, struct vmscm_stream_frame *frame,
    struct vmscm_error *err)
{
    uint8_t head[VMSCM_WIRE_HEAD_SIZE];
    uint32_t length;
    size_t got;
    int rc = vmscm_stream_flush(s, err);

    *frame = (struct vmscm_stream_frame){0};
    if (rc || (rc = read_bytes(s, head, sizeof head, &got, err)))
        return rc;
    if (got < sizeof head)
        return ended(s, err);
    if ((rc = vmscm_wire_decode_head(&frame->type, &length, head, err)))
        return no_frame(s, head, err);
    s->frame.len = 0;
    /* Memory for what has come, not for what a length says. */
    while (s->frame.len < length) {
        size_t want = length - s->frame.len;
        if (want > BUFFER)
            want = BUFFER;
        if ((rc = vmscm_buf_reserve(&s->frame, want, err)) ||
            (rc = read_bytes(s, s->frame.data + s->frame.len, want, &got, err)))
            return rc;
        if (got < want)
            return ended(s, err);
        s->frame.len += want;
    }
    frame->data = s->frame.data;
    frame->len = s->frame.len;
    return 0;
}

uint64_t vmscm_stream_sent(const struct vmscm_stream *s)
{
    return s->sent;
}

uint64_t vmscm_stream_received(const struct vmscm_stream *s)
{
    return s->received;
}

const char *vmscm_stream_peer(const struct vmscm_stream *s)
{
    return s->peer;
}
