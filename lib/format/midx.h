/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Structures of a multi-pack index, vmscm-format-pack(5): which of several packs may have an id.
 * Derived: may be deleted at any time. Pure, thread-safe.
 *
 *   header 32 | pack names, 16 bytes each | ends of the buckets, 4 bytes each |
 *   fingerprints, 2 bytes an entry | words, 8 bytes an entry | checksums 32
 *
 * Entries are sorted by key, the first 64 bits of an id. Of these, the first few choose the bucket,
 * the next 16 are the fingerprint, and the word has all but the first 20, and the pack's number.
 */
#ifndef FORMAT_MIDX_H
#define FORMAT_MIDX_H

#include "format/pack.h"

#define VMSCM_MIDX_HEADER_SIZE 32
#define VMSCM_MIDX_NAME_SIZE 16 /* the random part of a pack's name, as bytes */
#define VMSCM_MIDX_PRINT_SIZE 2
#define VMSCM_MIDX_WORD_SIZE 8
#define VMSCM_MIDX_SUMS 4 /* of: header and names, ends, fingerprints, words */
#define VMSCM_MIDX_PACKS_MAX (1u << 20)
#define VMSCM_MIDX_BITS_MIN 4
#define VMSCM_MIDX_BITS_MAX 28
#define VMSCM_MIDX_PIECE (1u << 20) /* bytes that a checksum takes in at once */

struct vmscm_midx {
    uint32_t pack_count;
    uint32_t entry_count;
    unsigned bits; /* of a key that choose the bucket */
    uint64_t ends_at, prints_at, words_at, sums_at, file_size;
};

/* The bits that suit so many entries: 16 to 32 a bucket. */
unsigned vmscm_midx_bits(uint32_t entry_count);

/* Where everything is, by the counts and bits in it. */
void vmscm_midx_lay_out(struct vmscm_midx *midx);

void vmscm_midx_encode_header(uint8_t out[VMSCM_MIDX_HEADER_SIZE], const struct vmscm_midx *midx);
/* Checks that the file, file_size bytes, is exactly as long as it must be. */
int vmscm_midx_decode_header(struct vmscm_midx *midx, const uint8_t *in, uint64_t file_size,
    struct vmscm_error *err);

uint64_t vmscm_midx_key(const struct vmscm_id *id);
uint32_t vmscm_midx_bucket(uint64_t key, unsigned bits);
uint16_t vmscm_midx_print(uint64_t key, unsigned bits);
uint64_t vmscm_midx_word(uint64_t key, uint32_t pack);
uint32_t vmscm_midx_word_pack(uint64_t word);
/* Whether a word of a key's bucket and fingerprint is of that key. */
bool vmscm_midx_word_is(uint64_t word, uint64_t key);
/* The key that an entry is of. */
uint64_t vmscm_midx_entry_key(uint32_t bucket, unsigned bits, uint16_t print, uint64_t word);

#endif
