/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/vec.h"

#include <stdint.h>
#include <string.h>

int vmscm_vec_grow(void **items, size_t *len, size_t *cap, size_t size, struct vmscm_error *err)
{
    if (*len == *cap) {
        size_t want = *cap ? *cap + *cap / 2 + 1 : 8;
        if (want > SIZE_MAX / size)
            return vmscm_error_nomem(err);
        void *grown = realloc(*items, want * size);
        if (!grown)
            return vmscm_error_nomem(err);
        *items = grown;
        *cap = want;
    }
    memset((char *)*items + *len * size, 0, size);
    (*len)++;
    return 0;
}
