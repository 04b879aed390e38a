/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Digests of what comes in pieces, by the algorithms that other programs' manifests use (FIPS 180-4).
 * SHA-1 is for those only: it tells accidents from intact files, not forgeries.
 *
 * Threading: one struct vmscm_digest per thread.
 */
#ifndef CODEC_DIGEST_H
#define CODEC_DIGEST_H

#include "base/error.h"
#include <stddef.h>
#include <stdint.h>

enum vmscm_digest_algorithm { VMSCM_DIGEST_SHA1, VMSCM_DIGEST_SHA256, VMSCM_DIGEST_SHA512 };

#define VMSCM_DIGEST_MAX 64 /* bytes of the longest */

struct vmscm_digest;

int vmscm_digest_new(struct vmscm_digest **out, enum vmscm_digest_algorithm algorithm,
    struct vmscm_error *err);
int vmscm_digest_add(struct vmscm_digest *digest, const void *data, size_t len,
    struct vmscm_error *err);
/* out has room for vmscm_digest_size bytes; nothing can be added after it. */
int vmscm_digest_finish(struct vmscm_digest *digest, uint8_t *out, struct vmscm_error *err);
void vmscm_digest_free(struct vmscm_digest *digest); /* NULL is fine */

size_t vmscm_digest_size(enum vmscm_digest_algorithm algorithm); /* bytes */
const char *vmscm_digest_name(enum vmscm_digest_algorithm algorithm); /* "SHA256" */

#endif
