/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What two repositories say to each other, as bytes: vmscm-format-remote(5). Pure, no I/O, thread-safe.
 *
 * A request is frames, of which the first is VMSCM_WIRE_REQUEST and the last VMSCM_WIRE_END; so is what
 * answers it, beginning with VMSCM_WIRE_RESPONSE, or with VMSCM_WIRE_ERROR in place of any frame.
 * Nothing here allocates by what a peer claims.
 */
#ifndef FORMAT_WIRE_H
#define FORMAT_WIRE_H

#include "base/buf.h"
#include "format/pack.h"
#include <vmscm/error.h>

#define VMSCM_WIRE_VERSION 1
#define VMSCM_WIRE_HEAD_SIZE 8
#define VMSCM_WIRE_FRAME_MAX ((4u << 20) + (64u << 10)) /* bytes after the head; more than any record */
#define VMSCM_WIRE_BLOCK_MAX (4u << 20)                 /* plain bytes of a block of history */
#define VMSCM_WIRE_OID_SIZE 20                          /* of git's ids */
#define VMSCM_WIRE_NAME_MAX 1024                        /* bytes of a ref's name */
#define VMSCM_WIRE_TEXT_MAX 1000                        /* bytes of a message */
#define VMSCM_WIRE_IDS_MAX (64u << 10) /* ids of one frame */

enum vmscm_wire_type {
    VMSCM_WIRE_REQUEST = 1,
    VMSCM_WIRE_RESPONSE = 2,
    VMSCM_WIRE_END = 3,
    VMSCM_WIRE_ERROR = 4,
    VMSCM_WIRE_INFO = 5,
    VMSCM_WIRE_REFS = 6,
    VMSCM_WIRE_COMMITS = 7,
    VMSCM_WIRE_HISTORY = 8,
    VMSCM_WIRE_IDS = 9,
    VMSCM_WIRE_ENTRIES = 10,
    VMSCM_WIRE_BITS = 11,
    VMSCM_WIRE_RECORD = 12,
    VMSCM_WIRE_UPDATE = 13,
    VMSCM_WIRE_RESULT = 14,
    VMSCM_WIRE_TOTAL = 15,
    VMSCM_WIRE_ALIVE = 16, /* says nothing */
    VMSCM_WIRE_CHECKSUM = 17, /* of a bundle: histbundle.h */
};

enum vmscm_wire_op {
    VMSCM_WIRE_OP_REFS = 1,
    VMSCM_WIRE_OP_HISTORY = 2,
    VMSCM_WIRE_OP_DATA = 3,
    VMSCM_WIRE_OP_ASK = 4,
    VMSCM_WIRE_OP_SEND = 5,
};

enum vmscm_wire_request_flag {
    VMSCM_WIRE_ATOMIC = 1, /* SEND: all refs or none */
    VMSCM_WIRE_ALONE = 2,  /* DATA: records without bases */
};

enum vmscm_wire_info_flag {
    VMSCM_WIRE_READ_ONLY = 1, /* nothing can be sent there */
    VMSCM_WIRE_RESUMABLE = 2, /* it has parts of a transfer that was interrupted */
    VMSCM_WIRE_EMPTY = 4,     /* it has no data at all */
};

/* What a list of commits or ids is for. */
enum vmscm_wire_role {
    VMSCM_WIRE_WANT = 1,
    VMSCM_WIRE_HAVE = 2,
    VMSCM_WIRE_BARE = 3,    /* commits whose disks' data does not come with them */
    VMSCM_WIRE_LACK = 4,    /* chunks and leaves that are missing */
};

enum vmscm_wire_update_flag {
    VMSCM_WIRE_FORCE = 1, /* also to what does not follow from what it was */
    VMSCM_WIRE_MERGE = 2, /* notes: the union of both */
};

void vmscm_wire_encode_head(uint8_t out[VMSCM_WIRE_HEAD_SIZE], unsigned type, uint32_t length);
/* VMSCM_EINPUT: no frame. */
int vmscm_wire_decode_head(unsigned *type, uint32_t *length, const uint8_t in[VMSCM_WIRE_HEAD_SIZE],
    struct vmscm_error *err);

/* All that encode append to buf; all that decode read a frame's bytes after its head, and fail with
 * VMSCM_EINPUT. What they hand out is borrowed from these. */

struct vmscm_wire_opening {
    uint8_t op; /* enum vmscm_wire_op; of a response: that of its request */
    uint16_t flags;
};
int vmscm_wire_encode_opening(struct vmscm_buf *buf, const struct vmscm_wire_opening *opening,
    struct vmscm_error *err);
/* VMSCM_EUNSUPPORTED: of another version. */
int vmscm_wire_decode_opening(struct vmscm_wire_opening *opening, const uint8_t *in, size_t len,
    struct vmscm_error *err);

int vmscm_wire_encode_error(struct vmscm_buf *buf, const struct vmscm_error *said,
    struct vmscm_error *err);
int vmscm_wire_decode_error(struct vmscm_error *said, const uint8_t *in, size_t len,
    struct vmscm_error *err);

struct vmscm_wire_info {
    uint32_t flags;
    char agent[64]; /* which program it is */
};
int vmscm_wire_encode_info(struct vmscm_buf *buf, const struct vmscm_wire_info *info,
    struct vmscm_error *err);
int vmscm_wire_decode_info(struct vmscm_wire_info *info, const uint8_t *in, size_t len,
    struct vmscm_error *err);

/* Refs, one after the other in a frame. Names are checked to be names, not which they are. */
struct vmscm_wire_ref {
    uint8_t id[VMSCM_WIRE_OID_SIZE];     /* of the commit or tag */
    uint8_t commit[VMSCM_WIRE_OID_SIZE]; /* that it leads to */
    char name[VMSCM_WIRE_NAME_MAX + 1];
};
int vmscm_wire_encode_ref(struct vmscm_buf *buf, const struct vmscm_wire_ref *ref,
    struct vmscm_error *err);
/* The next one, from *in on, which is moved on. *len is 0 after the last. */
int vmscm_wire_decode_ref(struct vmscm_wire_ref *ref, const uint8_t **in, size_t *len,
    struct vmscm_error *err);

/* A role, and ids of one size: of VMSCM_WIRE_COMMITS, VMSCM_WIRE_OID_SIZE; of VMSCM_WIRE_IDS,
 * VMSCM_HASH_SIZE. */
int vmscm_wire_encode_list(struct vmscm_buf *buf, unsigned role, const void *ids, size_t count,
    size_t size, struct vmscm_error *err);
int vmscm_wire_decode_list(unsigned *role, const uint8_t **ids, size_t *count, size_t size,
    const uint8_t *in, size_t len, struct vmscm_error *err);

/* A block of the stream of git objects: how it is compressed, and how long it is then. */
int vmscm_wire_decode_block(unsigned *algorithm, uint32_t *plain, const uint8_t **stored,
    size_t *stored_len, const uint8_t *in, size_t len, struct vmscm_error *err);
#define VMSCM_WIRE_BLOCK_HEAD 8
void vmscm_wire_encode_block(uint8_t out[VMSCM_WIRE_BLOCK_HEAD], unsigned algorithm, uint32_t plain);

/* Bits, the first in the lowest bit of the first byte; the rest of the last byte is 0. */
int vmscm_wire_encode_bits(struct vmscm_buf *buf, const uint8_t *bits, size_t count,
    struct vmscm_error *err);
int vmscm_wire_decode_bits(const uint8_t **bits, size_t *count, const uint8_t *in, size_t len,
    struct vmscm_error *err);
/* Entries of a leaf: its id, then bits. */
int vmscm_wire_encode_entries(struct vmscm_buf *buf, const struct vmscm_id *leaf,
    const uint8_t *bits, size_t count, struct vmscm_error *err);
int vmscm_wire_decode_entries(struct vmscm_id *leaf, const uint8_t **bits, size_t *count,
    const uint8_t *in, size_t len, struct vmscm_error *err);

struct vmscm_wire_update {
    unsigned flags;
    uint8_t before[VMSCM_WIRE_OID_SIZE]; /* zeros: there is none */
    uint8_t after[VMSCM_WIRE_OID_SIZE];  /* zeros: it is to go */
    char name[VMSCM_WIRE_NAME_MAX + 1];
};
int vmscm_wire_encode_update(struct vmscm_buf *buf, const struct vmscm_wire_update *update,
    struct vmscm_error *err);
int vmscm_wire_decode_update(struct vmscm_wire_update *update, const uint8_t *in, size_t len,
    struct vmscm_error *err);

/* What became of an update; why.code is 0 if it was done. */
struct vmscm_wire_result {
    char name[VMSCM_WIRE_NAME_MAX + 1];
    struct vmscm_error why;
};
int vmscm_wire_encode_result(struct vmscm_buf *buf, const struct vmscm_wire_result *result,
    struct vmscm_error *err);
int vmscm_wire_decode_result(struct vmscm_wire_result *result, const uint8_t *in, size_t len,
    struct vmscm_error *err);

int vmscm_wire_decode_total(uint64_t *total, const uint8_t *in, size_t len,
    struct vmscm_error *err);

#endif
