/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codec/hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

struct vmscm_hash {
    EVP_MD *md; /* fetched once: a fetch costs more than hashing a small chunk */
    EVP_MD_CTX *ctx;
};

bool vmscm_hash_ready(void)
{
    return OSSL_LIB_CTX_get0_global_default() != NULL;
}

int vmscm_hash_new(struct vmscm_hash **out, struct vmscm_error *err)
{
    struct vmscm_hash *hash = vmscm_hash_ready() ? calloc(1, sizeof *hash) : NULL;

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

int vmscm_hash_compute(struct vmscm_hash *hash, struct vmscm_id *id, const void *data, size_t len,
    struct vmscm_error *err)
{
    if (!EVP_DigestInit_ex2(hash->ctx, hash->md, NULL) ||
        !EVP_DigestUpdate(hash->ctx, data, len) || !EVP_DigestFinal_ex(hash->ctx, id->bytes, NULL))
        return vmscm_error_set(err, VMSCM_ENOMEM, "SHA-256: OpenSSL failed");
    return 0;
}

int vmscm_hash_sha1(uint8_t out[VMSCM_HASH_SHA1_SIZE], const void *data, size_t len,
    struct vmscm_error *err)
{
    if (!vmscm_hash_ready() || !EVP_Digest(data, len, out, NULL, EVP_sha1(), NULL))
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED, "SHA-1: OpenSSL failed");
    return 0;
}
