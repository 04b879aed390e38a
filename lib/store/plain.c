/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/plain.h"
#include "sys/direct.h"

#include <stdlib.h>

/* What a full record of a check-in needs: with all of one size, memory is not broken to pieces.
 * What is not used of it is never touched. Built for fuzzing there is no more of it than was asked for,
 * so that its end is guarded. */
#ifdef VMSCM_FUZZ
#define PLAIN_USUAL ((size_t)0)
#else
#define PLAIN_USUAL ((size_t)1536 << 10)
#endif

int vmscm_plain_new(struct vmscm_plain **out, size_t len, struct vmscm_error *err)
{
    size_t cap = len < PLAIN_USUAL
                     ? PLAIN_USUAL
                     : (len + VMSCM_DIRECT_BLOCK - 1) & ~((size_t)VMSCM_DIRECT_BLOCK - 1);
    struct vmscm_plain *plain = malloc(sizeof *plain);

    if (!plain)
        return vmscm_error_nomem(err);
    if (!(plain->data = vmscm_direct_alloc(cap))) {
        free(plain);
        return vmscm_error_nomem(err);
    }
    plain->cap = cap;
    atomic_init(&plain->refs, 1);
    *out = plain;
    return 0;
}

struct vmscm_plain *vmscm_plain_ref(struct vmscm_plain *plain)
{
    atomic_fetch_add_explicit(&plain->refs, 1, memory_order_relaxed);
    return plain;
}

void vmscm_plain_unref(struct vmscm_plain *plain)
{
    if (!plain || atomic_fetch_sub_explicit(&plain->refs, 1, memory_order_acq_rel) != 1)
        return;
    free(plain->data);
    free(plain);
}

bool vmscm_plain_is_own(struct vmscm_plain *plain)
{
    return atomic_load_explicit(&plain->refs, memory_order_acquire) == 1;
}
