/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/ingest.h"
#include "base/buf.h"
#include "base/endian.h"
#include "base/vec.h"
#include "store/delta.h"
#include "store/packqueue.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define HELD_MAX (8u << 20) /* bytes that units ahead of their turn may have ready, in all */
#define HEAD_ROOM VMSCM_PACK_HEAD_MAX
#define SAMPLES 4
#define SAMPLE (16u << 10)
#define UNITS_MAX 1024u      /* units ahead of their turn, at most */

/* What this ingest brings and no open pack shows yet: claimed by a unit, or on its way into a pack.
 * Open addressing; an empty slot has state 0. */
enum claim_state { CLAIM_EMPTY, CLAIM_TAKEN, CLAIM_QUEUED };

struct claim {
    struct vmscm_id id;
    uint8_t state;
    unsigned pack; /* the queue's number */
};

/* A unit ahead of its turn has its records wait here. */
struct unit {
    struct vmscm_packqueue_item *first, *last;
    bool ended;
};

struct vmscm_ingest {
    struct vmscm_store *store;
    int level;
    bool (*wanted)(void *data, const struct vmscm_id *id); /* NULL: all is */
    void *wanted_data;
    struct vmscm_packqueue *queue;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t turn;
    struct claim *claims;
    size_t claim_room, claim_count;
    struct unit *units; /* ring of UNITS_MAX by number */
    uint64_t head;      /* the unit whose turn it is */
    size_t held;
    bool stopped;
    struct vmscm_ingest_counts counts;
    uint64_t record_bytes; /* queued so far */
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
    bool noise;              /* the unit's last group did not compress */
    /* New chunks of the unit at hand that are not compressed yet, after HEAD_ROOM bytes. */
    struct vmscm_buf group;
    VMSCM_VEC(struct vmscm_packwriter_part) parts;
};

int vmscm_ingest_lane_new(struct vmscm_ingest_lane **out, struct vmscm_ingest *ingest,
    struct vmscm_error *err)
{
    struct vmscm_ingest_lane *lane = calloc(1, sizeof *lane);
    int rc;

    if (!lane)
        return vmscm_error_nomem(err);
    lane->ingest = ingest;
    if ((rc = vmscm_compress_new(&lane->compress, ingest->level, err)) ||
        (rc = vmscm_fetch_new_own(&lane->fetch, ingest->store, err))) {
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

static bool keeps(const struct claim *c, unsigned from)
{
    return c->state == CLAIM_TAKEN || (c->state == CLAIM_QUEUED && c->pack >= from);
}

/* A table with the claims but those of packs before `from`, a quarter full at most. */
static int rebuild_claims(struct vmscm_ingest *in, unsigned from, struct vmscm_error *err)
{
    size_t kept = 0, room = 1024;

    for (size_t i = 0; i < in->claim_room; i++)
        kept += keeps(&in->claims[i], from);
    while (room < 4 * kept)
        room *= 2;
    struct claim *claims = calloc(room, sizeof *claims);
    if (!claims)
        return vmscm_error_nomem(err);
    for (size_t i = 0; i < in->claim_room; i++)
        if (keeps(&in->claims[i], from))
            *claim_slot(claims, room, &in->claims[i].id) = in->claims[i];
    in->claim_count = kept;
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
        int rc = rebuild_claims(in, 0, err);
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

/* A pack is durable: let the store find what is in it. */
static int add_pack(void *data, const char *file, uint64_t bytes, unsigned pack,
    struct vmscm_error *err)
{
    struct vmscm_ingest *in = data;
    int rc = vmscm_store_add(in->store, file, err);

    if (rc)
        return rc;
    pthread_mutex_lock(&in->lock);
    in->counts.stored += bytes;
    atomic_fetch_add(&in->packs, 1);
    rc = rebuild_claims(in, pack + 1, err);
    pthread_mutex_unlock(&in->lock);
    return rc;
}

int vmscm_ingest_open(struct vmscm_ingest **out, struct vmscm_store *store, const char *repo_dir,
    int level, struct vmscm_lease *lease, struct vmscm_error *err)
{
    struct vmscm_ingest *in = calloc(1, sizeof *in);
    int rc;

    if (!in)
        return vmscm_error_nomem(err);
    in->store = store;
    in->level = level;
    pthread_mutex_init(&in->lock, NULL);
    pthread_cond_init(&in->turn, NULL);
    in->claim_room = 1024;
    in->claims = calloc(in->claim_room, sizeof *in->claims);
    in->units = calloc(UNITS_MAX, sizeof *in->units);
    if (!in->claims || !in->units)
        rc = vmscm_error_nomem(err);
    else if (!(rc = vmscm_packwriter_sweep(repo_dir, err)))
        rc = vmscm_packqueue_open(&in->queue, repo_dir, lease, add_pack, in, err);
    if (rc) {
        vmscm_ingest_abort(in);
        return rc;
    }
    *out = in;
    return 0;
}

void vmscm_ingest_only(struct vmscm_ingest *in,
    bool (*wanted)(void *data, const struct vmscm_id *id), void *data)
{
    in->wanted = wanted;
    in->wanted_data = data;
}

/* In its unit's turn. Takes the item. */
static int queue_item(struct vmscm_ingest *in, struct vmscm_packqueue_item *item,
    struct vmscm_error *err)
{
    unsigned pack = vmscm_packqueue_pack(in->queue);

    for (size_t i = 0; i < item->part_count; i++) {
        struct claim *c = claim_slot(in->claims, in->claim_room, &item->parts[i].id);
        c->state = CLAIM_QUEUED;
        c->pack = pack;
        if (item->type == VMSCM_PACK_CHUNK) {
            in->counts.fresh += item->parts[i].plain_len;
            in->counts.fresh_chunks++;
        }
    }
    in->record_bytes += item->bytes.len - item->at;
    return vmscm_packqueue_put(in->queue, item, err);
}

/* Queue what the unit at the head has ready; move the head past units that ended. */
static int advance(struct vmscm_ingest *in, struct vmscm_error *err)
{
    for (;;) {
        struct unit *u = &in->units[in->head % UNITS_MAX];
        for (struct vmscm_packqueue_item *item; (item = u->first);) {
            u->first = item->next;
            in->held -= vmscm_packqueue_item_size(item);
            int rc = queue_item(in, item, err);
            if (rc)
                return rc;
        }
        if (!u->ended)
            return 0;
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

/* Takes the item. */
static int hand_over(struct vmscm_ingest *in, uint64_t unit, struct vmscm_packqueue_item *item,
    struct vmscm_error *err)
{
    size_t size = vmscm_packqueue_item_size(item);
    bool queued = false;

    pthread_mutex_lock(&in->lock);
    int rc = wait_for_room(in, unit, size, err);
    if (rc) {
        vmscm_packqueue_item_free(item);
    } else if (unit == in->head) {
        rc = queue_item(in, item, err);
        queued = !rc;
    } else {
        struct unit *u = &in->units[unit % UNITS_MAX];
        *(u->first ? &u->last->next : &u->first) = item;
        u->last = item;
        in->held += size;
    }
    if (rc)
        fail(in, rc);
    pthread_mutex_unlock(&in->lock);
    return queued ? vmscm_packqueue_wait(in->queue, err) : rc;
}

/* An item for the record that buf ends with, from `at` on. A large one takes buf's storage, which
 * then has none. */
static int make_item(struct vmscm_packqueue_item **out, struct vmscm_buf *buf, size_t at,
    const struct vmscm_packwriter_part *parts, size_t part_count, struct vmscm_error *err)
{
    struct vmscm_packqueue_item *item = calloc(1, sizeof *item + part_count * sizeof *parts);
    size_t len = buf->len - at;

    if (!(*out = item))
        return vmscm_error_nomem(err);
    memcpy(item->parts, parts, part_count * sizeof *parts);
    item->part_count = part_count;
    if (len >= buf->cap / 2) {
        item->bytes = *buf;
        item->at = at;
        *buf = (struct vmscm_buf)VMSCM_BUF_INIT;
        return 0;
    }
    if (!(item->bytes.data = malloc(len))) {
        vmscm_packqueue_item_free(item);
        return vmscm_error_nomem(err);
    }
    memcpy(item->bytes.data, buf->data + at, len);
    item->bytes.len = item->bytes.cap = len;
    return 0;
}

/* Noise often comes in bulk: after a group that did not compress, samples tell whether to try another.
 * A group with few of them in it is tried in any case. The lane's record is made room of. */
static int test_noise(struct vmscm_ingest_lane *lane, const uint8_t *data, size_t len,
    struct vmscm_error *err)
{
    size_t stored;
    int rc = 0;

    if (len < 4 * SAMPLES * SAMPLE)
        lane->noise = false;
    for (size_t i = 0; i < SAMPLES && lane->noise && !rc; i++) {
        rc = vmscm_compress_try(lane->compress, lane->record.data, &stored,
            data + (len - SAMPLE) / (SAMPLES - 1) * i, SAMPLE, NULL, 0, err);
        lane->noise = !stored;
    }
    return rc;
}

/* Compress parts that lie one after the other in data, against the bases in lane->head, whose bytes
 * are prefix, and hand the record over. Data that are all of lane->group are not copied if they do
 * not compress. */
static int put_record(struct vmscm_ingest_lane *lane, uint64_t unit, enum vmscm_pack_type type,
    const struct vmscm_packwriter_part *parts, size_t part_count, const void *data, size_t len,
    size_t base_count, const struct vmscm_buf *prefix, struct vmscm_error *err)
{
    struct vmscm_ingest *in = lane->ingest;
    struct vmscm_pack_record *head = &lane->head;
    struct vmscm_packqueue_item *item = NULL;
    bool in_group = lane->group.data && data == lane->group.data + HEAD_ROOM;
    struct vmscm_buf *buf = &lane->record;
    size_t stored = 0, at = 0;
    int rc;

    head->type = (uint8_t)type;
    head->base_count = (uint8_t)base_count;
    head->part_count = (uint16_t)part_count;
    head->plain_len = (uint32_t)len;
    for (size_t i = 0; i < part_count; i++)
        head->parts[i] = parts[i].plain_len;
    size_t head_len = vmscm_pack_record_head(head);
    buf->len = 0;
    vmscm_packqueue_spare(in->queue, buf);
    if ((rc = vmscm_buf_reserve(buf, head_len + len, err)) ||
        (in_group && (rc = test_noise(lane, data, len, err))) ||
        (!(in_group && lane->noise) &&
            (rc = vmscm_compress_try(lane->compress, buf->data + head_len, &stored, data, len,
                 base_count ? prefix->data : NULL, base_count ? prefix->len : 0, err))))
        return rc;
    if (in_group)
        lane->noise = !stored;
    head->compression = stored ? VMSCM_COMPRESS_ZSTD : VMSCM_COMPRESS_NONE;
    if (!stored) {
        stored = len;
        if (in_group) {
            buf = &lane->group;
            at = HEAD_ROOM - head_len;
        } else {
            memcpy(buf->data + head_len, data, len);
        }
    }
    head->stored_len = (uint32_t)stored;
    vmscm_pack_encode_record(buf->data + at, head, buf->data + at + head_len);
    buf->len = at + head_len + stored;
    if ((rc = make_item(&item, buf, at, parts, part_count, err)))
        return rc;
    item->type = type;
    item->has_base = base_count > 0;
    return hand_over(in, unit, item, err);
}

static int put_group(struct vmscm_ingest_lane *lane, uint64_t unit, struct vmscm_error *err)
{
    int rc = 0;

    if (lane->parts.len)
        rc = put_record(lane, unit, VMSCM_PACK_CHUNK, lane->parts.items, lane->parts.len,
            lane->group.data + HEAD_ROOM, lane->group.len - HEAD_ROOM, 0, NULL, err);
    lane->parts.len = 0;
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
    int rc;

    *mine = false;
    if (in->wanted && !in->wanted(in->wanted_data, id))
        return 0;
    rc = lane->copies ? 0 : is_there(lane, id, &there, err);
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

    if (lane->parts.len &&
        (lane->group.len + part->plain_len > HEAD_ROOM + VMSCM_INGEST_GROUP ||
            lane->parts.len == VMSCM_PACK_PARTS_MAX) &&
        (rc = put_group(lane, unit, err)))
        return rc;
    if (!lane->parts.len) {
        vmscm_packqueue_spare(lane->ingest->queue, &lane->group);
        lane->group.len = 0;
        if ((rc = vmscm_buf_reserve(&lane->group, HEAD_ROOM + VMSCM_INGEST_GROUP, err)))
            return rc;
        lane->group.len = HEAD_ROOM;
    }
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
    struct vmscm_packqueue_item *item;
    bool mine;
    int rc = 0;

    for (size_t i = 0; i < record->part_count && !rc; i++)
        if (!(rc = is_mine(lane, &record->parts[i].id, &mine, err)) && !mine)
            rc = vmscm_error_set(err, VMSCM_EEXIST, "part of a record is there already");
    if (rc)
        return rc;
    lane->record.len = 0;
    if ((rc = vmscm_buf_append(&lane->record, record->bytes, record->len, err)) ||
        (rc = make_item(&item, &lane->record, 0, record->parts, record->part_count, err)))
        return rc;
    item->type = record->type;
    item->has_base = record->has_base;
    return hand_over(lane->ingest, unit, item, err);
}

int vmscm_ingest_end_unit(struct vmscm_ingest_lane *lane, uint64_t unit, struct vmscm_error *err)
{
    struct vmscm_ingest *in = lane->ingest;
    int rc = put_group(lane, unit, err);

    if (rc)
        return rc;
    lane->noise = false;
    pthread_mutex_lock(&in->lock);
    if (!(rc = wait_for_room(in, unit, 0, err))) {
        in->units[unit % UNITS_MAX].ended = true;
        if (unit == in->head)
            rc = advance(in, err);
    }
    if (rc)
        fail(in, rc);
    pthread_mutex_unlock(&in->lock);
    return rc ? rc : vmscm_packqueue_wait(in->queue, err);
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
    counts->stored = in->record_bytes;
    pthread_mutex_unlock(&in->lock);
}

int vmscm_ingest_finish(struct vmscm_ingest *in, struct vmscm_ingest_counts *counts,
    struct vmscm_error *err)
{
    struct vmscm_packqueue *queue = in->queue;
    int rc = 0;

    if (in->stopped) {
        rc = vmscm_error_set(err, VMSCM_ECANCELED, "stopped");
    } else {
        in->queue = NULL;
        rc = vmscm_packqueue_close(queue, err);
    }
    *counts = in->counts;
    vmscm_ingest_abort(in);
    return rc;
}

void vmscm_ingest_abort(struct vmscm_ingest *in)
{
    if (!in)
        return;
    vmscm_packqueue_abort(in->queue);
    for (size_t i = 0; in->units && i < UNITS_MAX; i++)
        for (struct vmscm_packqueue_item *item; (item = in->units[i].first);) {
            in->units[i].first = item->next;
            vmscm_packqueue_item_free(item);
        }
    free(in->units);
    free(in->claims);
    pthread_mutex_destroy(&in->lock);
    pthread_cond_destroy(&in->turn);
    free(in);
}
