/* SPDX-License-Identifier: GPL-3.0-or-later */
/* CRC-32C (Castagnoli), as VHDX has it: RFC 3720, appendix B.4. No state, any number of threads. */
#ifndef CODEC_CRC32C_H
#define CODEC_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* crc: of what came before, 0 at first. */
uint32_t vmscm_crc32c(uint32_t crc, const void *data, size_t len);

#endif
