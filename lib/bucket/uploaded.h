/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which packs were uploaded and not made known yet: so who was interrupted after that need not upload them
 * again. A file each in a mirror's directory "uploaded"; without one a pack is uploaded again, so all of
 * them may go at any time.
 *
 * Threading: any number of threads, each with packs of its own.
 */
#ifndef BUCKET_UPLOADED_H
#define BUCKET_UPLOADED_H

#include "bucket/mirror.h"

struct vmscm_uploaded {
    uint8_t name[VMSCM_GENERATION_NAME]; /* in the bucket */
    uint64_t seen; /* the newest generation when its upload began: a later one may remove it */
};

/* *out of a pack of ours of that name and size. *there is false if there is none, it is too long ago, or the
 * bucket does not have it. */
int vmscm_uploaded_find(struct vmscm_uploaded *out, bool *there, struct vmscm_mirror *m,
    const uint8_t pack[VMSCM_GENERATION_NAME], uint64_t size, struct vmscm_error *err);

int vmscm_uploaded_note(struct vmscm_mirror *m, const uint8_t pack[VMSCM_GENERATION_NAME],
    const struct vmscm_uploaded *what, struct vmscm_error *err);

/* It is known to all, or will never be. */
void vmscm_uploaded_forget(struct vmscm_mirror *m, const uint8_t pack[VMSCM_GENERATION_NAME]);

/* Forget those that are too old to be found. */
void vmscm_uploaded_sweep(struct vmscm_mirror *m);

#endif
