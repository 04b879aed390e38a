/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Growing arrays of any type: struct vmscm_vec(struct extent) list = {0};
 * The members are `items`, `len` and `cap`; walk them directly.
 */
#ifndef BASE_VEC_H
#define BASE_VEC_H

#include "base/error.h"
#include <stddef.h>
#include <stdlib.h>

#define VMSCM_VEC(type)                                                                            \
    struct {                                                                                       \
        type *items;                                                                               \
        size_t len;                                                                                \
        size_t cap;                                                                                \
    }

/* Append one zeroed item and give its address in *(slot); 0 or VMSCM_ENOMEM. */
#define vmscm_vec_add(v, slot, err)                                                                \
    (vmscm_vec_grow((void **)&(v)->items, &(v)->len, &(v)->cap, sizeof *(v)->items, err)           \
            ? VMSCM_ENOMEM                                                                         \
            : (*(slot) = &(v)->items[(v)->len - 1], 0))

#define vmscm_vec_release(v) (free((v)->items), (v)->items = NULL, (v)->len = (v)->cap = 0)

/* The function behind vmscm_vec_add: makes room for one more item, zeroes it, counts it. */
int vmscm_vec_grow(void **items, size_t *len, size_t *cap, size_t size, struct vmscm_error *err);

#endif
