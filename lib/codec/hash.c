/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codec/hash.h"

#include <openssl/evp.h>
#include <stdlib.h>

struct vmscm_hash {
    EVP_MD *md; /* fetched once: a fetch costs more than hashing a small chunk */
    EVP_MD_CTX *ctx;
};

int vmscm_hash_new(struct vmscm_hash **out, struct vmscm_error *err)
{
    struct vmscm_hash *hash = calloc(1, sizeof *hash);

    if (!hash)
        return vmscm_error_nomem(err);
    hash->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    hash->ctx = EVP_MD_CTX_new();
    if (!hash->md || !hash->ctx) {
        vmscm_hash_free(hash);
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED, "SHA-256: OpenSSL does not offer it");
    }
    *out = hash;
    return 0;
}

void vmscm_hash_free(struct vmscm_hash *hash)
{
    if (!hash)
        return;
    EVP_MD_CTX_free(hash->ctx);
    EVP_MD_free(hash->md);
    free(hash);
}

static int check(int done, struct vmscm_error *err)
{
    return done ? 0 : vmscm_error_set(err, VMSCM_ENOMEM, "SHA-256: OpenSSL failed");
}

int vmscm_hash_begin(struct vmscm_hash *hash, struct vmscm_error *err)
{
    return check(EVP_DigestInit_ex2(hash->ctx, hash->md, NULL), err);
}

int vmscm_hash_add(struct vmscm_hash *hash, const void *data, size_t len, struct vmscm_error *err)
{
    return check(EVP_DigestUpdate(hash->ctx, data, len), err);
}

int vmscm_hash_end(struct vmscm_hash *hash, struct vmscm_id *id, struct vmscm_error *err)
{
    return check(EVP_DigestFinal_ex(hash->ctx, id->bytes, NULL), err);
}

int vmscm_hash_compute(struct vmscm_hash *hash, struct vmscm_id *id, const void *data, size_t len,
    struct vmscm_error *err)
{
    int rc;

    if ((rc = vmscm_hash_begin(hash, err)) || (rc = vmscm_hash_add(hash, data, len, err)))
        return rc;
    return vmscm_hash_end(hash, id, err);
}

int vmscm_hash_sha1(uint8_t out[VMSCM_HASH_SHA1_SIZE], const void *data, size_t len,
    struct vmscm_error *err)
{
    if (!EVP_Digest(data, len, out, NULL, EVP_sha1(), NULL))
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED, "SHA-1: OpenSSL failed");
    return 0;
}
