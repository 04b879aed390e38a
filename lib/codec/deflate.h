/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Compression to zlib streams (RFC 1950), as streamOptimized vmdk wants them: many small pieces, each a
 * stream of its own. The same bytes, level and zlib give the same stream.
 *
 * Threading: one struct vmscm_deflate per thread.
 */
#ifndef CODEC_DEFLATE_H
#define CODEC_DEFLATE_H

#include "base/error.h"
#include <stddef.h>

struct vmscm_deflate;

/* level: 1 to 9. */
int vmscm_deflate_new(struct vmscm_deflate **out, int level, struct vmscm_error *err);
void vmscm_deflate_free(struct vmscm_deflate *deflate); /* NULL is fine */

/* The most that len bytes (at most 1 GiB) can become. */
size_t vmscm_deflate_bound(size_t len);

/* out has room for vmscm_deflate_bound(len) bytes. */
int vmscm_deflate_run(struct vmscm_deflate *state, void *out, size_t *out_len, const void *data,
    size_t len, struct vmscm_error *err);

#endif
