/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bringing a mirror up to the newest generation: history first, then refs, then the note of what was taken
 * in; so whoever was killed in between does it again. The mirror's lock is held. One thread at a time.
 */
#ifndef BUCKET_SYNC_H
#define BUCKET_SYNC_H

#include "bucket/mirror.h"

int vmscm_sync_run(struct vmscm_mirror *m, struct vmscm_error *err);

/* Just what another process took in. */
int vmscm_sync_load(struct vmscm_mirror *m, struct vmscm_error *err);

/* A pack that was known is gone: ends of those that there are now, for who reads to find in them what it
 * needs. History, refs and what is known stay as they are; no lock is needed. One thread at a time,
 * beside those that read records. */
int vmscm_sync_packs(struct vmscm_mirror *m, struct vmscm_error *err);

/* The generation is the next one, and was made: take it in. Its history is here. */
int vmscm_sync_advance(struct vmscm_mirror *m, const struct vmscm_generation *generation,
    const uint8_t digest[VMSCM_GENERATION_DIGEST], uint64_t bytes, struct vmscm_error *err);

#endif
