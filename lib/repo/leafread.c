/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/leafread.h"

#include <stdlib.h>

int vmscm_leafread_entries(struct vmscm_leaf_entry **entries, size_t *count,
    struct vmscm_fetch *fetch, struct vmscm_buf *bytes, const struct vmscm_id *id,
    uint32_t length, struct vmscm_error *err)
{
    uint32_t found = 0;
    int rc;

    *entries = NULL;
    *count = 0;
    if ((rc = vmscm_fetch_read_buf(
             fetch, VMSCM_PACK_LEAF, id, bytes, VMSCM_LEAF_SIZE_MAX, err)) ||
        (rc = vmscm_leaf_decode(entries, count, &found, bytes->data, bytes->len, err)))
        return rc;
    if (found == length)
        return 0;
    free(*entries);
    *entries = NULL;
    *count = 0;
    return vmscm_error_set(err, VMSCM_EDAMAGED, "its leaf is of another segment's length");
}
