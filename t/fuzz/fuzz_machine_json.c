/* SPDX-License-Identifier: GPL-3.0-or-later */
/* machine.json from anywhere: what decodes must encode, and that must decode and encode the same. */
#include "machine/json.h"
#include "machine/model.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf first = VMSCM_BUF_INIT, second = VMSCM_BUF_INIT;
    struct vmscm_machine *m = NULL, *again = NULL;

    if (vmscm_json_decode(&m, data, size, &err))
        return 0;
    /* Canonical spacing can make a text longer than it came, and so too long. */
    if (vmscm_json_encode(&first, m, &err) == 0) {
        if (vmscm_json_decode(&again, first.data, first.len, &err) ||
            vmscm_json_encode(&second, again, &err) || first.len != second.len ||
            memcmp(first.data, second.data, first.len) != 0)
            abort();
    } else if (size < VMSCM_JSON_MAX / 8) {
        abort();
    }
    vmscm_buf_release(&first);
    vmscm_buf_release(&second);
    vmscm_model_free(m);
    vmscm_model_free(again);
    return 0;
}
