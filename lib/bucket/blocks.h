/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Pieces of packs that are in a bucket, of 1 MiB each, kept in a directory up to a limit. Who reads on in a
 * pack gets longer and longer ranges at once. A piece has a checksum: one that was torn is got anew.
 *
 * Threading: reading may be done from several threads at once, and by several processes.
 */
#ifndef BUCKET_BLOCKS_H
#define BUCKET_BLOCKS_H

#include "format/midx.h"
#include "s3/s3.h"

struct vmscm_blocks;

/* dir is made if need be. s3 outlives it. limit: bytes. */
int vmscm_blocks_open(struct vmscm_blocks **out, struct vmscm_s3 *s3, const char *dir,
    uint64_t limit, struct vmscm_error *err);
void vmscm_blocks_close(struct vmscm_blocks *blocks); /* NULL is fine */

/* What to do when a pack turns out to be gone, before who reads is told so (VMSCM_ENOTFOUND): find out what
 * there is now. Not by two threads at once, and only some times. Before the first read. */
void vmscm_blocks_follow(struct vmscm_blocks *blocks,
    int (*follow)(void *data, struct vmscm_error *err), void *data);

/* As struct vmscm_packsource's read. */
int vmscm_blocks_read(void *blocks, const uint8_t name[VMSCM_MIDX_NAME_SIZE], uint64_t size,
    void *out, size_t len, uint64_t offset, struct vmscm_error *err);

/* "packs/HEX": the key of a pack. */
#define VMSCM_BLOCKS_KEY (6 + 2 * VMSCM_MIDX_NAME_SIZE + 1)
void vmscm_blocks_key(char out[VMSCM_BLOCKS_KEY], const uint8_t name[VMSCM_MIDX_NAME_SIZE]);

#endif
