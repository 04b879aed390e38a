/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Content ids: SHA-256 (FIPS 180-4) of plain bytes, by OpenSSL.
 *
 * Threading: one struct vmscm_hash per thread; ids are plain values.
 */
#ifndef CODEC_HASH_H
#define CODEC_HASH_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define VMSCM_HASH_SIZE 32 /* bytes of an id */
#define VMSCM_HASH_HEX (2 * VMSCM_HASH_SIZE + 1)

/* Algorithm numbers as stored. */
enum vmscm_hash_algorithm { VMSCM_HASH_SHA256 = 1 };

/* The id of a chunk or leaf. */
struct vmscm_id {
    uint8_t bytes[VMSCM_HASH_SIZE];
};

static inline int vmscm_hash_cmp(const struct vmscm_id *a, const struct vmscm_id *b)
{
    return memcmp(a->bytes, b->bytes, VMSCM_HASH_SIZE);
}

struct vmscm_hash;

/* Whether OpenSSL could set itself up. Where it could not, for want of memory, its functions crash instead of
 * failing. */
bool vmscm_hash_ready(void);

int vmscm_hash_new(struct vmscm_hash **out, struct vmscm_error *err);
void vmscm_hash_free(struct vmscm_hash *hash);

/* The id of len bytes. */
int vmscm_hash_compute(struct vmscm_hash *hash, struct vmscm_id *id, const void *data, size_t len,
    struct vmscm_error *err);

/* SHA-1, as git's files end with; against accidents only. */
#define VMSCM_HASH_SHA1_SIZE 20
int vmscm_hash_sha1(uint8_t out[VMSCM_HASH_SHA1_SIZE], const void *data, size_t len,
    struct vmscm_error *err);

#endif
