/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Helpers for the tests of the formats: ids, noise, and every small change of an input. */
#ifndef FORMATS_H
#define FORMATS_H

#include "codec/hash.h"
#include "unit.h"

/* An id that is told apart by n. */
static inline struct vmscm_id make_id(uint64_t n)
{
    struct vmscm_id id;

    for (size_t i = 0; i < VMSCM_HASH_SIZE; i++) {
        n = n * 6364136223846793005u + 1442695040888963407u;
        id.bytes[i] = (uint8_t)(n >> 56);
    }
    return id;
}

/* Incompressible bytes, the same for the same seed. */
static inline void make_noise(uint8_t *out, size_t len, uint64_t seed)
{
    uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;

    for (size_t i = 0; i < len; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        out[i] = (uint8_t)(x >> 32);
    }
}

/* try(bytes, len, data) for every truncation and every single flipped bit; each input is alone in
 * its memory, so that a sanitizer sees a read past its end. */
static inline void each_damage(const uint8_t *bytes, size_t len,
    void (*try)(const uint8_t *bytes, size_t len, void *data), void *data)
{
    for (size_t n = 0; n < len; n++) {
        uint8_t *copy = malloc(n ? n : 1);
        assert_non_null(copy);
        memcpy(copy, bytes, n);
        try(copy, n, data);
        free(copy);
    }
    uint8_t *copy = malloc(len);
    assert_non_null(copy);
    for (size_t bit = 0; bit < len * 8; bit++) {
        memcpy(copy, bytes, len);
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        try(copy, len, data);
    }
    free(copy);
}

#endif
