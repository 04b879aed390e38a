/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codec/inflate.h"

#include <stdbool.h>
#include <string.h>
#include <zlib.h>

#define PIECE ((size_t)1 << 30) /* zlib counts in unsigned int */

/* *ended: the stream's end was reached. Stops when out is full, or there is no more of it. */
static int run(void *out, size_t *out_len, size_t max, const void *data, size_t len, size_t *used,
    bool *ended, struct vmscm_error *err)
{
    z_stream z;
    size_t in_left = len, out_left = max;
    int e = Z_OK;

    memset(&z, 0, sizeof z);
    *ended = false;
    if ((e = inflateInit(&z)) != Z_OK)
        return e == Z_MEM_ERROR ? vmscm_error_nomem(err)
                                : vmscm_error_set(err, VMSCM_EIO, "zlib: cannot begin");
    z.next_in = (Bytef *)data;
    z.next_out = out;
    do {
        if (!z.avail_in) {
            z.avail_in = (uInt)(in_left < PIECE ? in_left : PIECE);
            in_left -= z.avail_in;
        }
        if (!z.avail_out) {
            z.avail_out = (uInt)(out_left < PIECE ? out_left : PIECE);
            out_left -= z.avail_out;
        }
        /* With nothing to take or no room to put it, this is Z_BUF_ERROR: it never turns round. */
        e = inflate(&z, Z_NO_FLUSH);
    } while (e == Z_OK);
    *ended = e == Z_STREAM_END;
    *out_len = max - out_left - z.avail_out;
    *used = len - in_left - z.avail_in;
    inflateEnd(&z);
    if (e == Z_MEM_ERROR)
        return vmscm_error_nomem(err);
    if (e != Z_STREAM_END && e != Z_BUF_ERROR)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "zlib stream: damaged");
    return 0;
}

int vmscm_inflate_head(void *out, size_t *out_len, size_t max, const void *data, size_t len,
    struct vmscm_error *err)
{
    size_t used;
    bool ended;
    int rc = run(out, out_len, max, data, len, &used, &ended, err);

    if (!rc && !ended && *out_len < max)
        rc = vmscm_error_set(err, VMSCM_EDAMAGED, "zlib stream: ends too early");
    return rc;
}

int vmscm_inflate(void *out, size_t out_len, const void *data, size_t len,
    struct vmscm_error *err)
{
    size_t used = 0, made = 0;
    bool ended;
    /* An empty stream has room for a byte, or zlib would not look for its end. */
    char none;
    int rc = run(out_len ? out : &none, &made, out_len ? out_len : 1, data, len, &used, &ended, err);

    if (rc)
        return rc;
    if (!ended && made < out_len)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "zlib stream: ends too early");
    if (!ended || made != out_len)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "zlib stream: is not %zu bytes", out_len);
    if (used != len)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "zlib stream: something follows it");
    return 0;
}
