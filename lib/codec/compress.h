/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Compression of records: one Zstandard frame (RFC 8878) each, or the plain bytes where that does
 * not pay. A record may be compressed against a base: the base's plain bytes are the frame's
 * prefix (ZSTD_CCtx_refPrefix).
 *
 * Threading: one struct vmscm_compress per thread.
 */
#ifndef CODEC_COMPRESS_H
#define CODEC_COMPRESS_H

#include "base/error.h"
#include <stddef.h>
#include <stdint.h>

/* Algorithm numbers as stored. */
enum vmscm_compress_algorithm { VMSCM_COMPRESS_NONE = 0, VMSCM_COMPRESS_ZSTD = 1 };

#define VMSCM_COMPRESS_LEVEL_DEFAULT 3
#define VMSCM_COMPRESS_LEVEL_MAX 19

struct vmscm_compress;

int vmscm_compress_new(struct vmscm_compress **out, int level, struct vmscm_error *err);
void vmscm_compress_free(struct vmscm_compress *compress);

/* Compress len bytes into out, which has room for len. *algorithm tells how: where zstd does not
 * save at least a 32nd, the bytes are copied as they are. base (may be NULL) is the prefix. */
int vmscm_compress_encode(struct vmscm_compress *compress, void *out, size_t *out_len,
    enum vmscm_compress_algorithm *algorithm, const void *data, size_t len, const void *base,
    size_t base_len, struct vmscm_error *err);

/* The same, but that *out_len is 0, and what is in out means nothing, where it does not pay. */
int vmscm_compress_try(struct vmscm_compress *compress, void *out, size_t *out_len,
    const void *data, size_t len, const void *base, size_t base_len, struct vmscm_error *err);

/* Back to exactly out_len bytes; never writes more. VMSCM_EDAMAGED if the frame gives another
 * length or is not valid; VMSCM_EUNSUPPORTED for an unknown algorithm. */
int vmscm_compress_decode(struct vmscm_compress *compress, void *out, size_t out_len,
    int algorithm, const void *data, size_t len, const void *base, size_t base_len,
    struct vmscm_error *err);

/* As much as can be had of what is damaged or ends early: *got bytes, at most out_len. Whether they are
 * right is for the caller to find out. Fails only for want of memory. */
int vmscm_compress_decode_some(struct vmscm_compress *compress, void *out, size_t out_len,
    size_t *got, int algorithm, const void *data, size_t len, const void *base, size_t base_len,
    struct vmscm_error *err);

#endif
