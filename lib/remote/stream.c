/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "remote/stream.h"
#include "base/str.h"
#include "codec/checksum.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BUFFER (256u << 10) /* bytes that are written at once */
#define READ_AHEAD (64u << 10)
#define STEP 200 /* ms between two looks at whether it was canceled */
#define SIGN_EVERY 15u /* seconds without a word, at most, after which a sign of life is sent */

struct vmscm_stream {
    int in, out;
    char *peer;
    const struct vmscm_events *events;
    uint64_t limit;
    double due; /* when what was passed on so far may have been, at that rate */
    uint64_t sent, received;
    bool not_socket, is_pipe;
    bool ended; /* while writing it was seen that nothing more comes */
    bool dead;  /* it was given up */
    bool cut;   /* the other side takes nothing more */
    unsigned patience; /* seconds; 0: any time */
    uint64_t put, got; /* checksums of frames */
    struct vmscm_buf pending; /* to be written */
    struct vmscm_buf ahead;   /* was read, and from `at` on is still to be used */
    size_t at;
    struct vmscm_buf frame;

    /* The thread that sends signs of life. */
    bool ticking;
    pthread_t ticker;
    pthread_mutex_t lock; /* who writes holds it; between two frames else */
    pthread_cond_t wake;
    bool closing;
    uint64_t written; /* as of the last sign, or before */
    uint8_t owed[VMSCM_WIRE_HEAD_SIZE]; /* the end of a sign that did not fit */
    size_t owed_len;
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
    if (s->ticking) {
        pthread_mutex_lock(&s->lock);
        s->closing = true;
        pthread_cond_signal(&s->wake);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->ticker, NULL);
        pthread_cond_destroy(&s->wake);
        pthread_mutex_destroy(&s->lock);
    }
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

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* What comes while it is waited for something else, so that nobody is taken for dead who only does not
 * listen; true if something did. */
static bool read_meanwhile(struct vmscm_stream *s)
{
    ssize_t n;

    if (s->at) {
        memmove(s->ahead.data, s->ahead.data + s->at, s->ahead.len - s->at);
        s->ahead.len -= s->at;
        s->at = 0;
    }
    n = read(s->in, s->ahead.data + s->ahead.len, READ_AHEAD - s->ahead.len);
    if (n > 0) {
        s->ahead.len += (size_t)n;
        s->received += (uint64_t)n;
        return true;
    }
    s->ended = n == 0 || (errno != EAGAIN && errno != EINTR);
    return false;
}

static int given_up(const struct vmscm_stream *s, struct vmscm_error *err)
{
    vmscm_error_set(err, VMSCM_EIO, "%s: no sign of life for %u second%s", s->peer, s->patience,
        s->patience == 1 ? "" : "s");
    return vmscm_error_hint(err,
        "what came whole is not sent again by the next attempt; transfer.timeout says how long to wait");
}

/* Until fd can be read or written, or the peer has been silent for too long. Time for which this process
 * itself was stopped does not count. */
static int await(struct vmscm_stream *s, int fd, short what, struct vmscm_error *err)
{
    double waited = 0;

    for (;;) {
        bool listen = what == POLLOUT && s->patience && !s->ended &&
            s->ahead.len - s->at < READ_AHEAD;
        struct pollfd p[] = {{fd, what, 0}, {listen ? s->in : -1, POLLIN, 0}};
        int rc = canceled(s, err), n;
        if (rc)
            return rc;
        double before = now(), took;
        n = poll(p, 2, STEP);
        if (n < 0 && errno != EINTR)
            return vmscm_error_errno(err, errno, "%s", s->peer);
        if (n > 0 && p[0].revents)
            return 0;
        if (n > 0 && p[1].revents && read_meanwhile(s))
            waited = 0;
        took = now() - before;
        waited += took < 2 * STEP / 1e3 ? took : 2 * STEP / 1e3;
        if (s->patience && waited > s->patience) {
            s->dead = true;
            return given_up(s, err);
        }
    }
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

/* wait: the descriptor may block. */
static ssize_t write_some(struct vmscm_stream *s, const void *data, size_t len, bool wait)
{
    struct stat st;
    ssize_t n = -1;

    if (!s->not_socket) {
        n = send(s->out, data, len, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
        if (n >= 0 || errno != ENOTSOCK)
            return n;
        s->not_socket = true;
        s->is_pipe = fstat(s->out, &st) == 0 && S_ISFIFO(st.st_mode);
    }
    /* A pipe: who serves on one ignores SIGPIPE. What poll says there is room for is that much. */
    if (s->is_pipe && !wait) {
        struct pollfd p = {s->out, POLLOUT, 0};
        if (poll(&p, 1, 0) == 0) {
            errno = EAGAIN;
            return -1;
        }
        len = len < PIPE_BUF ? len : PIPE_BUF;
    }
    return write(s->out, data, len);
}

/* Whoever waits at the other side need not know what takes time here. */
static void *tick(void *data)
{
    struct vmscm_stream *s = data;
    uint8_t sign[VMSCM_WIRE_HEAD_SIZE];
    unsigned every = s->patience && s->patience / 4 < SIGN_EVERY ? s->patience / 4 : SIGN_EVERY;
    struct timespec until;

    vmscm_wire_encode_head(sign, VMSCM_WIRE_ALIVE, 0);
    pthread_mutex_lock(&s->lock);
    while (!s->closing) {
        uint64_t before = s->written;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += every ? every : 1;
        while (!s->closing && pthread_cond_timedwait(&s->wake, &s->lock, &until) == 0)
            ;
        if (s->closing || s->written != before || s->owed_len)
            continue;
        ssize_t n = write_some(s, sign, sizeof sign, false);
        if (n > 0 && n < (ssize_t)sizeof sign) {
            s->owed_len = sizeof sign - (size_t)n;
            memcpy(s->owed, sign + n, s->owed_len);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

int vmscm_stream_patience(struct vmscm_stream *s, unsigned seconds, struct vmscm_error *err)
{
    pthread_condattr_t attr;
    sigset_t all, old;
    int e;

    s->patience = seconds;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, &attr);
    pthread_condattr_destroy(&attr);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    e = pthread_create(&s->ticker, NULL, tick, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    s->ticking = !e;
    return e ? vmscm_error_errno(err, e, "a thread") : 0;
}

static int ended(const struct vmscm_stream *s, struct vmscm_error *err)
{
    return vmscm_error_set(err, VMSCM_EIO, "%s: the connection ended", s->peer);
}

/* All of it, from the lock's holder. */
static int write_all(struct vmscm_stream *s, const uint8_t *data, size_t size,
    struct vmscm_error *err)
{
    size_t at = 0;
    int rc = 0;

    while (at < size && !rc) {
        size_t len = size - at;
        if (s->limit && len > s->limit / 8 + 1)
            len = (size_t)(s->limit / 8 + 1);
        ssize_t n = write_some(s, data + at, len, !s->patience);
        if (n > 0) {
            at += (size_t)n;
            s->written += (uint64_t)n;
            rc = brake(s, (size_t)n, err);
        } else if (n < 0 && errno == EAGAIN) {
            rc = await(s, s->out, POLLOUT, err);
        } else if (n < 0 && errno == EINTR) {
            rc = canceled(s, err);
        } else if (errno == EPIPE || errno == ECONNRESET) {
            s->cut = true;
            rc = ended(s, err);
        } else {
            rc = vmscm_error_errno(err, errno, "%s", s->peer);
        }
    }
    s->sent += at;
    return rc;
}

bool vmscm_stream_is_cut(const struct vmscm_stream *s)
{
    return s->cut;
}

int vmscm_stream_flush(struct vmscm_stream *s, struct vmscm_error *err)
{
    int rc = 0;

    if (!s->pending.len)
        return 0;
    if (s->dead)
        return given_up(s, err);
    if (s->ticking)
        pthread_mutex_lock(&s->lock);
    if (s->owed_len)
        rc = write_all(s, s->owed, s->owed_len, err);
    s->owed_len = 0;
    if (!rc)
        rc = write_all(s, s->pending.data, s->pending.len, err);
    if (s->ticking)
        pthread_mutex_unlock(&s->lock);
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
    s->put = vmscm_checksum_64(wire, sizeof wire, s->put);
    s->put = vmscm_checksum_64(
        s->pending.data + s->pending.len - head_len - len, head_len + len, s->put);
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
        /* Where it may be waited for too long, read must not be what waits. */
        if (s->patience && (rc = await(s, s->in, POLLIN, err)))
            return rc;
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
    uint8_t head[VMSCM_WIRE_HEAD_SIZE];
    uint32_t length;
    unsigned type;
    size_t n;
    int rc = vmscm_stream_flush(s, err);

    *more = false;
    for (;;) {
        if (!rc && s->at == s->ahead.len) {
            s->at = s->ahead.len = 0;
            if (!(rc = read_some(s, s->ahead.data, READ_AHEAD, &n, err)))
                s->ahead.len = n;
        }
        if (rc || s->at == s->ahead.len)
            return rc;
        *more = s->ahead.data[s->at] != VMSCM_WIRE_ALIVE;
        if (*more)
            return 0;
        if ((rc = read_bytes(s, head, sizeof head, &n, err)))
            return rc;
        if (n == sizeof head && vmscm_wire_decode_head(&type, &length, head, err))
            return no_frame(s, head, err);
    }
}

static int get_frame(struct vmscm_stream *s, struct vmscm_stream_frame *frame,
    struct vmscm_error *err)
{
    uint8_t head[VMSCM_WIRE_HEAD_SIZE];
    uint32_t length;
    size_t got;
    int rc = read_bytes(s, head, sizeof head, &got, err);

    *frame = (struct vmscm_stream_frame){0};
    if (rc)
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
    s->got = vmscm_checksum_64(head, sizeof head, s->got);
    s->got = vmscm_checksum_64(s->frame.data, s->frame.len, s->got);
    frame->data = s->frame.data;
    frame->len = s->frame.len;
    return 0;
}

int vmscm_stream_get(struct vmscm_stream *s, struct vmscm_stream_frame *frame,
    struct vmscm_error *err)
{
    int rc = vmscm_stream_flush(s, err);

    *frame = (struct vmscm_stream_frame){0};
    if (!rc && s->dead)
        rc = given_up(s, err);
    do
        rc = rc ? rc : get_frame(s, frame, err);
    while (!rc && frame->type == VMSCM_WIRE_ALIVE);
    return rc;
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

uint64_t vmscm_stream_checksum_put(const struct vmscm_stream *s)
{
    return s->put;
}

uint64_t vmscm_stream_checksum_got(const struct vmscm_stream *s)
{
    return s->got;
}
