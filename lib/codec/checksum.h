/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * XXH3-64 (https://github.com/Cyan4973/xxHash, doc/xxhash_spec.md): fast, not cryptographic. Used
 * where chance, not an adversary, is the enemy, and to choose cut points.
 */
#ifndef CODEC_CHECKSUM_H
#define CODEC_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

uint64_t vmscm_checksum_64(const void *data, size_t len, uint64_t seed);

/* XXH64, an older and different function, where a foreign format has it. */
uint64_t vmscm_checksum_xxh64(const void *data, size_t len, uint64_t seed);

/* CRC-32 as in ISO 3309, Ethernet, zip and GPT; of at most 4 GiB. */
uint32_t vmscm_checksum_crc32(const void *data, size_t len);

#endif
