/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codec/digest.h"
#include "codec/hash.h"

#include <openssl/evp.h>
#include <stdlib.h>

static const struct {
    const char *name;
    size_t size;
} algorithms[] = {{"SHA1", 20}, {"SHA256", 32}, {"SHA512", 64}};

struct vmscm_digest {
    EVP_MD_CTX *ctx;
    const char *name;
};

static int failed(const char *name, struct vmscm_error *err)
{
    return vmscm_error_set(err, VMSCM_EUNSUPPORTED, "%s: OpenSSL failed", name);
}

int vmscm_digest_new(struct vmscm_digest **out, enum vmscm_digest_algorithm algorithm,
    struct vmscm_error *err)
{
    struct vmscm_digest *digest = vmscm_hash_ready() ? calloc(1, sizeof *digest) : NULL;
    EVP_MD *md = NULL;
    int rc = 0;

    *out = NULL;
    if (!digest)
        return vmscm_error_nomem(err);
    digest->name = algorithms[algorithm].name;
    digest->ctx = EVP_MD_CTX_new();
    md = EVP_MD_fetch(NULL, digest->name, NULL);
    if (!digest->ctx || !md || !EVP_DigestInit_ex2(digest->ctx, md, NULL)) {
        rc = failed(digest->name, err);
        vmscm_digest_free(digest);
    } else {
        *out = digest;
    }
    EVP_MD_free(md);
    return rc;
}

int vmscm_digest_add(struct vmscm_digest *digest, const void *data, size_t len,
    struct vmscm_error *err)
{
    return EVP_DigestUpdate(digest->ctx, data, len) ? 0 : failed(digest->name, err);
}

int vmscm_digest_finish(struct vmscm_digest *digest, uint8_t *out, struct vmscm_error *err)
{
    return EVP_DigestFinal_ex(digest->ctx, out, NULL) ? 0 : failed(digest->name, err);
}

void vmscm_digest_free(struct vmscm_digest *digest)
{
    if (!digest)
        return;
    EVP_MD_CTX_free(digest->ctx);
    free(digest);
}

size_t vmscm_digest_size(enum vmscm_digest_algorithm algorithm)
{
    return algorithms[algorithm].size;
}

const char *vmscm_digest_name(enum vmscm_digest_algorithm algorithm)
{
    return algorithms[algorithm].name;
}
