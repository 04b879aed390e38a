/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Taking in what another repository sends, be it pushed or fetched: into a quarantine, with every chunk
 * hashed, every object's id computed, and nothing believed that was said about them. What is there and
 * what is missing is then seen in both, our own and what came, as if it were one.
 *
 * A record whose bases are not to be had is left out, as if it had not come.
 *
 * Threading: one thread at a time; others of its own look at what came and make it durable.
 */
#ifndef REMOTE_RECEIVE_H
#define REMOTE_RECEIVE_H

#include "base/buf.h"
#include "history/incoming.h"
#include "repo/handle.h"
#include "store/quarantine.h"

struct vmscm_receive;

/* repo outlives it. */
int vmscm_receive_open(struct vmscm_receive **out, struct vmscm_repo *repo,
    struct vmscm_error *err);

/* keep: what came whole is for the next transfer. NULL is fine. */
void vmscm_receive_close(struct vmscm_receive *r, bool keep);

/* Take over what interrupted transfers left; *packs: how many packs. */
int vmscm_receive_adopt(struct vmscm_receive *r, size_t *packs, struct vmscm_error *err);

/* Only records of which some part is wanted(data, id) are taken in; others are VMSCM_EINPUT. */
void vmscm_receive_only(struct vmscm_receive *r, bool (*wanted)(void *data, const struct vmscm_id *id),
    void *data);

/* A frame of history, VMSCM_WIRE_HISTORY; and the end of these. VMSCM_EINPUT. */
int vmscm_receive_history(struct vmscm_receive *r, const uint8_t *frame, size_t len,
    struct vmscm_error *err);
int vmscm_receive_history_end(struct vmscm_receive *r, struct vmscm_error *err);

/* A frame that is a record, VMSCM_WIRE_RECORD; and the end of these. VMSCM_EINPUT, which may be an
 * earlier one's: several are looked at at a time. */
int vmscm_receive_record(struct vmscm_receive *r, const uint8_t *record, size_t len,
    struct vmscm_error *err);
int vmscm_receive_records_end(struct vmscm_receive *r, struct vmscm_error *err);

/* Make what came readable, and durable. */
int vmscm_receive_flush(struct vmscm_receive *r, struct vmscm_error *err);

/* Whether a chunk or leaf is in either, with all that it is stored against. *length, which may be NULL:
 * its plain bytes. */
bool vmscm_receive_has(struct vmscm_receive *r, const struct vmscm_id *id, uint32_t *length);

/* A leaf's bytes, from either. */
int vmscm_receive_leaf(struct vmscm_receive *r, const struct vmscm_id *id, struct vmscm_buf *buf,
    struct vmscm_error *err);

/* History: what came, and ours. Only for looking. */
struct vmscm_gitdb *vmscm_receive_db(struct vmscm_receive *r);

/* Move the packs, and then, with locks/commit held, the objects, to where they belong. */
int vmscm_receive_install_packs(struct vmscm_receive *r, struct vmscm_lease *lease,
    struct vmscm_error *err);
int vmscm_receive_install_history(struct vmscm_receive *r, struct vmscm_error *err);

/* Bytes of packs that came, those that were taken over included. */
uint64_t vmscm_receive_stored(const struct vmscm_receive *r);

/* Where the packs that came are, until they are installed: below it in packs/. Borrowed. */
const char *vmscm_receive_dir(const struct vmscm_receive *r);

struct vmscm_repo *vmscm_receive_repo(struct vmscm_receive *r);

#endif
