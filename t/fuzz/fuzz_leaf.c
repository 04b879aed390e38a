/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzz target of lib/format/leaf: what is accepted tiles its segment, and encodes to the same bytes. */
#include "format/leaf.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_leaf_entry *list = NULL;
    struct vmscm_leaf again = {0};
    size_t count = 0;
    uint32_t length = 0, at = 0;
    bool zero;

    if (vmscm_leaf_decode(&list, &count, &length, data, size, &err)) {
        if (list || !err.message[0])
            abort();
        return 0;
    }
    if (vmscm_leaf_begin(&again, &err))
        abort();
    for (size_t i = 0; i < count; at += list[i++].length)
        if (list[i].offset != at || !list[i].length ||
            vmscm_leaf_add(&again, list[i].length, list[i].zero ? NULL : &list[i].id, &err))
            abort();
    vmscm_leaf_finish(&again, &zero);
    if (at != length || length > VMSCM_LEAF_SEGMENT || again.bytes.len != size ||
        memcmp(again.bytes.data, data, size) != 0)
        abort();
    vmscm_leaf_release(&again);
    free(list);
    return 0;
}
