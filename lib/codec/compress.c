/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codec/compress.h"
#include "base/endian.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define WINDOW_LOG_MAX 23 /* no record is longer */

struct vmscm_compress {
    ZSTD_CCtx *cctx; /* made on first use: a reader needs none */
    ZSTD_DCtx *dctx;
    int level;
};

int vmscm_compress_new(struct vmscm_compress **out, int level, struct vmscm_error *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return vmscm_error_nomem(err);
    (*out)->level = level;
    return 0;
}

void vmscm_compress_free(struct vmscm_compress *compress)
{
    if (!compress)
        return;
    ZSTD_freeCCtx(compress->cctx);
    ZSTD_freeDCtx(compress->dctx);
    free(compress);
}

int vmscm_compress_try(struct vmscm_compress *compress, void *out, size_t *out_len,
    const void *data, size_t len, const void *base, size_t base_len, struct vmscm_error *err)
{
    if (!compress->cctx) {
        compress->cctx = ZSTD_createCCtx();
        if (!compress->cctx)
            return vmscm_error_nomem(err);
        if (ZSTD_isError(ZSTD_CCtx_setParameter(
                compress->cctx, ZSTD_c_compressionLevel, compress->level)))
            return vmscm_error_set(
                err, VMSCM_EUSAGE, "zstd level %d: out of range", compress->level);
    }
    /* Room for one byte less than would pay makes zstd give up early on noise. */
    size_t worth = len - len / 32;
    /* Not where nothing is compressed: it would be the prefix of what comes next. */
    if (base && worth > 1 &&
        ZSTD_isError(ZSTD_CCtx_refPrefix(compress->cctx, base, base_len)))
        return vmscm_error_nomem(err);
    size_t n = worth > 1 ? ZSTD_compress2(compress->cctx, out, worth - 1, data, len) : 0;
    if (worth <= 1 || ZSTD_isError(n)) {
        /* What gave up is still under way, and would refuse the next prefix. */
        ZSTD_CCtx_reset(compress->cctx, ZSTD_reset_session_only);
        n = 0;
    }
    *out_len = n;
    return 0;
}

int vmscm_compress_encode(struct vmscm_compress *compress, void *out, size_t *out_len,
    enum vmscm_compress_algorithm *algorithm, const void *data, size_t len, const void *base,
    size_t base_len, struct vmscm_error *err)
{
    int rc = vmscm_compress_try(compress, out, out_len, data, len, base, base_len, err);

    if (rc)
        return rc;
    *algorithm = *out_len ? VMSCM_COMPRESS_ZSTD : VMSCM_COMPRESS_NONE;
    if (!*out_len) {
        memcpy(out, data, len);
        *out_len = len;
    }
    return 0;
}

int vmscm_compress_decode(struct vmscm_compress *compress, void *out, size_t out_len,
    int algorithm, const void *data, size_t len, const void *base, size_t base_len,
    struct vmscm_error *err)
{
    size_t n;

    switch (algorithm) {
    case VMSCM_COMPRESS_NONE:
        if (len != out_len)
            return vmscm_error_set(err, VMSCM_EDAMAGED, "plain record of the wrong length");
        memcpy(out, data, len);
        return 0;
    case VMSCM_COMPRESS_ZSTD:
        /* One frame, neither a skippable one nor of an old format, and nothing after it. */
        if (len < 4 || vmscm_get_le32(data) != ZSTD_MAGICNUMBER ||
            ZSTD_findFrameCompressedSize(data, len) != len)
            return vmscm_error_set(err, VMSCM_EDAMAGED, "zstd: not one frame");
        if (!compress->dctx && !(compress->dctx = ZSTD_createDCtx()))
            return vmscm_error_nomem(err);
        if (base && ZSTD_isError(ZSTD_DCtx_refPrefix(compress->dctx, base, base_len)))
            return vmscm_error_nomem(err);
        n = ZSTD_decompressDCtx(compress->dctx, out, out_len, data, len);
        if (ZSTD_isError(n) || n != out_len)
            return vmscm_error_set(err, VMSCM_EDAMAGED, "zstd: %s",
                ZSTD_isError(n) ? ZSTD_getErrorName(n) : "wrong length");
        return 0;
    default:
        return vmscm_error_set(
            err, VMSCM_EUNSUPPORTED, "compression algorithm %d: unknown", algorithm);
    }
}

int vmscm_compress_decode_some(struct vmscm_compress *compress, void *out, size_t out_len,
    size_t *got, int algorithm, const void *data, size_t len, const void *base, size_t base_len,
    struct vmscm_error *err)
{
    ZSTD_inBuffer from = {data, len, 0};
    ZSTD_outBuffer to = {out, out_len, 0};

    *got = 0;
    if (algorithm == VMSCM_COMPRESS_NONE) {
        *got = len < out_len ? len : out_len;
        memcpy(out, data, *got);
        return 0;
    }
    if (algorithm != VMSCM_COMPRESS_ZSTD)
        return 0;
    if (!compress->dctx && !(compress->dctx = ZSTD_createDCtx()))
        return vmscm_error_nomem(err);
    ZSTD_DCtx_reset(compress->dctx, ZSTD_reset_session_only);
    ZSTD_DCtx_setParameter(compress->dctx, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
    if (base && ZSTD_isError(ZSTD_DCtx_refPrefix(compress->dctx, base, base_len)))
        return vmscm_error_nomem(err);
    for (;;) {
        size_t in_before = from.pos, out_before = to.pos;
        size_t n = ZSTD_decompressStream(compress->dctx, &to, &from);
        if (n == 0 || ZSTD_isError(n) || (from.pos == in_before && to.pos == out_before))
            break;
    }
    /* What it holds back, and the prefix, are not for the next record. */
    ZSTD_DCtx_reset(compress->dctx, ZSTD_reset_session_only);
    *got = to.pos;
    return 0;
}
