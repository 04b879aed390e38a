/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Decompression of zlib streams (RFC 1950), as git stores its loose objects. A stream is taken for
 * what it is, never for what it says: neither its end nor its length is trusted.
 */
#ifndef CODEC_INFLATE_H
#define CODEC_INFLATE_H

#include "base/error.h"
#include <stddef.h>

/* No stream of len bytes becomes more than this times as many. */
#define VMSCM_INFLATE_RATIO 1032

/* The first bytes of a stream: at most max of them, *out_len if it ends before. VMSCM_EDAMAGED. */
int vmscm_inflate_head(void *out, size_t *out_len, size_t max, const void *data, size_t len,
    struct vmscm_error *err);

/* All of a stream, which becomes exactly out_len bytes and ends with the last of data;
 * VMSCM_EDAMAGED. */
int vmscm_inflate(void *out, size_t out_len, const void *data, size_t len,
    struct vmscm_error *err);

#endif
