/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The server's side of the NBD protocol on the wire: numbers, exact sends and receives, and the
 * handshake of fixed newstyle. Source:
 * https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
 * Nothing a client says is trusted: every length is bounded before it is received.
 */
#ifndef IMAGE_NBDPROTO_H
#define IMAGE_NBDPROTO_H

#include "base/endian.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VMSCM_NBD_REQUEST_MAX (32u << 20) /* bytes of one read or write */
#define VMSCM_NBD_REQUEST_SIZE 28         /* a request on the wire */
#define VMSCM_NBD_CONTEXT_ID 1            /* of base:allocation */

enum vmscm_nbd_command {
    VMSCM_NBD_READ = 0,
    VMSCM_NBD_WRITE = 1,
    VMSCM_NBD_DISC = 2,
    VMSCM_NBD_FLUSH = 3,
    VMSCM_NBD_TRIM = 4,
    VMSCM_NBD_CACHE = 5,
    VMSCM_NBD_WRITE_ZEROES = 6,
    VMSCM_NBD_BLOCK_STATUS = 7,
};

enum vmscm_nbd_command_flag { VMSCM_NBD_FLAG_FUA = 1, VMSCM_NBD_FLAG_REQ_ONE = 8 };

enum vmscm_nbd_error { VMSCM_NBD_EPERM = 1, VMSCM_NBD_EIO = 5, VMSCM_NBD_EINVAL = 22 };

enum vmscm_nbd_chunk {
    VMSCM_NBD_CHUNK_NONE = 0,
    VMSCM_NBD_CHUNK_DATA = 1,
    VMSCM_NBD_CHUNK_HOLE = 2,
    VMSCM_NBD_CHUNK_STATUS = 5,
    VMSCM_NBD_CHUNK_ERROR = 0x8001,
};

#define VMSCM_NBD_STATE_HOLE_ZERO 3u /* a hole, and reads as zeros */

struct vmscm_nbd_request {
    uint16_t flags;
    uint16_t type;
    uint64_t cookie;
    uint64_t offset;
    uint32_t length;
};

/* What was agreed on. */
struct vmscm_nbd_session {
    bool structured; /* structured replies */
    bool allocation; /* base:allocation was selected */
};

/* Exactly len bytes; false: the connection is gone. */
bool vmscm_nbdproto_recv(int fd, void *data, size_t len);
/* head, then body (may be NULL), as one. */
bool vmscm_nbdproto_send(int fd, const void *head, size_t head_len, const void *body,
    size_t body_len);

/* True: go on to requests. False: the client left, or broke the rules. */
bool vmscm_nbdproto_handshake(int fd, uint64_t export_size, struct vmscm_nbd_session *session);

/* False: not a request. */
bool vmscm_nbdproto_parse(struct vmscm_nbd_request *out,
    const uint8_t wire[VMSCM_NBD_REQUEST_SIZE]);

/* Big-endian, at any address. */
static inline void vmscm_nbdproto_put64(uint8_t *p, uint64_t v)
{
    vmscm_put_be32(p, (uint32_t)(v >> 32));
    vmscm_put_be32(p + 4, (uint32_t)v);
}

#define VMSCM_NBD_SIMPLE_SIZE 16
#define VMSCM_NBD_CHUNK_SIZE 20
void vmscm_nbdproto_simple(uint8_t out[VMSCM_NBD_SIMPLE_SIZE], uint32_t error, uint64_t cookie);
/* length: of what follows the chunk's header. */
void vmscm_nbdproto_chunk(uint8_t out[VMSCM_NBD_CHUNK_SIZE], enum vmscm_nbd_chunk type, bool last,
    uint64_t cookie, uint32_t length);

#endif
