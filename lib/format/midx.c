/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/midx.h"
#include "base/endian.h"
#include "codec/checksum.h"

#define MIDX_VERSION 2
#define PACK_BITS 20 /* of a word: the pack's number; as many bits of a key are not in it */
#define PACK_MASK ((UINT64_C(1) << PACK_BITS) - 1)

static const uint8_t magic[8] = {'V', 'M', 'S', 'C', 'M', 'I', 'D', 'X'};

unsigned vmscm_midx_bits(uint32_t entry_count)
{
    unsigned bits = VMSCM_MIDX_BITS_MIN;

    while (bits < VMSCM_MIDX_BITS_MAX && entry_count >> bits >= 32)
        bits++;
    return bits;
}

void vmscm_midx_lay_out(struct vmscm_midx *midx)
{
    uint64_t n = midx->entry_count;

    midx->ends_at = VMSCM_MIDX_HEADER_SIZE + (uint64_t)midx->pack_count * VMSCM_MIDX_NAME_SIZE;
    midx->prints_at = midx->ends_at + (UINT64_C(4) << midx->bits);
    midx->words_at = midx->prints_at + n * VMSCM_MIDX_PRINT_SIZE;
    midx->sums_at = midx->words_at + n * VMSCM_MIDX_WORD_SIZE;
    midx->file_size = midx->sums_at + UINT64_C(8) * VMSCM_MIDX_SUMS;
}

void vmscm_midx_encode_header(uint8_t out[VMSCM_MIDX_HEADER_SIZE], const struct vmscm_midx *midx)
{
    memset(out, 0, VMSCM_MIDX_HEADER_SIZE);
    memcpy(out, magic, sizeof magic);
    out[8] = MIDX_VERSION;
    out[9] = VMSCM_HASH_SHA256;
    out[10] = (uint8_t)midx->bits;
    vmscm_put_le32(out + 12, midx->pack_count);
    vmscm_put_le32(out + 16, midx->entry_count);
    vmscm_put_le64(out + 24, vmscm_checksum_64(out, 24, 0));
}

int vmscm_midx_decode_header(struct vmscm_midx *midx, const uint8_t *in, uint64_t file_size,
    struct vmscm_error *err)
{
    if (file_size < VMSCM_MIDX_HEADER_SIZE || memcmp(in, magic, sizeof magic) != 0)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "not a multi-pack index");
    if (in[8] != MIDX_VERSION || in[9] != VMSCM_HASH_SHA256)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED,
            "multi-pack index version %d, hash %d: not known", in[8], in[9]);
    if (vmscm_get_le64(in + 24) != vmscm_checksum_64(in, 24, 0))
        return vmscm_error_set(err, VMSCM_EDAMAGED, "multi-pack index: wrong checksum");
    if (in[11] || vmscm_get_le32(in + 20))
        return vmscm_error_set(
            err, VMSCM_EDAMAGED, "multi-pack index: reserved bytes are not zero");
    midx->bits = in[10];
    midx->pack_count = vmscm_get_le32(in + 12);
    midx->entry_count = vmscm_get_le32(in + 16);
    if (midx->bits < VMSCM_MIDX_BITS_MIN || midx->bits > VMSCM_MIDX_BITS_MAX ||
        midx->pack_count > VMSCM_MIDX_PACKS_MAX)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "multi-pack index of impossible size");
    vmscm_midx_lay_out(midx);
    if (file_size != midx->file_size)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "multi-pack index does not fit its file");
    return 0;
}

uint64_t vmscm_midx_key(const struct vmscm_id *id)
{
    return vmscm_get_be64(id->bytes);
}

uint32_t vmscm_midx_bucket(uint64_t key, unsigned bits)
{
    return (uint32_t)(key >> (64 - bits));
}

uint16_t vmscm_midx_print(uint64_t key, unsigned bits)
{
    return (uint16_t)(key >> (48 - bits));
}

uint64_t vmscm_midx_word(uint64_t key, uint32_t pack)
{
    return key << PACK_BITS | pack;
}

uint32_t vmscm_midx_word_pack(uint64_t word)
{
    return (uint32_t)(word & PACK_MASK);
}

bool vmscm_midx_word_is(uint64_t word, uint64_t key)
{
    return (word & ~PACK_MASK) == key << PACK_BITS;
}

uint64_t vmscm_midx_entry_key(uint32_t bucket, unsigned bits, uint16_t print, uint64_t word)
{
    /* Bucket and fingerprint are the first bits + 16 of the key; the word has those from 20 on. */
    uint64_t first = ((uint64_t)bucket << 16 | print) >> (bits + 16 - PACK_BITS);

    return first << (64 - PACK_BITS) | word >> PACK_BITS;
}
