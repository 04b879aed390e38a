/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzz target of lib/format/map: what is accepted covers its disk, and encodes to the same bytes. */
#include "format/map.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf again = VMSCM_BUF_INIT;
    struct vmscm_map map;
    uint64_t at = 0;

    if (vmscm_map_decode(&map, data, size, &err)) {
        if (map.runs.items || !err.message[0])
            abort();
        return 0;
    }
    uint64_t segments = vmscm_map_segments(map.size);
    for (size_t i = 0; i < map.runs.len; i++) {
        const struct vmscm_map_run *run = &map.runs.items[i];
        if (run->first != at || !run->count || run->count > segments - at ||
            vmscm_map_run(&map, at) != run || vmscm_map_run(&map, at + run->count - 1) != run)
            abort();
        at += run->count;
    }
    uint32_t last = segments ? vmscm_map_segment_length(map.size, segments - 1) : 0;
    if (at != segments || last > VMSCM_LEAF_SEGMENT || (segments && !last))
        abort();
    if (vmscm_map_encode(&again, &map, &err) || again.len != size ||
        memcmp(again.data, data, size) != 0)
        abort();
    vmscm_buf_release(&again);
    vmscm_map_release(&map);
    return 0;
}
