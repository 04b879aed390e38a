/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a record decompresses to, shared by those who still use it. Its memory begins at a block and
 * is of whole blocks, so that it can be written past the page cache (sys/direct.h).
 *
 * Threading: once filled it is only read, by any thread that has a reference.
 */
#ifndef STORE_PLAIN_H
#define STORE_PLAIN_H

#include "base/error.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vmscm_plain {
    atomic_uint refs;
    uint8_t *data;
    size_t cap;
};

/* With one reference and room for len bytes. */
int vmscm_plain_new(struct vmscm_plain **out, size_t len, struct vmscm_error *err);
struct vmscm_plain *vmscm_plain_ref(struct vmscm_plain *plain);
void vmscm_plain_unref(struct vmscm_plain *plain); /* NULL is fine */

/* Whether the caller's reference is the only one, so that it may be filled anew. */
bool vmscm_plain_is_own(struct vmscm_plain *plain);

#endif
