/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sending chunks and leaves: as the records that they are in, which are not decompressed for it. Of a
 * record of which only some is needed, either that is compressed anew, or the record goes whole, whichever
 * is less; whole only if the other side may have all of it.
 *
 * Records without bases go first, so that those stored against others find these there; leaves go last.
 * One whose base the other side cannot have goes without it, compressed anew.
 *
 * Memory: 100 bytes a chunk. Threading: one thread at a time.
 */
#ifndef REMOTE_OUTGOING_H
#define REMOTE_OUTGOING_H

#include "remote/stream.h"
#include "repo/handle.h"

struct vmscm_outgoing;

int vmscm_outgoing_new(struct vmscm_outgoing **out, struct vmscm_repo *repo,
    struct vmscm_error *err);
void vmscm_outgoing_free(struct vmscm_outgoing *o); /* NULL is fine */

/* What comes now is listed by this leaf: so what a lazy repository lacks of it is had. NULL: by none. */
int vmscm_outgoing_from(struct vmscm_outgoing *o, const struct vmscm_id *leaf,
    struct vmscm_error *err);

/* A chunk or leaf is to be sent. */
int vmscm_outgoing_want(struct vmscm_outgoing *o, const struct vmscm_id *id, struct vmscm_error *err);

/* It may be sent where that saves something. */
int vmscm_outgoing_allow(struct vmscm_outgoing *o, const struct vmscm_id *id,
    struct vmscm_error *err);

/* The other side has it, as part of a revision that what is sent builds on: a base for other things. */
int vmscm_outgoing_know(struct vmscm_outgoing *o, const struct vmscm_id *id, struct vmscm_error *err);

/* Whether it was allowed, or wanted. */
bool vmscm_outgoing_may(const struct vmscm_outgoing *o, const struct vmscm_id *id);

/* It need not be sent after all: the other side has it. */
void vmscm_outgoing_drop(struct vmscm_outgoing *o, const struct vmscm_id *id);

/* each(data, id) for what is to be sent and would not be as small as its question: whose answer saves
 * something. all: each, however small. */
int vmscm_outgoing_each(struct vmscm_outgoing *o, bool all,
    int (*each)(void *data, const struct vmscm_id *id), void *data, struct vmscm_error *err);

/* How many there are to send, and about how many bytes these take. */
size_t vmscm_outgoing_count(const struct vmscm_outgoing *o);
int vmscm_outgoing_measure(struct vmscm_outgoing *o, uint64_t *bytes, struct vmscm_error *err);

struct vmscm_outgoing_how {
    bool alone; /* nothing against bases */
    bool fresh; /* the other side has nothing but what it is sent, and what it is known to have */
    const struct vmscm_events *events;
    uint64_t total; /* for progress */
};

/* Send them, as frames VMSCM_WIRE_RECORD. VMSCM_EDAMAGED: something is missing or damaged here. */
int vmscm_outgoing_run(struct vmscm_outgoing *o, struct vmscm_stream *stream,
    const struct vmscm_outgoing_how *how, struct vmscm_error *err);

#endif
