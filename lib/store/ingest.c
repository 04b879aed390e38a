/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/ingest.h"
#include "base/buf.h"
#include "base/endian.h"
#include "base/str.h"
#include "base/vec.h"
#include "store/delta.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define HELD_MAX (8u << 20) /* bytes that units ahead of their turn may have ready, in all */
#define UNITS_MAX 1024u      /* units ahead of their turn, at most */

/* What this ingest brings and no open pack shows yet: claimed by a unit, or written to the pack at
 * hand. Open addressing; an empty slot has state 0. */
enum claim_state { CLAIM_EMPTY, CLAIM_TAKEN, CLAIM_WRITTEN };

struct claim {
    struct vmscm_id id;
    uint8_t state;
};

/* A record that waits for its unit's turn. */
struct waiting {
    enum vmscm_pack_type type;
    bool has_base;
    size_t first_part, part_count; /* in the unit's parts */
    size_t at, len;                /* in the unit's bytes */
};

/* What keeping a record costs besides its bytes: small ones must not add up unseen. */
#define WAITING_COST (2 * sizeof(struct waiting))
#define PART_COST (2 * (sizeof(struct vmscm_packwriter_part) + sizeof(struct claim)))

struct unit {
    struct vmscm_buf bytes;
    VMSCM_VEC(struct waiting) records;
    VMSCM_VEC(struct vmscm_packwriter_part) parts;
    bool ended;
};

struct vmscm_ingest {
    struct vmscm_store *store;
    struct vmscm_lease *lease; /* or NULL */
    char *repo_dir;
    int level;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t turn;
    struct vmscm_packwriter *writer; /* NULL until there is something to write */
    struct claim *claims;
    size_t claim_room, claim_count;
    struct unit *units; /* ring of UNITS_MAX by number */
    uint64_t head;      /* the unit whose turn it is */
    size_t held;
    bool stopped;
    struct vmscm_ingest_counts counts;
    uint64_t pack_bytes; /* written to the pack at hand */
    atomic_uint packs;   /* finished; tells a thread that what it did not find may be there now */
};

struct vmscm_ingest_lane {
    struct vmscm_ingest *ingest;
    struct vmscm_compress *compress;
    struct vmscm_fetch *fetch; /* of what is stored against others */
    struct vmscm_delta *delta; /* made on first use */
    bool copies; /* what is there is brought all the same */
    struct vmscm_pack_record head;
    struct vmscm_buf record; /* encoded */
    /* New chunks of the unit at hand that are not compressed yet. */
    struct vmscm_buf group;
    VMSCM_VEC(struct vmscm_packwriter_part) parts;
};

int vmscm_ingest_open(struct vmscm_ingest **out, struct vmscm_store *store, const char *repo_dir,
    int level, struct vmscm_lease *lease, struct vmscm_error *err)
{
    struct vmscm_ingest *in = calloc(1, sizeof *in);
    int rc;

    if (!in)
        return vmscm_error_nomem(err);
    in->store = store;
    in->lease = lease;
    in->level = level;
    pthread_mutex_init(&in->lock, NULL);
    pthread_cond_init(&in->turn, NULL);
    in->claim_room = 1024;
    in->claims = calloc(in->claim_room, sizeof *in->claims);
    in->units = calloc(UNITS_MAX, sizeof *in->units);
    if (!in->claims || !in->units)
        rc = vmscm_error_nomem(err);
    else if (!(rc = vmscm_str_dup(&in->repo_dir, repo_dir, err)))
        rc = vmscm_packwriter_sweep(repo_dir, err);
    if (rc) {
        vmscm_ingest_abort(in);
        return rc;
    }
    *out = in;
    return 0;
}

int vmscm_ingest_lane_new(struct vmscm_ingest_lane **out, struct vmscm_ingest *ingest,
    struct vmscm_error *err)
{
    struct vmscm_ingest_lane *lane = calloc(1, sizeof *lane);
    int rc;

    if (!lane)
        return vmscm_error_nomem(err);
    lane->ingest = ingest;
    if ((rc = vmscm_compress_new(&lane->compress, ingest->level, err)) ||
        (rc = vmscm_fetch_new(&lane->fetch, ingest->store, err))) {
        vmscm_ingest_lane_free(lane);
        return rc;
    }
    *out = lane;
    return 0;
}

void vmscm_ingest_lane_free(struct vmscm_ingest_lane *lane)
{
    if (!lane)
        return;
    vmscm_compress_free(lane->compress);
    vmscm_delta_free(lane->delta);
    vmscm_fetch_free(lane->fetch);
    vmscm_buf_release(&lane->record);
    vmscm_buf_release(&lane->group);
    vmscm_vec_release(&lane->parts);
    free(lane);
}

static struct claim *claim_slot(struct claim *claims, size_t room, const struct vmscm_id *id)
{
    size_t i = (size_t)vmscm_get_le64(id->bytes) & (room - 1);

    while (claims[i].state != CLAIM_EMPTY && vmscm_hash_cmp(&claims[i].id, id) != 0)
        i = (i + 1) & (room - 1);
    return &claims[i];
}

/* A table with the claims that are kept, a quarter full at most. */
static int rebuild_claims(struct vmscm_ingest *in, bool keep_written, struct vmscm_error *err)
{
    size_t kept = 0, room = 1024;

    for (size_t i = 0; i < in->claim_room; i++)
        kept += in->claims[i].state == CLAIM_TAKEN ||
            (in->claims[i].state == CLAIM_WRITTEN && keep_written);
    while (room < 4 * kept)
        room *= 2;
    struct claim *claims = calloc(room, sizeof *claims);
    if (!claims)
        return vmscm_error_nomem(err);
    in->claim_count = 0;
    for (size_t i = 0; i < in->claim_room; i++) {
        struct claim *old = &in->claims[i];
        if (old->state == CLAIM_TAKEN || (old->state == CLAIM_WRITTEN && keep_written)) {
            *claim_slot(claims, room, &old->id) = *old;
            in->claim_count++;
        }
    }
    free(in->claims);
    in->claims = claims;
    in->claim_room = room;
    return 0;
}

/* *mine: the caller is the first to bring it, and must ready it. */
static int claim(struct vmscm_ingest *in, const struct vmscm_id *id, bool *mine,
    struct vmscm_error *err)
{
    struct claim *c;

    if (in->claim_count * 2 >= in->claim_room) {
        int rc = rebuild_claims(in, true, err);
        if (rc)
            return rc;
    }
    c = claim_slot(in->claims, in->claim_room, id);
    *mine = c->state == CLAIM_EMPTY;
    if (*mine) {
        *c = (struct claim){.id = *id, .state = CLAIM_TAKEN};
        in->claim_count++;
    }
    return 0;
}

/* The pack at hand is full: finish it, and let the store find what is in it. */
static int finish_pack(struct vmscm_ingest *in, struct vmscm_error *err)
{
    char file[VMSCM_PACKFILE_NAME];
    uint64_t bytes = 0;
    struct vmscm_packwriter *writer = in->writer;
    int rc;

    in->writer = NULL;
    if (!writer)
        return 0;
    if ((rc = vmscm_packwriter_finish(writer, file, &bytes, err)) ||
        (rc = vmscm_store_add(in->store, file, err)))
        return rc;
    in->counts.stored += bytes;
    in->pack_bytes = 0;
    atomic_fetch_add(&in->packs, 1);
    return rebuild_claims(in, false, err);
}

static int open_pack(struct vmscm_ingest *in, struct vmscm_error *err)
{
    int rc = vmscm_packwriter_open(&in->writer, in->repo_dir, err);

    if (!rc && in->lease)
        rc = vmscm_lease_add_pack(in->lease, vmscm_packwriter_name(in->writer), err);
    return rc;
}

/* In its unit's turn. */
static int write_record(struct vmscm_ingest *in, const struct vmscm_packwriter_record *record,
    struct vmscm_error *err)
{
    int rc;

    if (!in->writer && (rc = open_pack(in, err)))
        return rc;
    if ((rc = vmscm_packwriter_add(in->writer, record, err)))
        return rc;
    in->pack_bytes += record->len;
    for (size_t i = 0; i < record->part_count; i++) {
        claim_slot(in->claims, in->claim_room, &record->parts[i].id)->state = CLAIM_WRITTEN;
        if (record->type == VMSCM_PACK_CHUNK) {
            in->counts.fresh += record->parts[i].plain_len;
            in->counts.fresh_chunks++;
        }
    }
    return vmscm_packwriter_full(in->writer) ? finish_pack(in, err) : 0;
}

/* Write what the unit at the head has ready; move the head past units that ended. */
static int advance(struct vmscm_ingest *in, struct vmscm_error *err)
{
    for (;;) {
        struct unit *u = &in->units[in->head % UNITS_MAX];
        for (size_t i = 0; i < u->records.len; i++) {
            struct waiting *w = &u->records.items[i];
            struct vmscm_packwriter_record record = {.type = w->type,
                .has_base = w->has_base,
                .parts = u->parts.items + w->first_part,
                .part_count = w->part_count,
                .bytes = u->bytes.data + w->at,
                .len = w->len};
            int rc = write_record(in, &record, err);
            if (rc)
                return rc;
        }
        in->held -= u->bytes.len + u->records.len * WAITING_COST + u->parts.len * PART_COST;
        u->records.len = 0;
        u->parts.len = 0;
        vmscm_buf_release(&u->bytes);
        if (!u->ended)
            return 0;
        vmscm_vec_release(&u->records);
        vmscm_vec_release(&u->parts);
        u->ended = false;
        in->head++;
        pthread_cond_broadcast(&in->turn);
    }
}

static int fail(struct vmscm_ingest *in, int rc)
{
    in->stopped = true;
    pthread_cond_broadcast(&in->turn);
    return rc;
}

/* Until the unit is within the ring and there is room for len more bytes, or it is its turn. */
static int wait_for_room(struct vmscm_ingest *in, uint64_t unit, size_t len,
    struct vmscm_error *err)
{
    while (!in->stopped && unit != in->head &&
        (unit - in->head >= UNITS_MAX || in->held + len > HELD_MAX))
        pthread_cond_wait(&in->turn, &in->lock);
    return in->stopped ? vmscm_error_set(err, VMSCM_ECANCELED, "stopped") : 0;
}

/* Called with the lock held. */
static int hand_over(struct vmscm_ingest *in, uint64_t unit,
    const struct vmscm_packwriter_record *record, struct vmscm_error *err)
{
    struct waiting *slot;
    struct vmscm_packwriter_part *part;
    int rc = wait_for_room(in, unit, record->len, err);

    if (rc)
        return rc;
    if (unit == in->head)
        return write_record(in, record, err);
    struct unit *u = &in->units[unit % UNITS_MAX];
    if (vmscm_vec_add(&u->records, &slot, err))
        return VMSCM_ENOMEM;
    *slot = (struct waiting){.type = record->type,
        .has_base = record->has_base,
        .first_part = u->parts.len,
        .part_count = record->part_count,
        .at = u->bytes.len,
        .len = record->len};
    for (size_t i = 0; i < record->part_count; i++) {
        if (vmscm_vec_add(&u->parts, &part, err))
            return VMSCM_ENOMEM;
        *part = record->parts[i];
    }
    if ((rc = vmscm_buf_append(&u->bytes, record->bytes, record->len, err)))
        return rc;
    in->held += record->len + WAITING_COST + record->part_count * PART_COST;
    return 0;
}

/* Compress parts that lie one after the other in data, against the bases in lane->head, whose bytes
 * are prefix, and hand the record over. */
static int put_record(struct vmscm_ingest_lane *lane, uint64_t unit, enum vmscm_pack_type type,
    const struct vmscm_packwriter_part *parts, size_t part_count, const void *data, size_t len,
    size_t base_count, const struct vmscm_buf *prefix, struct vmscm_error *err)
{
    struct vmscm_ingest *in = lane->ingest;
    struct vmscm_pack_record *head = &lane->head;
    enum vmscm_compress_algorithm algorithm;
    size_t stored;
    int rc;

    head->type = (uint8_t)type;
    head->base_count = (uint8_t)base_count;
    head->part_count = (uint16_t)part_count;
    head->plain_len = (uint32_t)len;
    for (size_t i = 0; i < part_count; i++)
        head->parts[i] = parts[i].plain_len;
    size_t head_len = vmscm_pack_record_head(head);
    lane->record.len = 0;
    if ((rc = vmscm_buf_reserve(&lane->record, head_len + len, err)))
        return rc;
    uint8_t *payload = lane->record.data + head_len;
    if ((rc = vmscm_compress_encode(lane->compress, payload, &stored, &algorithm, data, len,
             base_count ? prefix->data : NULL, base_count ? prefix->len : 0, err)))
        return rc;
    head->compression = (uint8_t)algorithm;
    head->stored_len = (uint32_t)stored;
    vmscm_pack_encode_record(lane->record.data, head, payload);

    struct vmscm_packwriter_record record = {.type = type,
        .has_base = base_count > 0,
        .parts = parts,
        .part_count = part_count,
        .bytes = lane->record.data,
        .len = head_len + stored};
    pthread_mutex_lock(&in->lock);
    rc = hand_over(in, unit, &record, err);
    if (rc)
        fail(in, rc);
    pthread_mutex_unlock(&in->lock);
    return rc;
}

static int put_group(struct vmscm_ingest_lane *lane, uint64_t unit, struct vmscm_error *err)
{
    int rc = 0;

    if (lane->parts.len)
        rc = put_record(lane, unit, VMSCM_PACK_CHUNK, lane->parts.items, lane->parts.len,
            lane->group.data, lane->group.len, 0, NULL, err);
    lane->parts.len = 0;
    lane->group.len = 0;
    return rc;
}

/* Whether a chunk or leaf can be had from the packs there are: what is stored against another is there
 * only if that is. */
static int is_there(struct vmscm_ingest_lane *lane, const struct vmscm_id *id, bool *there,
    struct vmscm_error *err)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;
    struct vmscm_pack_entry entry;
    int rc = 0;

    *there = vmscm_store_find(lane->ingest->store, &entry, id);
    if (*there && entry.has_base) {
        rc = vmscm_fetch_find(lane->fetch, id, &why);
        *there = !rc;
    }
    return rc == VMSCM_ENOMEM ? vmscm_error_copy(err, &why) : 0;
}

/* Whether a chunk or leaf is new, and the caller's to bring. */
static int is_mine(struct vmscm_ingest_lane *lane, const struct vmscm_id *id, bool *mine,
    struct vmscm_error *err)
{
    struct vmscm_ingest *in = lane->ingest;
    unsigned packs = atomic_load(&in->packs);
    bool there = false;
    int rc = lane->copies ? 0 : is_there(lane, id, &there, err);

    *mine = false;
    if (rc || there)
        return rc;
    pthread_mutex_lock(&in->lock);
    if (in->stopped)
        rc = vmscm_error_set(err, VMSCM_ECANCELED, "stopped");
    else if (!lane->copies && packs != atomic_load(&in->packs))
        rc = is_there(lane, id, &there, err);
    if (!rc && !there)
        rc = claim(in, id, mine, err);
    if (rc)
        fail(in, rc);
    pthread_mutex_unlock(&in->lock);
    return rc;
}

/* Add a chunk to those that are compressed together. */
static int add_to_group(struct vmscm_ingest_lane *lane, uint64_t unit,
    const struct vmscm_packwriter_part *part, const void *data, struct vmscm_error *err)
{
    struct vmscm_packwriter_part *slot;
    int rc;

    if ((lane->group.len + part->plain_len > VMSCM_INGEST_GROUP ||
            lane->parts.len == VMSCM_PACK_PARTS_MAX) &&
        (rc = put_group(lane, unit, err)))
        return rc;
    if (vmscm_vec_add(&lane->parts, &slot, err))
        return VMSCM_ENOMEM;
    *slot = *part;
    return vmscm_buf_append(&lane->group, data, part->plain_len, err);
}

int vmscm_ingest_add(struct vmscm_ingest_lane *lane, uint64_t unit, enum vmscm_pack_type type,
    const struct vmscm_id *id, const void *data, size_t len, struct vmscm_error *err)
{
    struct vmscm_packwriter_part part = {*id, (uint32_t)len};
    bool mine;
    int rc;

    if (len == 0 || len > VMSCM_PACK_PART_MAX)
        return vmscm_error_set(err, VMSCM_EUSAGE, "chunk or leaf of %zu bytes", len);
    if ((rc = is_mine(lane, id, &mine, err)) || !mine)
        return rc;
    return type == VMSCM_PACK_LEAF ? put_record(lane, unit, type, &part, 1, data, len, 0, NULL, err)
                                   : add_to_group(lane, unit, &part, data, err);
}

int vmscm_ingest_add_near(struct vmscm_ingest_lane *lane, uint64_t unit,
    const struct vmscm_id *id, const void *data, size_t len, const struct vmscm_id *near,
    size_t near_count, struct vmscm_error *err)
{
    struct vmscm_packwriter_part part = {*id, (uint32_t)len};
    const struct vmscm_buf *prefix;
    size_t bases = 0;
    bool mine;
    int rc;

    if (!near_count)
        return vmscm_ingest_add(lane, unit, VMSCM_PACK_CHUNK, id, data, len, err);
    if (len == 0 || len > VMSCM_PACK_PART_MAX)
        return vmscm_error_set(err, VMSCM_EUSAGE, "chunk of %zu bytes", len);
    if ((rc = is_mine(lane, id, &mine, err)) || !mine ||
        (!lane->delta &&
            (rc = vmscm_delta_new(&lane->delta, lane->ingest->store, lane->fetch, err))) ||
        (rc = vmscm_delta_find(
             lane->delta, near, near_count, data, len, lane->head.bases, &bases, &prefix, err)))
        return rc;
    return bases ? put_record(lane, unit, VMSCM_PACK_CHUNK, &part, 1, data, len, bases, prefix, err)
                 : add_to_group(lane, unit, &part, data, err);
}

void vmscm_ingest_lane_copy(struct vmscm_ingest_lane *lane)
{
    lane->copies = true;
}

int vmscm_ingest_add_record(struct vmscm_ingest_lane *lane, uint64_t unit,
    const struct vmscm_packwriter_record *record, struct vmscm_error *err)
{
    struct vmscm_ingest *in = lane->ingest;
    bool mine;
    int rc = 0;

    for (size_t i = 0; i < record->part_count && !rc; i++)
        if (!(rc = is_mine(lane, &record->parts[i].id, &mine, err)) && !mine)
            rc = vmscm_error_set(err, VMSCM_EEXIST, "part of a record is there already");
    if (rc)
        return rc;
    pthread_mutex_lock(&in->lock);
    if ((rc = hand_over(in, unit, record, err)))
        fail(in, rc);
    pthread_mutex_unlock(&in->lock);
    return rc;
}

int vmscm_ingest_end_unit(struct vmscm_ingest_lane *lane, uint64_t unit, struct vmscm_error *err)
{
    struct vmscm_ingest *in = lane->ingest;
    int rc = put_group(lane, unit, err);

    if (rc)
        return rc;
    pthread_mutex_lock(&in->lock);
    if (!(rc = wait_for_room(in, unit, 0, err))) {
        in->units[unit % UNITS_MAX].ended = true;
        if (unit == in->head)
            rc = advance(in, err);
    }
    if (rc)
        fail(in, rc);
    pthread_mutex_unlock(&in->lock);
    return rc;
}

void vmscm_ingest_stop(struct vmscm_ingest *in)
{
    pthread_mutex_lock(&in->lock);
    fail(in, 0);
    pthread_mutex_unlock(&in->lock);
}

void vmscm_ingest_count(struct vmscm_ingest *in, struct vmscm_ingest_counts *counts)
{
    pthread_mutex_lock(&in->lock);
    *counts = in->counts;
    counts->stored += in->pack_bytes;
    pthread_mutex_unlock(&in->lock);
}

int vmscm_ingest_finish(struct vmscm_ingest *in, struct vmscm_ingest_counts *counts,
    struct vmscm_error *err)
{
    int rc = in->stopped ? vmscm_error_set(err, VMSCM_ECANCELED, "stopped") : finish_pack(in, err);

    *counts = in->counts;
    vmscm_ingest_abort(in);
    return rc;
}

void vmscm_ingest_abort(struct vmscm_ingest *in)
{
    if (!in)
        return;
    vmscm_packwriter_abort(in->writer);
    for (size_t i = 0; in->units && i < UNITS_MAX; i++) {
        vmscm_buf_release(&in->units[i].bytes);
        vmscm_vec_release(&in->units[i].records);
        vmscm_vec_release(&in->units[i].parts);
    }
    free(in->units);
    free(in->claims);
    free(in->repo_dir);
    pthread_mutex_destroy(&in->lock);
    pthread_cond_destroy(&in->turn);
    free(in);
}
