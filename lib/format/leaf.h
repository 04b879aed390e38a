/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A leaf: the list of chunks and zero runs that make up one segment, vmscm-format-leaf(5). Its id
 * is the hash of these bytes. Pure, thread-safe.
 */
#ifndef FORMAT_LEAF_H
#define FORMAT_LEAF_H

#include "base/buf.h"
#include "codec/hash.h"
#include <stdbool.h>

#define VMSCM_LEAF_BLOCK_LOG2 12
#define VMSCM_LEAF_SEGMENT_LOG2 24
#define VMSCM_LEAF_BLOCK (1u << VMSCM_LEAF_BLOCK_LOG2)
#define VMSCM_LEAF_SEGMENT (1u << VMSCM_LEAF_SEGMENT_LOG2) /* bytes of guest address space */
#define VMSCM_LEAF_BLOCKS (VMSCM_LEAF_SEGMENT / VMSCM_LEAF_BLOCK)
#define VMSCM_LEAF_CHUNK_BLOCKS_MAX 256u /* longest chunk a reader accepts: 1 MiB */
#define VMSCM_LEAF_HEADER_SIZE 16
#define VMSCM_LEAF_SIZE_MAX (VMSCM_LEAF_HEADER_SIZE + VMSCM_LEAF_BLOCKS * (2 + VMSCM_HASH_SIZE))

struct vmscm_leaf_entry {
    uint32_t offset; /* in the segment, bytes */
    uint32_t length; /* bytes; whole blocks but for the last of a segment */
    bool zero;
    struct vmscm_id id; /* of the chunk, unless zero */
};

/* Entries are added in order, then the leaf is finished; neighbouring zero runs become one. */
struct vmscm_leaf {
    struct vmscm_buf bytes;
    uint32_t length; /* of the segment so far */
    uint32_t entries;
    size_t zero_at; /* where the last entry is, if it is a zero run; else 0 */
};

/* Empties and starts it anew; storage is kept. Zero-initialise before the first use. */
int vmscm_leaf_begin(struct vmscm_leaf *leaf, struct vmscm_error *err);
/* length: bytes; whole blocks unless it is the segment's last. id NULL: zeros. */
int vmscm_leaf_add(struct vmscm_leaf *leaf, uint32_t length, const struct vmscm_id *id,
    struct vmscm_error *err);
/* leaf->bytes is the encoded leaf after this. *all_zero: no chunk in it; such a leaf is not stored. */
void vmscm_leaf_finish(struct vmscm_leaf *leaf, bool *all_zero);
void vmscm_leaf_release(struct vmscm_leaf *leaf);

/* Check and expand; *entries (caller frees) and *count; *length: bytes of the segment. */
int vmscm_leaf_decode(struct vmscm_leaf_entry **entries, size_t *count, uint32_t *length,
    const void *data, size_t len, struct vmscm_error *err);

#endif
