/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzz target of generations of repositories in buckets. The input is one; its checksum is made right, or
 * nothing behind it would ever be reached. What can be read is written as it was, and can be applied.
 */
#include "base/endian.h"
#include "codec/checksum.h"
#include "format/generation.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In the order that is told, once each. */
static void check_state(const struct vmscm_generation_state *state)
{
    for (size_t i = 0; i < state->refs.len; i++)
        if (vmscm_generation_find_ref(state, state->refs.items[i].name) != &state->refs.items[i])
            abort();
    for (size_t i = 0; i < state->objects.len; i++)
        if (vmscm_generation_find(state, state->objects.items[i].kind,
                state->objects.items[i].name) != &state->objects.items[i])
            abort();
}

static void apply(const struct vmscm_generation *g)
{
    struct vmscm_generation_state state = {0};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    int rc;

    if (vmscm_generation_copy(&state, &g->state, &err))
        abort();
    rc = vmscm_generation_apply(&state, g, &err);
    if (rc && rc != VMSCM_EDAMAGED)
        abort();
    check_state(&state);
    vmscm_generation_release_state(&state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    struct vmscm_generation g;
    uint8_t *copy = malloc(size + 1);

    if (!copy)
        abort();
    if (size)
        memcpy(copy, data, size);
    if (size >= 8)
        vmscm_put_le64(copy + size - 8, vmscm_checksum_64(copy, size - 8, 0));
    if (vmscm_generation_decode(&g, copy, size, &err)) {
        if (!err.message[0])
            abort();
    } else {
        if (vmscm_generation_encode(&buf, &g, &err) || buf.len != size ||
            memcmp(buf.data, copy, size) != 0)
            abort();
        check_state(&g.state);
        apply(&g);
        vmscm_generation_release(&g);
    }
    vmscm_buf_release(&buf);
    free(copy);
    return 0;
}
