/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A connection's threads take turns: one receives the next request and then answers it while
 * another receives; replies are sent whole under a lock, in whatever order they are ready. A read
 * is answered in chunks of at most PIECE, which bounds what a client can make us allocate.
 */
#include "image/nbdserver.h"
#include "base/str.h"
#include "image/nbdproto.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PIECE (1u << 20)
#define SHORT_HOLE (64u << 10) /* zeros shorter than this are sent as data */
#define STATUS_MAX 4096        /* extents in one answer */
#define CONNECTIONS_MAX 64

struct connection {
    struct vmscm_nbdserver *server;
    struct connection *next;
    pthread_t thread;
    int fd;
    bool done; /* guarded by the server's lock: the thread may be joined */
    struct vmscm_nbd_session session;
    pthread_mutex_t receiving;
    pthread_mutex_t sending;
    bool over; /* guarded by receiving: no more requests */
};

struct vmscm_nbdserver {
    struct vmscm_blockdev *dev;
    unsigned jobs;
    void (*read_done)(void *data, uint64_t offset, uint64_t len);
    void *data;
    char *socket_path;
    int listener;
    int wake; /* eventfd: stop */
    pthread_t thread;
    pthread_mutex_t lock; /* guards all below, and calls of read_done */
    struct connection *connections;
    unsigned connection_count;
    struct vmscm_error failure; /* the first */
};

/* A reply cut short cannot be mended: the connection ends. */
static void hang_up(struct connection *c)
{
    shutdown(c->fd, SHUT_RDWR);
}

static void send_reply(struct connection *c, const void *head, size_t head_len, const void *body,
    size_t body_len)
{
    pthread_mutex_lock(&c->sending);
    if (!vmscm_nbdproto_send(c->fd, head, head_len, body, body_len))
        hang_up(c);
    pthread_mutex_unlock(&c->sending);
}

static void reply_simple(struct connection *c, const struct vmscm_nbd_request *r, uint32_t error)
{
    uint8_t head[VMSCM_NBD_SIMPLE_SIZE];

    vmscm_nbdproto_simple(head, error, r->cookie);
    send_reply(c, head, sizeof head, NULL, 0);
}

/* Ends the reply to a request that is answered by chunks. */
static void reply_error_chunk(struct connection *c, const struct vmscm_nbd_request *r,
    uint32_t error)
{
    uint8_t head[VMSCM_NBD_CHUNK_SIZE + 6] = {0};

    vmscm_nbdproto_chunk(head, VMSCM_NBD_CHUNK_ERROR, true, r->cookie, 6);
    vmscm_put_be32(head + VMSCM_NBD_CHUNK_SIZE, error);
    send_reply(c, head, sizeof head, NULL, 0);
}

static void reply_error(struct connection *c, const struct vmscm_nbd_request *r, uint32_t error)
{
    if (c->session.structured &&
        (r->type == VMSCM_NBD_READ || r->type == VMSCM_NBD_BLOCK_STATUS))
        reply_error_chunk(c, r, error);
    else
        reply_simple(c, r, error);
}

static void note_failure(struct vmscm_nbdserver *s, const struct vmscm_error *err)
{
    pthread_mutex_lock(&s->lock);
    if (s->failure.code == VMSCM_OK)
        s->failure = *err;
    pthread_mutex_unlock(&s->lock);
}

/* What to send next of [offset, offset + left): a hole, or data up to PIECE with short holes in
 * it. */
static int next_piece(struct vmscm_blockdev *dev, uint64_t offset, uint32_t left, uint32_t *len,
    bool *zero, struct vmscm_error *err)
{
    uint64_t n, total = 0;
    bool z;
    int rc;

    *zero = false;
    while (total < left && total < PIECE) {
        if ((rc = vmscm_blockdev_extent(dev, offset + total, &n, &z, err)))
            return rc;
        if (n > left - total)
            n = left - total;
        if (z && (n >= SHORT_HOLE || (total == 0 && n == left))) {
            if (total == 0) {
                *zero = true;
                total = n;
            }
            break;
        }
        total += n;
    }
    if (!*zero && total > PIECE)
        total = PIECE;
    *len = (uint32_t)total;
    return 0;
}

static int read_chunks(struct connection *c, const struct vmscm_nbd_request *r, uint8_t *buf,
    struct vmscm_error *err)
{
    uint8_t head[VMSCM_NBD_CHUNK_SIZE + 12];
    uint64_t offset = r->offset;
    uint32_t left = r->length, n;
    bool zero;
    int rc;

    while (left) {
        if ((rc = next_piece(c->server->dev, offset, left, &n, &zero, err)))
            return rc;
        bool last = n == left;
        vmscm_nbdproto_put64(head + VMSCM_NBD_CHUNK_SIZE, offset);
        if (zero) {
            vmscm_nbdproto_chunk(head, VMSCM_NBD_CHUNK_HOLE, last, r->cookie, 12);
            vmscm_put_be32(head + VMSCM_NBD_CHUNK_SIZE + 8, n);
            send_reply(c, head, VMSCM_NBD_CHUNK_SIZE + 12, NULL, 0);
        } else {
            if ((rc = vmscm_blockdev_pread(c->server->dev, buf, n, offset, err)))
                return rc;
            vmscm_nbdproto_chunk(head, VMSCM_NBD_CHUNK_DATA, last, r->cookie, 8 + n);
            send_reply(c, head, VMSCM_NBD_CHUNK_SIZE + 8, buf, n);
        }
        offset += n;
        left -= n;
    }
    return 0;
}

/* A simple reply is one header and all the data: nobody else may send in between, and once the
 * header has said all is well a failure can only end the connection. */
static int read_simple(struct connection *c, const struct vmscm_nbd_request *r, uint8_t *buf,
    bool *begun, struct vmscm_error *err)
{
    uint8_t head[VMSCM_NBD_SIMPLE_SIZE];
    int rc = 0;

    vmscm_nbdproto_simple(head, 0, r->cookie);
    pthread_mutex_lock(&c->sending);
    for (uint32_t done = 0; !rc && done < r->length;) {
        uint32_t n = r->length - done < PIECE ? r->length - done : PIECE;
        rc = vmscm_blockdev_pread(c->server->dev, buf, n, r->offset + done, err);
        if (rc)
            break;
        if (!vmscm_nbdproto_send(c->fd, *begun ? buf : head, *begun ? n : sizeof head,
                *begun ? NULL : buf, *begun ? 0 : n)) {
            hang_up(c);
            break;
        }
        *begun = true;
        done += n;
    }
    pthread_mutex_unlock(&c->sending);
    return rc;
}

static void handle_read(struct connection *c, const struct vmscm_nbd_request *r, uint8_t *buf)
{
    struct vmscm_nbdserver *s = c->server;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    bool begun = false;
    int rc;

    rc = c->session.structured ? read_chunks(c, r, buf, &err) : read_simple(c, r, buf, &begun, &err);
    if (rc) {
        note_failure(s, &err);
        if (begun)
            hang_up(c);
        else
            reply_error(c, r, VMSCM_NBD_EIO);
        return;
    }
    pthread_mutex_lock(&s->lock);
    if (s->read_done)
        s->read_done(s->data, r->offset, r->length);
    pthread_mutex_unlock(&s->lock);
}

/* buf has room for PIECE bytes. */
static void handle_status(struct connection *c, const struct vmscm_nbd_request *r, uint8_t *buf)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    uint8_t head[VMSCM_NBD_CHUNK_SIZE + 4];
    uint32_t left = r->length, count = 0, max = r->flags & VMSCM_NBD_FLAG_REQ_ONE ? 1 : STATUS_MAX;
    uint64_t offset = r->offset, n;
    bool zero, last = false;

    /* One more than fits is looked at, since it may continue the one before. */
    while (left) {
        if (vmscm_blockdev_extent(c->server->dev, offset, &n, &zero, &err)) {
            note_failure(c->server, &err);
            reply_error(c, r, VMSCM_NBD_EIO);
            return;
        }
        if (n > left)
            n = left;
        uint8_t *entry = buf + 8 * (size_t)count;
        if (count && zero == last) {
            entry -= 8;
            vmscm_put_be32(entry, vmscm_get_be32(entry) + (uint32_t)n);
        } else if (count == max) {
            break;
        } else {
            vmscm_put_be32(entry, (uint32_t)n);
            vmscm_put_be32(entry + 4, zero ? VMSCM_NBD_STATE_HOLE_ZERO : 0);
            count++;
        }
        last = zero;
        offset += n;
        left -= (uint32_t)n;
    }
    vmscm_nbdproto_chunk(head, VMSCM_NBD_CHUNK_STATUS, true, r->cookie, 4 + 8 * count);
    vmscm_put_be32(head + VMSCM_NBD_CHUNK_SIZE, VMSCM_NBD_CONTEXT_ID);
    send_reply(c, head, sizeof head, buf, 8 * (size_t)count);
}

static void handle(struct connection *c, const struct vmscm_nbd_request *r, uint8_t *buf)
{
    uint64_t size = c->server->dev->size;
    bool inside = r->offset <= size && r->length <= size - r->offset;
    unsigned flags = r->flags;

    switch (r->type) {
    case VMSCM_NBD_READ:
        if (flags & ~VMSCM_NBD_FLAG_FUA || !inside || !r->length ||
            r->length > VMSCM_NBD_REQUEST_MAX)
            reply_error(c, r, VMSCM_NBD_EINVAL);
        else
            handle_read(c, r, buf);
        break;
    case VMSCM_NBD_BLOCK_STATUS:
        if (!c->session.allocation || flags & ~(VMSCM_NBD_FLAG_FUA | VMSCM_NBD_FLAG_REQ_ONE) ||
            !inside || !r->length)
            reply_error(c, r, VMSCM_NBD_EINVAL);
        else
            handle_status(c, r, buf);
        break;
    case VMSCM_NBD_FLUSH:
        reply_error(c, r, r->offset || r->length ? VMSCM_NBD_EINVAL : 0);
        break;
    case VMSCM_NBD_WRITE:
    case VMSCM_NBD_TRIM:
    case VMSCM_NBD_WRITE_ZEROES:
        reply_error(c, r, VMSCM_NBD_EPERM);
        break;
    default:
        reply_error(c, r, VMSCM_NBD_EINVAL);
    }
}

/* The next request, with a write's payload passed over. */
static bool receive(struct connection *c, struct vmscm_nbd_request *r, uint8_t *buf)
{
    uint8_t wire[VMSCM_NBD_REQUEST_SIZE];

    if (!vmscm_nbdproto_recv(c->fd, wire, sizeof wire) || !vmscm_nbdproto_parse(r, wire) ||
        r->type == VMSCM_NBD_DISC)
        return false;
    if (r->type != VMSCM_NBD_WRITE)
        return true;
    if (r->length > VMSCM_NBD_REQUEST_MAX)
        return false;
    for (uint32_t left = r->length; left;) {
        uint32_t n = left < PIECE ? left : PIECE;
        if (!vmscm_nbdproto_recv(c->fd, buf, n))
            return false;
        left -= n;
    }
    return true;
}

static void *serve_requests(void *data)
{
    struct connection *c = data;
    struct vmscm_nbd_request request;
    uint8_t *buf = malloc(PIECE);

    while (buf) {
        pthread_mutex_lock(&c->receiving);
        if (!c->over && !receive(c, &request, buf))
            c->over = true;
        bool over = c->over;
        pthread_mutex_unlock(&c->receiving);
        if (over)
            break;
        handle(c, &request, buf);
    }
    if (!buf)
        hang_up(c);
    free(buf);
    return NULL;
}

static void *serve_connection(void *data)
{
    struct connection *c = data;
    struct vmscm_nbdserver *s = c->server;
    unsigned helpers = 0;

    if (vmscm_nbdproto_handshake(c->fd, s->dev->size, &c->session)) {
        pthread_t *threads = calloc(s->jobs, sizeof *threads);
        /* Fewer threads than asked for are slower, not wrong. */
        while (threads && helpers + 1 < s->jobs &&
            pthread_create(&threads[helpers], NULL, serve_requests, c) == 0)
            helpers++;
        serve_requests(c);
        for (unsigned i = 0; i < helpers; i++)
            pthread_join(threads[i], NULL);
        free(threads);
    }
    hang_up(c);
    pthread_mutex_lock(&s->lock);
    c->done = true;
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void connection_free(struct connection *c)
{
    close(c->fd);
    pthread_mutex_destroy(&c->receiving);
    pthread_mutex_destroy(&c->sending);
    free(c);
}

/* Joins the connections that are done, or with `all` every one. */
static void reap(struct vmscm_nbdserver *s, bool all)
{
    struct connection *finished = NULL;

    pthread_mutex_lock(&s->lock);
    for (struct connection **link = &s->connections; *link;) {
        struct connection *c = *link;
        if (!all && !c->done) {
            link = &c->next;
            continue;
        }
        hang_up(c);
        *link = c->next;
        c->next = finished;
        finished = c;
        s->connection_count--;
    }
    pthread_mutex_unlock(&s->lock);
    while (finished) {
        struct connection *c = finished;
        finished = c->next;
        pthread_join(c->thread, NULL);
        connection_free(c);
    }
}

static void accept_one(struct vmscm_nbdserver *s)
{
    int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0) {
        /* Out of descriptors: let go of the processor until some are free again. */
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            usleep(10000);
        return;
    }
    reap(s, false);
    struct connection *c = calloc(1, sizeof *c);
    if (!c || s->connection_count >= CONNECTIONS_MAX) {
        free(c);
        close(fd);
        return;
    }
    c->server = s;
    c->fd = fd;
    pthread_mutex_init(&c->receiving, NULL);
    pthread_mutex_init(&c->sending, NULL);
    pthread_mutex_lock(&s->lock);
    bool started = pthread_create(&c->thread, NULL, serve_connection, c) == 0;
    if (started) {
        c->next = s->connections;
        s->connections = c;
        s->connection_count++;
    }
    pthread_mutex_unlock(&s->lock);
    if (!started)
        connection_free(c);
}

static void *serve(void *data)
{
    struct vmscm_nbdserver *s = data;
    struct pollfd p[2] = {{.fd = s->listener, .events = POLLIN}, {.fd = s->wake, .events = POLLIN}};

    for (;;) {
        if (poll(p, 2, -1) < 0)
            continue;
        if (p[1].revents)
            break;
        if (p[0].revents)
            accept_one(s);
    }
    reap(s, true);
    return NULL;
}

static int listen_at(int *fd, const char *path, struct vmscm_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof address.sun_path)
        return vmscm_error_set(err, VMSCM_EUSAGE, "%s: too long for a socket's name", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0 || bind(*fd, (struct sockaddr *)&address, sizeof address) < 0)
        return vmscm_error_errno(err, errno, "%s: making a socket", path);
    if (chmod(path, 0600) < 0 || listen(*fd, 16) < 0) {
        int rc = vmscm_error_errno(err, errno, "%s: making a socket", path);
        unlink(path);
        return rc;
    }
    return 0;
}

static void server_free(struct vmscm_nbdserver *s)
{
    if (s->listener >= 0)
        close(s->listener);
    if (s->wake >= 0)
        close(s->wake);
    free(s->socket_path);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

int vmscm_nbdserver_start(struct vmscm_nbdserver **out, struct vmscm_blockdev *dev,
    const char *socket_path, unsigned jobs,
    void (*read_done)(void *data, uint64_t offset, uint64_t len), void *data,
    struct vmscm_error *err)
{
    struct vmscm_nbdserver *s = calloc(1, sizeof *s);
    int rc;

    if (!s)
        return vmscm_error_nomem(err);
    s->dev = dev;
    s->jobs = jobs ? jobs : 1;
    s->read_done = read_done;
    s->data = data;
    s->listener = s->wake = -1;
    pthread_mutex_init(&s->lock, NULL);
    if ((rc = vmscm_str_dup(&s->socket_path, socket_path, err)) ||
        (rc = listen_at(&s->listener, socket_path, err)))
        goto out;
    s->wake = eventfd(0, EFD_CLOEXEC);
    int errnum = s->wake < 0 ? errno : pthread_create(&s->thread, NULL, serve, s);
    if (errnum) {
        rc = vmscm_error_errno(err, errnum, "%s: serving it", socket_path);
        unlink(socket_path);
        goto out;
    }
    *out = s;
    s = NULL;
out:
    if (s)
        server_free(s);
    return rc;
}

void vmscm_nbdserver_stop(struct vmscm_nbdserver *server, struct vmscm_error *failure)
{
    uint64_t one = 1;

    if (!server)
        return;
    while (write(server->wake, &one, sizeof one) < 0 && errno == EINTR)
        ;
    pthread_join(server->thread, NULL);
    unlink(server->socket_path);
    if (failure)
        *failure = server->failure;
    server_free(server);
}
