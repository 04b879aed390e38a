/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What can stand for chunks of which it is not known whether the other side has them: chunks that it has, and
 * that are stored against those here, so that they are much alike.
 *
 * Memory: 48 bytes for each base of a chunk that is known. Threading: one thread at a time.
 */
#ifndef REMOTE_STANDINS_H
#define REMOTE_STANDINS_H

#include "base/vec.h"
#include "store/fetch.h"
#include "store/idset.h"

/* Zero-initialise. */
struct vmscm_standins {
    struct vmscm_idset bases; /* the number of the last that can stand for it */
    VMSCM_VEC(struct vmscm_standin {
        struct vmscm_id id;
        uint64_t next; /* for the same base: its number, or 0 */
    }) list;
};

/* The other side has this chunk. What cannot be read here stands for nothing. */
int vmscm_standins_add(struct vmscm_standins *s, struct vmscm_store *store, struct vmscm_fetch *fetch,
    const struct vmscm_id *id, struct vmscm_error *err);

/* Numbers of those that can stand for a base, one after the other; 0: there is none, or no more. */
uint64_t vmscm_standins_first(const struct vmscm_standins *s, const struct vmscm_id *base);
uint64_t vmscm_standins_next(const struct vmscm_standins *s, uint64_t number);
const struct vmscm_id *vmscm_standins_id(const struct vmscm_standins *s, uint64_t number);

void vmscm_standins_release(struct vmscm_standins *s);

#endif
