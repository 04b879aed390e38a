/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A disk descriptor from anywhere: its chain is bounded, and every image in it has a file. */
#include "machine/ploop.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_ploop ploop;

    if (vmscm_ploop_parse(&ploop, data, size, &err)) {
        if (!err.message[0] || ploop.count || ploop.images)
            abort();
        return 0;
    }
    if (!ploop.size || ploop.size % 512 || ploop.count > VMSCM_PLOOP_DEPTH_MAX)
        abort();
    for (size_t i = 0; i < ploop.count; i++)
        if (!ploop.images[i].file)
            abort();
    vmscm_ploop_release(&ploop);
    return 0;
}
