/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codec/crc32c.h"
#include "base/endian.h"

#define POLYNOMIAL UINT32_C(0x82f63b78) /* reflected */
#define LONG 1024 /* bytes that are worth tables */

/* Eight bytes at a time ("slicing by 8": Kounavis and Berry, 2005). */
static uint32_t sliced(uint32_t crc, const uint8_t *p, size_t words)
{
    uint32_t t[8][256];

    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = c >> 1 ^ (c & 1 ? POLYNOMIAL : 0);
        t[0][i] = c;
    }
    for (size_t k = 1; k < 8; k++)
        for (size_t i = 0; i < 256; i++)
            t[k][i] = t[k - 1][i] >> 8 ^ t[0][t[k - 1][i] & 255];
    for (; words; words--, p += 8) {
        uint64_t x = vmscm_get_le64(p) ^ crc;
        crc = t[7][x & 255] ^ t[6][x >> 8 & 255] ^ t[5][x >> 16 & 255] ^ t[4][x >> 24 & 255] ^
            t[3][x >> 32 & 255] ^ t[2][x >> 40 & 255] ^ t[1][x >> 48 & 255] ^ t[0][x >> 56];
    }
    return crc;
}

uint32_t vmscm_crc32c(uint32_t crc, const void *data, size_t len)
{
    static const uint32_t nibbles[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
        0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
        0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
    const uint8_t *p = data;

    crc = ~crc;
    if (len >= LONG) {
        crc = sliced(crc, p, len / 8);
        p += len / 8 * 8;
        len %= 8;
    }
    for (; len; len--, p++) {
        crc ^= *p;
        crc = crc >> 4 ^ nibbles[crc & 15];
        crc = crc >> 4 ^ nibbles[crc & 15];
    }
    return ~crc;
}
