/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "chunk/cutter.h"
#include "codec/checksum.h"

#include <string.h>

/* One block in 12 ends a chunk: with the least length, 64 KiB on average in random data. */
#define CUT_BELOW (UINT64_MAX / 12)

bool vmscm_cutter_is_zero(const void *data, size_t len)
{
    const unsigned char *p = data;

    /* Data differs from zero within its first bytes nearly always; the overlapping memcmp then
     * runs at memory speed over what is left. */
    for (size_t i = 0; i < 16 && i < len; i++)
        if (p[i])
            return false;
    return len <= 16 || memcmp(p, p + 16, len - 16) == 0;
}

size_t vmscm_cutter_zero_blocks(const void *data, size_t len)
{
    const unsigned char *p = data;
    size_t blocks = 0;

    while (len) {
        size_t n = len < VMSCM_CUTTER_BLOCK ? len : VMSCM_CUTTER_BLOCK;
        if (!vmscm_cutter_is_zero(p, n))
            break;
        blocks++;
        p += n;
        len -= n;
    }
    return blocks;
}

size_t vmscm_cutter_next(const void *data, size_t len)
{
    const unsigned char *p = data;
    size_t blocks = 1;

    if (len <= VMSCM_CUTTER_BLOCK)
        return 1;
    /* The least length spares its blocks the hash, but not the look for zeros. */
    for (p += VMSCM_CUTTER_BLOCK, len -= VMSCM_CUTTER_BLOCK; len; blocks++) {
        size_t n = len < VMSCM_CUTTER_BLOCK ? len : VMSCM_CUTTER_BLOCK;
        if (vmscm_cutter_is_zero(p, n))
            return blocks;
        if (blocks + 1 >= VMSCM_CUTTER_MIN_BLOCKS &&
            (vmscm_checksum_64(p, n, 0) <= CUT_BELOW || blocks + 1 == VMSCM_CUTTER_MAX_BLOCKS))
            return blocks + 1;
        p += n;
        len -= n;
    }
    return blocks;
}
