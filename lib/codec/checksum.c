/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codec/checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>
#include <zlib.h>

uint64_t vmscm_checksum_64(const void *data, size_t len, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, len, seed);
}

uint64_t vmscm_checksum_xxh64(const void *data, size_t len, uint64_t seed)
{
    return XXH64(data, len, seed);
}

uint32_t vmscm_checksum_crc32(const void *data, size_t len)
{
    return (uint32_t)crc32(0, data, (uInt)len);
}
