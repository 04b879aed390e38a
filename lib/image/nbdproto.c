/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/nbdproto.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define MAGIC_HELLO UINT64_C(0x4e42444d41474943)  /* "NBDMAGIC" */
#define MAGIC_OPTION UINT64_C(0x49484156454f5054) /* "IHAVEOPT" */
#define MAGIC_OPTION_REPLY UINT64_C(0x0003e889045565a9)
#define MAGIC_REQUEST 0x25609513u
#define MAGIC_SIMPLE 0x67446698u
#define MAGIC_CHUNK 0x668e33efu

#define HELLO_FIXED 1u
#define HELLO_NO_ZEROES 2u

/* Of the export: has flags, read-only, flush, and several connections see one state. */
#define EXPORT_FLAGS (1u | 2u | 4u | 256u)

enum option {
    OPTION_EXPORT_NAME = 1,
    OPTION_ABORT = 2,
    OPTION_LIST = 3,
    OPTION_INFO = 6,
    OPTION_GO = 7,
    OPTION_STRUCTURED = 8,
    OPTION_LIST_CONTEXT = 9,
    OPTION_SET_CONTEXT = 10,
};

enum reply {
    REPLY_ACK = 1,
    REPLY_SERVER = 2,
    REPLY_INFO = 3,
    REPLY_CONTEXT = 4,
};
#define REPLY_UNSUPPORTED 0x80000001u
#define REPLY_INVALID 0x80000003u
#define REPLY_UNKNOWN 0x80000006u

#define INFO_EXPORT 0
#define INFO_BLOCK_SIZE 3
#define BLOCK_PREFERRED 65536u

#define OPTION_MAX 8192  /* bytes of one option; names are at most 4,096 */
#define OPTION_COUNT 128 /* of one handshake */

static const char context_name[] = "base:allocation";

bool vmscm_nbdproto_recv(int fd, void *data, size_t len)
{
    char *p = data;

    while (len) {
        ssize_t n = recv(fd, p, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

bool vmscm_nbdproto_send(int fd, const void *head, size_t head_len, const void *body,
    size_t body_len)
{
    struct iovec iov[2] = {{(void *)head, head_len}, {(void *)body, body_len}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = body_len ? 2 : 1};

    while (msg.msg_iovlen) {
        ssize_t n = sendmsg(fd, &msg, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        for (size_t done = (size_t)n; msg.msg_iovlen;) {
            struct iovec *v = msg.msg_iov;
            if (done < v->iov_len) {
                v->iov_base = (char *)v->iov_base + done;
                v->iov_len -= done;
                break;
            }
            done -= v->iov_len;
            msg.msg_iov++;
            msg.msg_iovlen--;
        }
    }
    return true;
}

static void put_be16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

bool vmscm_nbdproto_parse(struct vmscm_nbd_request *out,
    const uint8_t wire[VMSCM_NBD_REQUEST_SIZE])
{
    out->flags = vmscm_get_be16(wire + 4);
    out->type = vmscm_get_be16(wire + 6);
    out->cookie = vmscm_get_be64(wire + 8);
    out->offset = vmscm_get_be64(wire + 16);
    out->length = vmscm_get_be32(wire + 24);
    return vmscm_get_be32(wire) == MAGIC_REQUEST;
}

void vmscm_nbdproto_simple(uint8_t out[VMSCM_NBD_SIMPLE_SIZE], uint32_t error, uint64_t cookie)
{
    vmscm_put_be32(out, MAGIC_SIMPLE);
    vmscm_put_be32(out + 4, error);
    vmscm_nbdproto_put64(out + 8, cookie);
}

void vmscm_nbdproto_chunk(uint8_t out[VMSCM_NBD_CHUNK_SIZE], enum vmscm_nbd_chunk type, bool last,
    uint64_t cookie, uint32_t length)
{
    vmscm_put_be32(out, MAGIC_CHUNK);
    put_be16(out + 4, last ? 1 : 0);
    put_be16(out + 6, (uint16_t)type);
    vmscm_nbdproto_put64(out + 8, cookie);
    vmscm_put_be32(out + 16, length);
}

/* An option's data, taken apart from the front. */
struct reader {
    const uint8_t *p;
    size_t left;
};

static bool take(struct reader *r, const uint8_t **out, size_t len)
{
    if (r->left < len)
        return false;
    *out = r->p;
    r->p += len;
    r->left -= len;
    return true;
}

/* A length of 32 bits, and as many bytes. */
static bool take_string(struct reader *r, const uint8_t **out, uint32_t *len)
{
    const uint8_t *p;

    if (!take(r, &p, 4))
        return false;
    *len = vmscm_get_be32(p);
    return take(r, out, *len);
}

static bool answer(int fd, uint32_t option, uint32_t type, const void *data, uint32_t len)
{
    uint8_t head[20];

    vmscm_nbdproto_put64(head, MAGIC_OPTION_REPLY);
    vmscm_put_be32(head + 8, option);
    vmscm_put_be32(head + 12, type);
    vmscm_put_be32(head + 16, len);
    return vmscm_nbdproto_send(fd, head, sizeof head, data, len);
}

/* NBD_OPT_INFO and NBD_OPT_GO; *go: on to requests. */
static bool option_info(int fd, uint32_t option, struct reader r, uint64_t size, bool *go)
{
    uint8_t export[12], block[14];
    const uint8_t *name, *count, *list;
    uint32_t name_len;
    bool want_block = false;

    if (!take_string(&r, &name, &name_len) || !take(&r, &count, 2) ||
        !take(&r, &list, (size_t)vmscm_get_be16(count) * 2) || r.left)
        return answer(fd, option, REPLY_INVALID, NULL, 0);
    if (name_len)
        return answer(fd, option, REPLY_UNKNOWN, NULL, 0);
    for (unsigned i = 0; i < vmscm_get_be16(count); i++)
        want_block |= vmscm_get_be16(list + 2 * i) == INFO_BLOCK_SIZE;
    put_be16(export, INFO_EXPORT);
    vmscm_nbdproto_put64(export + 2, size);
    put_be16(export + 10, EXPORT_FLAGS);
    put_be16(block, INFO_BLOCK_SIZE);
    vmscm_put_be32(block + 2, 1);
    vmscm_put_be32(block + 6, BLOCK_PREFERRED);
    vmscm_put_be32(block + 10, VMSCM_NBD_REQUEST_MAX);
    *go = option == OPTION_GO;
    return answer(fd, option, REPLY_INFO, export, sizeof export) &&
        (!want_block || answer(fd, option, REPLY_INFO, block, sizeof block)) &&
        answer(fd, option, REPLY_ACK, NULL, 0);
}

/* NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT. */
static bool option_context(int fd, uint32_t option, struct reader r,
    struct vmscm_nbd_session *session)
{
    uint8_t reply[4 + sizeof context_name - 1];
    const uint8_t *name, *count, *query;
    uint32_t name_len, query_len;
    bool list = option == OPTION_LIST_CONTEXT, found;

    if (!take_string(&r, &name, &name_len) || !take(&r, &count, 4) ||
        (!list && !session->structured))
        return answer(fd, option, REPLY_INVALID, NULL, 0);
    if (!list)
        session->allocation = false;
    found = list && vmscm_get_be32(count) == 0;
    for (uint32_t i = 0; i < vmscm_get_be32(count); i++) {
        if (!take_string(&r, &query, &query_len))
            return answer(fd, option, REPLY_INVALID, NULL, 0);
        found |= query_len == sizeof context_name - 1 &&
            memcmp(query, context_name, query_len) == 0;
        found |= list && query_len == 5 && memcmp(query, "base:", 5) == 0;
    }
    if (r.left)
        return answer(fd, option, REPLY_INVALID, NULL, 0);
    if (name_len)
        return answer(fd, option, REPLY_UNKNOWN, NULL, 0);
    vmscm_put_be32(reply, list ? 0 : VMSCM_NBD_CONTEXT_ID);
    memcpy(reply + 4, context_name, sizeof context_name - 1);
    if (found && !answer(fd, option, REPLY_CONTEXT, reply, sizeof reply))
        return false;
    if (found && !list)
        session->allocation = true;
    return answer(fd, option, REPLY_ACK, NULL, 0);
}

/* NBD_OPT_EXPORT_NAME has no way to say no but to hang up. */
static bool option_export_name(int fd, uint32_t len, uint64_t size, bool no_zeroes)
{
    uint8_t reply[10 + 124] = {0};

    if (len)
        return false;
    vmscm_nbdproto_put64(reply, size);
    put_be16(reply + 8, EXPORT_FLAGS);
    return vmscm_nbdproto_send(fd, reply, no_zeroes ? 10 : sizeof reply, NULL, 0);
}

/* One option; *go: on to requests. False: hang up. */
static bool handle_option(int fd, uint32_t option, const uint8_t *data, uint32_t len,
    uint64_t size, bool no_zeroes, struct vmscm_nbd_session *session, bool *go)
{
    static const uint8_t no_name[4] = {0};
    struct reader r = {data, len};

    switch (option) {
    case OPTION_EXPORT_NAME:
        *go = true;
        return option_export_name(fd, len, size, no_zeroes);
    case OPTION_ABORT:
        answer(fd, option, REPLY_ACK, NULL, 0);
        return false;
    case OPTION_LIST:
        if (len)
            return answer(fd, option, REPLY_INVALID, NULL, 0);
        return answer(fd, option, REPLY_SERVER, no_name, sizeof no_name) &&
            answer(fd, option, REPLY_ACK, NULL, 0);
    case OPTION_INFO:
    case OPTION_GO:
        return option_info(fd, option, r, size, go);
    case OPTION_STRUCTURED:
        if (len)
            return answer(fd, option, REPLY_INVALID, NULL, 0);
        session->structured = true;
        return answer(fd, option, REPLY_ACK, NULL, 0);
    case OPTION_LIST_CONTEXT:
    case OPTION_SET_CONTEXT:
        return option_context(fd, option, r, session);
    default:
        return answer(fd, option, REPLY_UNSUPPORTED, NULL, 0);
    }
}

bool vmscm_nbdproto_handshake(int fd, uint64_t export_size, struct vmscm_nbd_session *session)
{
    uint8_t hello[18], word[4], head[16], data[OPTION_MAX];
    bool go = false;

    *session = (struct vmscm_nbd_session){false, false};
    vmscm_nbdproto_put64(hello, MAGIC_HELLO);
    vmscm_nbdproto_put64(hello + 8, MAGIC_OPTION);
    put_be16(hello + 16, HELLO_FIXED | HELLO_NO_ZEROES);
    if (!vmscm_nbdproto_send(fd, hello, sizeof hello, NULL, 0) ||
        !vmscm_nbdproto_recv(fd, word, sizeof word))
        return false;
    uint32_t flags = vmscm_get_be32(word);
    if (flags & ~(HELLO_FIXED | HELLO_NO_ZEROES))
        return false;
    for (int i = 0; i < OPTION_COUNT && !go; i++) {
        if (!vmscm_nbdproto_recv(fd, head, sizeof head) || vmscm_get_be64(head) != MAGIC_OPTION)
            return false;
        uint32_t len = vmscm_get_be32(head + 12);
        if (len > sizeof data || !vmscm_nbdproto_recv(fd, data, len))
            return false;
        if (!handle_option(fd, vmscm_get_be32(head + 8), data, len, export_size,
                flags & HELLO_NO_ZEROES, session, &go))
            return false;
    }
    return go;
}
