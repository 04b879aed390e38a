/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Git objects as they travel: one after the other, in blocks that are compressed; vmscm-format-remote(5), N4
 * and N8. One thread at a time. */
#ifndef HISTORY_HISTBLOCKS_H
#define HISTORY_HISTBLOCKS_H

#include "format/wire.h"
#include "history/novel.h"

/* All that is new: each(data, head, packed, len, err) for every block, whose body is the bytes of head and
 * then of packed. Non-zero from each ends it and is returned. */
int vmscm_histblocks_run(struct vmscm_novel *const *novels, size_t count,
    int (*each)(void *data, const uint8_t head[VMSCM_WIRE_BLOCK_HEAD], const uint8_t *packed,
        size_t len, struct vmscm_error *err),
    void *data, struct vmscm_error *err);

#endif
