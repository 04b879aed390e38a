/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where to cut a segment: block-aligned content-defined chunking. Each 4 KiB block is hashed by
 * itself (XXH3-64); a chunk ends after a block whose hash is in the lowest twelfth, is at least 4 and
 * at most 64 blocks, and ends before a block of zeros and with its segment. Guests write whole blocks at
 * block addresses, so cut points need no rolling hash, and fall at the same places however data
 * moves by whole blocks.
 *
 * The parameters are part of the format only in that changing them costs deduplication against
 * what is stored already; any cut is readable.
 *
 * Pure; thread-safe.
 */
#ifndef CHUNK_CUTTER_H
#define CHUNK_CUTTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VMSCM_CUTTER_BLOCK 4096u
#define VMSCM_CUTTER_MIN_BLOCKS 4u
#define VMSCM_CUTTER_MAX_BLOCKS 64u
#define VMSCM_CUTTER_MAX (VMSCM_CUTTER_MAX_BLOCKS * VMSCM_CUTTER_BLOCK)

/* True if len bytes (any number) are all zero. */
bool vmscm_cutter_is_zero(const void *data, size_t len);

/* Blocks of zeros at the start of data; the last block may be short. */
size_t vmscm_cutter_zero_blocks(const void *data, size_t len);

/* Blocks of the chunk that starts data, whose first block is not zero. len is at least
 * VMSCM_CUTTER_MAX, or data ends with the segment or before a hole. */
size_t vmscm_cutter_next(const void *data, size_t len);

#endif
