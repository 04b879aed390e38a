/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/midx.h"
#include "base/endian.h"
#include "codec/checksum.h"

#define MIDX_VERSION 1

static const uint8_t magic[8] = {'V', 'M', 'S', 'C', 'M', 'I', 'D', 'X'};

void vmscm_midx_encode_header(uint8_t out[VMSCM_MIDX_HEADER_SIZE], uint32_t pack_count,
    uint64_t entry_count)
{
    memset(out, 0, VMSCM_MIDX_HEADER_SIZE);
    memcpy(out, magic, sizeof magic);
    out[8] = MIDX_VERSION;
    out[9] = VMSCM_HASH_SHA256;
    vmscm_put_le32(out + 12, pack_count);
    vmscm_put_le64(out + 16, entry_count);
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
    if (in[10] || in[11])
        return vmscm_error_set(
            err, VMSCM_EDAMAGED, "multi-pack index: reserved bytes are not zero");
    midx->pack_count = vmscm_get_le32(in + 12);
    midx->entry_count = vmscm_get_le64(in + 16);
    midx->entries_offset =
        VMSCM_MIDX_HEADER_SIZE + (uint64_t)midx->pack_count * VMSCM_MIDX_NAME_SIZE;
    if (midx->pack_count > VMSCM_MIDX_PACKS_MAX || midx->entry_count > VMSCM_MIDX_ENTRIES_MAX ||
        file_size != midx->entries_offset + midx->entry_count * VMSCM_PACK_ENTRY_SIZE + 8)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "multi-pack index does not fit its file");
    return 0;
}
