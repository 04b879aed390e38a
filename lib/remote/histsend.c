/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "remote/histsend.h"
#include "history/histblocks.h"

static int put_block(void *data, const uint8_t head[VMSCM_WIRE_BLOCK_HEAD], const uint8_t *packed,
    size_t len, struct vmscm_error *err)
{
    return vmscm_stream_put(
        data, VMSCM_WIRE_HISTORY, head, VMSCM_WIRE_BLOCK_HEAD, packed, len, err);
}

int vmscm_histsend_run(struct vmscm_stream *stream, struct vmscm_novel *const *novels, size_t count,
    struct vmscm_error *err)
{
    return vmscm_histblocks_run(novels, count, put_block, stream, err);
}
