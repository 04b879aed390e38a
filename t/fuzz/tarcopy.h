/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A copy of an input that is a tar archive. Checksums of what has a header's magic are made right in it, or
 * nothing behind them would ever be reached. */
#ifndef FUZZ_TARCOPY_H
#define FUZZ_TARCOPY_H

#include "format/tarhead.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In the form that most write: six digits, a NUL and a space. */
static inline void tarcopy_fix_sum(uint8_t *block)
{
    unsigned sum = 8 * ' ';
    char digits[16];

    for (size_t i = 0; i < VMSCM_TARHEAD_BLOCK; i++)
        sum += i >= VMSCM_TARHEAD_SUM && i < VMSCM_TARHEAD_SUM + 8 ? 0 : block[i];
    snprintf(digits, sizeof digits, "%06o", sum);
    memcpy(block + VMSCM_TARHEAD_SUM, digits, 7);
    block[VMSCM_TARHEAD_SUM + 7] = ' ';
}

/* To be freed. */
static inline uint8_t *tarcopy_make(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + 1);

    if (!copy)
        abort();
    if (size)
        memcpy(copy, data, size);
    for (size_t at = 0; size - at >= VMSCM_TARHEAD_BLOCK; at += VMSCM_TARHEAD_BLOCK)
        if (memcmp(copy + at + VMSCM_TARHEAD_MAGIC, "ustar", 5) == 0)
            tarcopy_fix_sum(copy + at);
    return copy;
}

#endif
