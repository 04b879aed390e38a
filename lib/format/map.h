/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The root of a disk map: the leaf ids of a disk's segments, run-length coded,
 * vmscm-format-leaf(5). It is the blob disks/ID of a revision. Pure; a struct vmscm_map may be read
 * by several threads.
 */
#ifndef FORMAT_MAP_H
#define FORMAT_MAP_H

#include "base/buf.h"
#include "base/vec.h"
#include "codec/hash.h"
#include "format/leaf.h"
#include <stdbool.h>

#define VMSCM_MAP_DISK_MAX (UINT64_C(1) << 62) /* bytes of a disk */
#define VMSCM_MAP_BYTES_MAX (256u << 20)       /* of an encoded root */

/* `count` segments from `first` on have this leaf, or are zero. */
struct vmscm_map_run {
    uint64_t first;
    uint64_t count;
    bool zero;
    struct vmscm_id leaf;
};

struct vmscm_map {
    uint64_t size; /* bytes of the disk */
    VMSCM_VEC(struct vmscm_map_run) runs;
};

/* Segments of a disk of size bytes; the last may be short. */
uint64_t vmscm_map_segments(uint64_t size);

/* Bytes of segment n. */
uint32_t vmscm_map_segment_length(uint64_t size, uint64_t n);

/* Append the next segment; leaf NULL: zeros. Neighbours that are the same become one run. */
int vmscm_map_add(struct vmscm_map *map, uint64_t count, const struct vmscm_id *leaf,
    struct vmscm_error *err);

/* The run that holds segment n. */
const struct vmscm_map_run *vmscm_map_run(const struct vmscm_map *map, uint64_t n);

/* VMSCM_EUNSUPPORTED if it would be more than VMSCM_MAP_BYTES_MAX. */
int vmscm_map_encode(struct vmscm_buf *out, const struct vmscm_map *map, struct vmscm_error *err);
/* len: at most VMSCM_MAP_BYTES_MAX is for the caller to see to. */
int vmscm_map_decode(struct vmscm_map *map, const void *data, size_t len, struct vmscm_error *err);
/* Two maps of the same bytes. */
bool vmscm_map_same(const struct vmscm_map *a, const struct vmscm_map *b);

void vmscm_map_release(struct vmscm_map *map);

#endif
