/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Objects of a bucket that hold history: vmscm-format-s3(5). One thread at a time. */
#ifndef BUCKET_HISTOBJ_H
#define BUCKET_HISTOBJ_H

#include "bucket/mirror.h"
#include "history/incoming.h"
#include "history/novel.h"

/* All that is new into an object whose name is chosen. *size, its bytes, is 0 if there was nothing, and then
 * none is made. */
int vmscm_histobj_put(uint8_t name[VMSCM_GENERATION_NAME], uint64_t *size, struct vmscm_mirror *m,
    struct vmscm_novel *novel, struct vmscm_error *err);

/* What an object holds. VMSCM_EDAMAGED. */
int vmscm_histobj_get(struct vmscm_mirror *m, struct vmscm_incoming *incoming,
    const struct vmscm_generation_object *object, struct vmscm_error *err);

/* Whether the history that an object holds is here; and that it is. */
bool vmscm_histobj_is_here(const struct vmscm_mirror *m, const uint8_t name[VMSCM_GENERATION_NAME]);
int vmscm_histobj_note(const struct vmscm_mirror *m, const uint8_t name[VMSCM_GENERATION_NAME],
    struct vmscm_error *err);

/* "history/HEX", as key and as a file's name. */
#define VMSCM_HISTOBJ_KEY (8 + 2 * VMSCM_GENERATION_NAME + 1)
void vmscm_histobj_key(char out[VMSCM_HISTOBJ_KEY], const uint8_t name[VMSCM_GENERATION_NAME]);

#endif
