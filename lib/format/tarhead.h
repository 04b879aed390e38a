/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Headers of tar archives: POSIX ustar and pax (IEEE Std 1003.1, pax), and what GNU tar adds to them,
 * tar(5). Pure, thread-safe.
 */
#ifndef FORMAT_TARHEAD_H
#define FORMAT_TARHEAD_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VMSCM_TARHEAD_BLOCK 512
#define VMSCM_TARHEAD_SIZE_LIMIT (UINT64_C(1) << 62)
#define VMSCM_TARHEAD_EXTENDED_MAX (1u << 20) /* bytes of a pax header or a long name */

/* Where the fields of a header are. */
enum {
    VMSCM_TARHEAD_MODE = 100,
    VMSCM_TARHEAD_UID = 108,
    VMSCM_TARHEAD_GID = 116,
    VMSCM_TARHEAD_SIZE = 124,
    VMSCM_TARHEAD_MTIME = 136,
    VMSCM_TARHEAD_SUM = 148,
    VMSCM_TARHEAD_TYPE = 156,
    VMSCM_TARHEAD_LINK = 157,
    VMSCM_TARHEAD_MAGIC = 257,
    VMSCM_TARHEAD_DEVICE = 329,
    VMSCM_TARHEAD_PREFIX = 345,
    VMSCM_TARHEAD_SPARSE_MORE = 482, /* GNU's sparse member: whether a block of its map follows */
    VMSCM_TARHEAD_MAP_MORE = 504,    /* the same in such a block */
};

/* A number in octal, or in GNU's base 256, up to VMSCM_TARHEAD_SIZE_LIMIT; else false. */
bool vmscm_tarhead_number(uint64_t *out, const uint8_t *field, size_t len);

/* Whether a block's sum is that of its bytes, its own field taken for spaces. */
bool vmscm_tarhead_sum_fits(const uint8_t block[VMSCM_TARHEAD_BLOCK]);

/* Whether a block is a header as tar wrote it before POSIX, without a magic: a name, numbers, and the sum. */
bool vmscm_tarhead_is_old(const uint8_t block[VMSCM_TARHEAD_BLOCK]);

bool vmscm_tarhead_is_zero(const uint8_t block[VMSCM_TARHEAD_BLOCK]);

/* Whether it says something about a header after it: a pax header, a long name or link. */
bool vmscm_tarhead_is_extended(char type);
/* Whether the size in the header is that of bytes that follow it. */
bool vmscm_tarhead_has_bytes(char type);

/* The name as the header itself has it; *out is the caller's. */
int vmscm_tarhead_name(char **out, const uint8_t block[VMSCM_TARHEAD_BLOCK], struct vmscm_error *err);

/* The name as members are looked up, in place: without a leading "./" and a slash at the end; NULL: the
 * archive's own directory. */
const char *vmscm_tarhead_plain_name(char *name);

struct vmscm_tarhead_record {
    const char *key;   /* NUL-terminated, as is the value, which may have NULs before */
    const char *value;
    size_t len;        /* of the value */
};

/* The next record, "LENGTH KEY=VALUE\n", of a pax header, from *at on, which is moved behind it. text has len
 * bytes and a NUL, and is changed. 1: here it is; 0: there are no more; -1: malformed. */
int vmscm_tarhead_record(struct vmscm_tarhead_record *out, char *text, size_t len, size_t *at);

#endif
