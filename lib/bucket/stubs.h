/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Packs of a bucket as files here that have their header, index and trailer, and a hole between: so that the
 * store knows what is in them. One thread at a time.
 */
#ifndef BUCKET_STUBS_H
#define BUCKET_STUBS_H

#include "bucket/mirror.h"

/* Let the directory of packs have those of the state, and no others. The mirror's lock is held. *gone (may be
 * NULL): how many of them are not in the bucket any more; else there is a warning. */
int vmscm_stubs_update(struct vmscm_mirror *m, size_t *gone, struct vmscm_error *err);

/* The same, but others stay, and no lock is needed. */
int vmscm_stubs_add(struct vmscm_mirror *m, size_t *gone, struct vmscm_error *err);

/* Make one of a pack that is here whole. */
int vmscm_stubs_make(struct vmscm_mirror *m, int fd, uint64_t size,
    const uint8_t name[VMSCM_GENERATION_NAME], struct vmscm_error *err);

#endif
