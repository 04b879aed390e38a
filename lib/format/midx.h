/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Structures of a multi-pack index, vmscm-format-pack(5): one sorted table of entries over several
 * packs. Derived: may be deleted at any time. Pure, thread-safe.
 *
 *   header 32 | pack names, 16 bytes each | entries as in a pack, `pack` set | checksum 8
 */
#ifndef FORMAT_MIDX_H
#define FORMAT_MIDX_H

#include "format/pack.h"

#define VMSCM_MIDX_HEADER_SIZE 32
#define VMSCM_MIDX_NAME_SIZE 16 /* the random part of a pack's name, as bytes */
#define VMSCM_MIDX_PACKS_MAX (1u << 20)
#define VMSCM_MIDX_ENTRIES_MAX (UINT64_C(1) << 40)

struct vmscm_midx {
    uint32_t pack_count;
    uint64_t entry_count;
    uint64_t entries_offset; /* bytes into the file */
};

void vmscm_midx_encode_header(uint8_t out[VMSCM_MIDX_HEADER_SIZE], uint32_t pack_count,
    uint64_t entry_count);
/* Checks that the file, file_size bytes, is exactly as long as it must be. */
int vmscm_midx_decode_header(struct vmscm_midx *midx, const uint8_t *in, uint64_t file_size,
    struct vmscm_error *err);

#endif
