/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Making a change of refs known in a bucket: what it needs is uploaded first, then one generation is made on
 * top of the newest, or it is done anew on top of another; vmscm-format-s3(5), G10 to G16.
 *
 * Threading: one thread at a time.
 */
#ifndef BUCKET_PUBLISH_H
#define BUCKET_PUBLISH_H

#include "bucket/mirror.h"

struct vmscm_publish;

/* Nothing is done yet. m outlives it. */
int vmscm_publish_new(struct vmscm_publish **out, struct vmscm_mirror *m, struct vmscm_error *err);
void vmscm_publish_free(struct vmscm_publish *p); /* NULL is fine */

/* Upload the packs of a directory, those that were not yet and are not in the bucket. VMSCM_EREFUSED:
 * nothing can be pushed there. */
int vmscm_publish_packs(struct vmscm_publish *p, const char *dir, struct vmscm_error *err);

/* A pack or history of the bucket is not to be used any more; one that is not part of the repository is named
 * with its size. */
int vmscm_publish_condemn(struct vmscm_publish *p, unsigned kind,
    const uint8_t name[VMSCM_GENERATION_NAME], uint64_t size, struct vmscm_error *err);
int vmscm_publish_remove(struct vmscm_publish *p, unsigned kind,
    const uint8_t name[VMSCM_GENERATION_NAME], struct vmscm_error *err);

/* Forget what was condemned and removed: to say it anew. */
void vmscm_publish_forget(struct vmscm_publish *p);

/* Whether a pack of that name was uploaded. */
bool vmscm_publish_has(const struct vmscm_publish *p, const uint8_t name[VMSCM_GENERATION_NAME]);

/* History is written anew whole, and what there was of it is condemned. */
void vmscm_publish_rewrite_history(struct vmscm_publish *p);

/* Take the mirror's lock and bring it up to date: what is looked at from here on is what the change will be
 * on top of. Called anew for each attempt. */
int vmscm_publish_begin(struct vmscm_publish *p, struct vmscm_error *err);

/* A ref that is to change. id: "": it is to go. Forgotten by the next begin. */
int vmscm_publish_ref(struct vmscm_publish *p, const char *ref, const char *id,
    struct vmscm_error *err);

/* Make it known; the mirror has it then. *lost: somebody else was quicker, and nothing was done: begin
 * again. VMSCM_EIO: as vmscm_genlog_create. Where nothing would change, nothing is made. */
int vmscm_publish_run(struct vmscm_publish *p, bool *lost, struct vmscm_error *err);

#endif
