/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A lane: what is new of a thread's chunks and leaves, compressed into records. */
#include "base/buf.h"
#include "base/vec.h"
#include "store/delta.h"
#include "store/ingest_parts.h"

#include <stdlib.h>
#include <string.h>

#define HEAD_ROOM VMSCM_PACK_HEAD_MAX
#define SAMPLES 4
#define SAMPLE (16u << 10)

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
    return vmscm_ingest_hand_over(in, unit, item, err);
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
        rc = vmscm_claims_take(&in->claims, id, mine, err);
    if (rc)
        vmscm_ingest_fail(in, rc);
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

int vmscm_ingest_lane_add(struct vmscm_ingest_lane *lane, uint64_t unit, enum vmscm_pack_type type,
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

int vmscm_ingest_lane_add_near(struct vmscm_ingest_lane *lane, uint64_t unit,
    const struct vmscm_id *id, const void *data, size_t len, const struct vmscm_id *near,
    size_t near_count, struct vmscm_error *err)
{
    struct vmscm_packwriter_part part = {*id, (uint32_t)len};
    const struct vmscm_buf *prefix;
    size_t bases = 0;
    bool mine;
    int rc;

    if (!near_count)
        return vmscm_ingest_lane_add(lane, unit, VMSCM_PACK_CHUNK, id, data, len, err);
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

int vmscm_ingest_lane_add_record(struct vmscm_ingest_lane *lane, uint64_t unit,
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
    return vmscm_ingest_hand_over(lane->ingest, unit, item, err);
}

int vmscm_ingest_lane_end_unit(struct vmscm_ingest_lane *lane, uint64_t unit,
    struct vmscm_error *err)
{
    int rc = put_group(lane, unit, err);

    if (rc)
        return rc;
    lane->noise = false;
    return vmscm_ingest_end(lane->ingest, unit, err);
}
