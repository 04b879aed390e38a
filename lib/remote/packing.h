/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writing what came into packs of a quarantine. While one is written, the one before may still be made
 * durable, by a thread: a disk that takes its time holds up nobody who sends.
 *
 * Threading: one thread at a time.
 */
#ifndef REMOTE_PACKING_H
#define REMOTE_PACKING_H

#include "store/packwriter.h"
#include "store/store.h"

struct vmscm_packing;

/* dir: the quarantine's, of which store is; both outlive it. full: bytes at which a pack ends. alone: no
 * thread. */
int vmscm_packing_open(struct vmscm_packing **out, const char *dir, struct vmscm_store *store,
    uint64_t full, bool alone, struct vmscm_error *err);
void vmscm_packing_close(struct vmscm_packing *p); /* NULL is fine. What is not durable is lost. */

/* Where an id is that cannot be read from the store yet. */
enum vmscm_packing_where {
    VMSCM_PACKING_NOT,
    VMSCM_PACKING_OPEN, /* in the pack that is being written, which cannot have it twice */
    VMSCM_PACKING_FULL, /* in the one before */
};
enum vmscm_packing_where vmscm_packing_find(const struct vmscm_packing *p, const struct vmscm_id *id);

int vmscm_packing_add(struct vmscm_packing *p, const struct vmscm_packwriter_record *record,
    struct vmscm_error *err);

/* What is in the pack before can be read from the store. */
int vmscm_packing_settle(struct vmscm_packing *p, struct vmscm_error *err);

/* All of it is durable, and can be read from the store. */
int vmscm_packing_flush(struct vmscm_packing *p, struct vmscm_error *err);

/* Bytes so far. */
uint64_t vmscm_packing_bytes(const struct vmscm_packing *p);

/* Whether the next record begins a pack. */
bool vmscm_packing_begins(const struct vmscm_packing *p);

#endif
