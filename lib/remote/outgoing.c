/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "remote/outgoing.h"
#include "base/vec.h"
#include "codec/compress.h"
#include "remote/standins.h"
#include "store/batch.h"
#include "store/fetch.h"
#include "store/idset.h"
#include "store/ingest.h"
#include "store/rerecord.h"

#include <stdlib.h>
#include <string.h>

#define WANTED 1u
#define ALLOWED 2u
#define SENT 4u
#define KNOWN 8u /* the other side has it, surely */
#define LEAF_SHIFT 8 /* above that, the number of a leaf that lists it; 0: none is known */

#define BRING_MAX 768u /* chunks that are brought at a time: some tens of MiB */
#define WORTH_ASKING 4096u /* bytes of a record of one part; its id takes 32 */

/* Where something to be sent is. */
struct place {
    struct vmscm_store *store; /* ours, or the cache of it */
    struct vmscm_packfile *pack;
    struct vmscm_pack_entry entry;
};

struct vmscm_outgoing {
    struct vmscm_repo *repo;
    struct vmscm_store *store;
    struct vmscm_fetch *fetch;
    struct vmscm_compress *compress;
    struct vmscm_hash *hash;
    struct vmscm_idset ids;
    size_t wanted;
    VMSCM_VEC(struct vmscm_id) leaves; /* that list what is wanted; kept where some may be elsewhere */
    uint64_t leaf;                     /* the number of the one at hand, as a flag */
    struct vmscm_batch batch;
    VMSCM_VEC(struct place) places;
    struct vmscm_buf raw, plain, packed, part, base;
    struct vmscm_standins standins;
    /* Parts that are to be compressed together. */
    struct vmscm_buf group;
    uint32_t group_parts[VMSCM_PACK_PARTS_MAX];
    unsigned group_count;
    uint8_t group_type;
    struct vmscm_stream *stream;
    const struct vmscm_outgoing_how *how;
    uint64_t done;
};

int vmscm_outgoing_new(struct vmscm_outgoing **out, struct vmscm_repo *repo,
    struct vmscm_error *err)
{
    struct vmscm_outgoing *o = calloc(1, sizeof *o);
    int rc;

    if (!o)
        return vmscm_error_nomem(err);
    o->repo = repo;
    if ((rc = vmscm_handle_store(&o->store, repo, err)) ||
        (rc = vmscm_fetch_new(&o->fetch, o->store, err)) ||
        (rc = vmscm_compress_new(&o->compress, VMSCM_COMPRESS_LEVEL_DEFAULT, err)) ||
        (rc = vmscm_hash_new(&o->hash, err))) {
        vmscm_outgoing_free(o);
        return rc;
    }
    vmscm_batch_init(&o->batch, o->store);
    *out = o;
    return rc;
}

void vmscm_outgoing_free(struct vmscm_outgoing *o)
{
    if (!o)
        return;
    vmscm_fetch_free(o->fetch);
    vmscm_compress_free(o->compress);
    vmscm_hash_free(o->hash);
    vmscm_idset_release(&o->ids);
    vmscm_vec_release(&o->places);
    vmscm_vec_release(&o->leaves);
    vmscm_batch_release(&o->batch);
    vmscm_buf_release(&o->raw);
    vmscm_buf_release(&o->plain);
    vmscm_buf_release(&o->packed);
    vmscm_buf_release(&o->part);
    vmscm_buf_release(&o->base);
    vmscm_standins_release(&o->standins);
    vmscm_buf_release(&o->group);
    free(o);
}

int vmscm_outgoing_from(struct vmscm_outgoing *o, const struct vmscm_id *leaf,
    struct vmscm_error *err)
{
    struct vmscm_id *slot;

    o->leaf = 0;
    if (!leaf || !o->batch.store)
        return 0;
    if (vmscm_vec_add(&o->leaves, &slot, err))
        return VMSCM_ENOMEM;
    *slot = *leaf;
    o->leaf = (uint64_t)o->leaves.len << LEAF_SHIFT;
    return 0;
}

int vmscm_outgoing_want(struct vmscm_outgoing *o, const struct vmscm_id *id, struct vmscm_error *err)
{
    uint64_t *flags;
    bool added;
    int rc = vmscm_idset_get(&o->ids, &flags, &added, id, err);

    if (rc)
        return rc;
    o->wanted += !(*flags & WANTED);
    *flags |= WANTED | ALLOWED;
    if (!(*flags >> LEAF_SHIFT))
        *flags |= o->leaf;
    return 0;
}

int vmscm_outgoing_allow(struct vmscm_outgoing *o, const struct vmscm_id *id,
    struct vmscm_error *err)
{
    uint64_t *flags;
    bool added;
    int rc = vmscm_idset_get(&o->ids, &flags, &added, id, err);

    if (rc)
        return rc;
    *flags |= ALLOWED;
    if (!(*flags >> LEAF_SHIFT))
        *flags |= o->leaf;
    return 0;
}

static uint64_t flags_of(const struct vmscm_outgoing *o, const struct vmscm_id *id)
{
    const uint64_t *flags = vmscm_idset_find(&o->ids, id);

    return flags ? *flags : 0;
}

int vmscm_outgoing_know(struct vmscm_outgoing *o, const struct vmscm_id *id, struct vmscm_error *err)
{
    uint64_t *flags;
    bool added;
    int rc = vmscm_idset_get(&o->ids, &flags, &added, id, err);

    if (rc || *flags & KNOWN)
        return rc;
    *flags |= KNOWN;
    return vmscm_standins_add(&o->standins, o->store, o->fetch, id, err);
}

bool vmscm_outgoing_may(const struct vmscm_outgoing *o, const struct vmscm_id *id)
{
    return flags_of(o, id) & ALLOWED;
}

/* It is in the set. */
static void set_flags(struct vmscm_outgoing *o, const struct vmscm_id *id, uint64_t flags)
{
    uint64_t *value;
    bool added;

    if (vmscm_idset_find(&o->ids, id) && !vmscm_idset_get(&o->ids, &value, &added, id, NULL))
        *value = flags;
}

void vmscm_outgoing_drop(struct vmscm_outgoing *o, const struct vmscm_id *id)
{
    uint64_t flags = flags_of(o, id);

    if (!(flags & WANTED))
        return;
    o->wanted--;
    set_flags(o, id, flags & ~(uint64_t)WANTED);
}

size_t vmscm_outgoing_count(const struct vmscm_outgoing *o)
{
    return o->wanted;
}

int vmscm_outgoing_each(struct vmscm_outgoing *o, bool all,
    int (*each)(void *data, const struct vmscm_id *id), void *data, struct vmscm_error *err)
{
    struct vmscm_pack_entry entry;
    int rc = 0;

    (void)err;
    for (size_t i = 0; i < o->ids.room && !rc; i++) {
        const struct vmscm_idset_slot *slot = &o->ids.slots[i];
        if (!slot->used || !(slot->value & WANTED))
            continue;
        if (!all && vmscm_store_locate(o->store, &entry, &slot->id, 0) && entry.has_base &&
            entry.length < WORTH_ASKING)
            continue;
        rc = each(data, &slot->id);
    }
    return rc;
}

static int find_places(struct vmscm_outgoing *o, struct vmscm_error *err)
{
    struct place place, *slot;

    o->places.len = 0;
    for (size_t i = 0; i < o->ids.room; i++) {
        const struct vmscm_idset_slot *id = &o->ids.slots[i];
        if (!id->used || !(id->value & WANTED) || id->value & SENT)
            continue;
        place.store = o->store;
        place.pack = vmscm_store_locate(o->store, &place.entry, &id->id, 0);
        /* Where it can be had, if anywhere, reading it finds out. */
        if (!place.pack)
            place.entry = (struct vmscm_pack_entry){.id = id->id,
                .offset = (uint32_t)(id->value >> LEAF_SHIFT),
                .type = o->batch.store && !(id->value >> LEAF_SHIFT) ? VMSCM_PACK_LEAF
                                                                     : VMSCM_PACK_CHUNK};
        if (vmscm_vec_add(&o->places, &slot, err))
            return VMSCM_ENOMEM;
        *slot = place;
    }
    return 0;
}

int vmscm_outgoing_measure(struct vmscm_outgoing *o, uint64_t *bytes, struct vmscm_error *err)
{
    int rc = find_places(o, err);

    *bytes = 0;
    for (size_t i = 0; i < o->places.len && !rc; i++) {
        uint64_t share = 0;
        /* What cannot be measured cannot be sent either, which is told then. */
        if (vmscm_fetch_find_share(o->fetch, &o->places.items[i].entry.id, &share, NULL) == 0)
            *bytes += share;
    }
    return rc;
}

/* Leaves last, before them what has bases; else as things lie, and what is elsewhere by its leaf. */
static int by_place(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    if (x->entry.type != y->entry.type)
        return x->entry.type < y->entry.type ? -1 : 1;
    if (x->entry.has_base != y->entry.has_base)
        return x->entry.has_base ? 1 : -1;
    if (x->pack != y->pack)
        return x->pack && y->pack ? memcmp(x->pack->name, y->pack->name, sizeof x->pack->name)
                                  : (x->pack ? -1 : 1);
    if (x->entry.offset != y->entry.offset)
        return x->entry.offset < y->entry.offset ? -1 : 1;
    return (int)x->entry.part - (int)y->entry.part;
}

static int put(struct vmscm_outgoing *o, const void *head, size_t head_len, const void *data,
    size_t len, struct vmscm_error *err)
{
    struct vmscm_progress progress = {.phase = "sending"};
    int rc = vmscm_stream_put(o->stream, VMSCM_WIRE_RECORD, head, head_len, data, len, err);

    o->done += head_len + len;
    progress.done = progress.read = o->done;
    progress.total = o->how->total;
    if (!rc && o->how->events && o->how->events->progress)
        o->how->events->progress(o->how->events->data, &progress);
    return rc ? rc : vmscm_handle_canceled(o->how->events, err);
}

/* Plain bytes of parts as a record, in o->packed. */
static int encode(struct vmscm_outgoing *o, uint8_t type, const uint8_t *plain,
    const uint32_t *parts, unsigned count, size_t *len, struct vmscm_error *err)
{
    struct vmscm_pack_record record = {.type = type, .part_count = (uint16_t)count};

    for (unsigned i = 0; i < count; i++)
        record.plain_len += record.parts[i] = parts[i];
    return vmscm_rerecord_alone(&o->packed, len, &record, o->compress, plain, err);
}

static int flush_group(struct vmscm_outgoing *o, struct vmscm_error *err)
{
    size_t len;
    int rc;

    if (!o->group_count)
        return 0;
    rc = encode(o, o->group_type, o->group.data, o->group_parts, o->group_count, &len, err);
    o->group.len = 0;
    o->group_count = 0;
    return rc ? rc : put(o, NULL, 0, o->packed.data, len, err);
}

/* A chunk or leaf by itself, or with others like it, from wherever it can be had. */
static int send_alone(struct vmscm_outgoing *o, const struct place *place, struct vmscm_error *err)
{
    int rc = vmscm_fetch_read_buf(
        o->fetch, place->entry.type, &place->entry.id, &o->part, VMSCM_PACK_PART_MAX, err);

    if (rc)
        return rc;
    if (o->group_count &&
        (o->group_type != place->entry.type || o->group_count == VMSCM_PACK_PARTS_MAX ||
            o->group.len + o->part.len > VMSCM_INGEST_GROUP || place->entry.type == VMSCM_PACK_LEAF))
        rc = flush_group(o, err);
    if (rc || (rc = vmscm_buf_append(&o->group, o->part.data, o->part.len, err)))
        return rc;
    o->group_parts[o->group_count++] = (uint32_t)o->part.len;
    o->group_type = place->entry.type;
    set_flags(o, &place->entry.id, flags_of(o, &place->entry.id) | SENT);
    return 0;
}

/* Whether a record's bytes, which are in o->raw, are as they were written. */
static bool load(struct vmscm_outgoing *o, struct vmscm_pack_record *record,
    const struct place *place)
{
    const struct vmscm_pack_entry *entry = &place->entry;

    o->raw.len = 0;
    if (!place->pack || entry->length > VMSCM_PACK_RECORD_MAX ||
        vmscm_buf_reserve(&o->raw, entry->length, NULL) ||
        vmscm_store_pread(
            place->store, place->pack, o->raw.data, entry->length, entry->offset, NULL) ||
        vmscm_pack_decode_record(record, o->raw.data, entry->length, NULL) ||
        vmscm_pack_record_head(record) + record->stored_len != entry->length ||
        !vmscm_pack_check_record(record, o->raw.data))
        return false;
    o->raw.len = entry->length;
    return true;
}

/* The other side has what a record is stored against, or gets it first, as far as is known here. */
static bool bases_go(const struct vmscm_outgoing *o, const struct vmscm_pack_record *record)
{
    for (unsigned i = 0; i < record->base_count; i++)
        if (o->how->alone || (o->how->fresh && !(flags_of(o, &record->bases[i]) & (WANTED | KNOWN))))
            return false;
    return true;
}

/* Some parts of a record that is in o->raw, in the order of their numbers. */
static int send_some(struct vmscm_outgoing *o, const struct vmscm_pack_record *record,
    const struct place *places, size_t count, struct vmscm_error *err)
{
    uint32_t parts[VMSCM_PACK_PARTS_MAX];
    struct vmscm_id id;
    size_t at = 0, k = 0, taken = 0, len;
    bool whole = true;
    int rc;

    o->plain.len = 0;
    if ((rc = vmscm_buf_reserve(&o->plain, record->plain_len, err)) ||
        (rc = vmscm_compress_decode(o->compress, o->plain.data, record->plain_len,
             record->compression, o->raw.data + vmscm_pack_record_head(record), record->stored_len,
             NULL, 0, err)))
        return rc;
    /* What is needed moves together; of the rest it is seen whether it may go, too. */
    o->part.len = 0;
    for (unsigned i = 0; i < record->part_count && !rc; i++) {
        const uint8_t *data = o->plain.data + at;
        at += record->parts[i];
        if ((rc = vmscm_hash_compute(o->hash, &id, data, record->parts[i], err)))
            break;
        if (k < count && places[k].entry.part == i) {
            if (vmscm_hash_cmp(&id, &places[k].entry.id) != 0)
                rc = vmscm_error_set(err, VMSCM_EDAMAGED, "a record is damaged");
            else
                rc = vmscm_buf_append(&o->part, data, record->parts[i], err);
            parts[taken++] = record->parts[i];
            k++;
        } else {
            uint64_t flags = flags_of(o, &id);
            whole = whole && flags & ALLOWED && !(flags & SENT);
        }
    }
    if (rc || k < count)
        return rc ? rc : vmscm_error_set(err, VMSCM_EDAMAGED, "a record is damaged");
    if ((rc = encode(o, record->type, o->part.data, parts, (unsigned)taken, &len, err)))
        return rc;
    if (!whole || len < o->raw.len)
        return put(o, NULL, 0, o->packed.data, len, err);
    at = 0;
    for (unsigned i = 0; i < record->part_count && !rc; i++) {
        if (!(rc = vmscm_hash_compute(
                  o->hash, &id, o->plain.data + at, record->parts[i], err)))
            set_flags(o, &id, flags_of(o, &id) | SENT);
        at += record->parts[i];
    }
    return rc ? rc : put(o, NULL, 0, o->raw.data, o->raw.len, err);
}

/* One more base, and its plain bytes in o->base; of more than there may be, the first. */
static bool add_base(struct vmscm_outgoing *o, struct vmscm_pack_record *to, const struct vmscm_id *id)
{
    for (unsigned i = 0; i < to->base_count; i++)
        if (vmscm_hash_cmp(&to->bases[i], id) == 0)
            return true;
    if (to->base_count == VMSCM_PACK_BASES_MAX)
        return true;
    to->bases[to->base_count++] = *id;
    return !vmscm_fetch_read_buf(o->fetch, to->type, id, &o->part, VMSCM_PACK_PART_MAX, NULL) &&
        !vmscm_buf_append(&o->base, o->part.data, o->part.len, NULL);
}

/* The bases of a record, or what stands for them there, into *to. */
static bool find_substitutes(struct vmscm_outgoing *o, struct vmscm_pack_record *to,
    const struct vmscm_pack_record *record)
{
    bool good = true;

    o->base.len = 0;
    for (unsigned i = 0; i < record->base_count && good; i++) {
        const struct vmscm_id *id = &record->bases[i];
        if (flags_of(o, id) & (WANTED | KNOWN)) {
            good = add_base(o, to, id);
            continue;
        }
        uint64_t n = vmscm_standins_first(&o->standins, id);
        good = n > 0;
        for (; n && good; n = vmscm_standins_next(&o->standins, n))
            good = add_base(o, to, vmscm_standins_id(&o->standins, n));
    }
    return good;
}

/* All of a record, stored against what is surely there. *done: it could be. */
static int send_against(struct vmscm_outgoing *o, bool *done, const struct vmscm_pack_record *record,
    const struct place *places, struct vmscm_error *err)
{
    struct vmscm_pack_record to = {
        .type = record->type, .part_count = record->part_count, .plain_len = record->plain_len};
    size_t len;
    int rc;

    *done = false;
    memcpy(to.parts, record->parts, sizeof to.parts);
    if (o->how->alone || !find_substitutes(o, &to, record))
        return 0;
    o->plain.len = 0;
    for (unsigned i = 0; i < record->part_count; i++)
        if (vmscm_fetch_read_buf(o->fetch, record->type, &places[i].entry.id, &o->part,
                VMSCM_PACK_PART_MAX, NULL) ||
            o->part.len != record->parts[i] ||
            vmscm_buf_append(&o->plain, o->part.data, o->part.len, NULL))
            return 0;
    if ((rc = vmscm_rerecord_encode(
             &o->packed, &len, &to, o->compress, o->plain.data, &o->base, err)))
        return rc;
    *done = true;
    return put(o, NULL, 0, o->packed.data, len, err);
}

/* What is needed of one record, unless it went with another. */
static int send_record(struct vmscm_outgoing *o, struct place *places, size_t count,
    struct vmscm_error *err)
{
    struct vmscm_pack_record record;
    size_t left = 0;
    bool good, done = false;
    int rc = 0;

    for (size_t i = 0; i < count; i++)
        if (!(flags_of(o, &places[i].entry.id) & SENT))
            places[left++] = places[i];
    if (!left)
        return 0;
    good = load(o, &record, &places[0]);
    if (good && record.base_count && left == record.part_count && !bases_go(o, &record) &&
        ((rc = send_against(o, &done, &record, places, err)) || done)) {
        /* Done, or failed for good. */
    } else if (good && bases_go(o, &record) && left == record.part_count && places[0].entry.part == 0) {
        rc = put(o, NULL, 0, o->raw.data, o->raw.len, err);
    } else if (good && !record.base_count &&
        (rc = send_some(o, &record, places, left, err)) != VMSCM_EDAMAGED) {
        /* Done, or failed for good. */
    } else {
        vmscm_error_clear(err);
        rc = 0;
        for (size_t i = 0; i < left && !rc; i++)
            rc = send_alone(o, &places[i], err);
        return rc;
    }
    for (size_t i = 0; i < left; i++)
        set_flags(o, &places[i].entry.id, flags_of(o, &places[i].entry.id) | SENT);
    return rc;
}

/* Records, one after the other, of places that are sorted. */
static int send_places(struct vmscm_outgoing *o, struct place *places, size_t count,
    struct vmscm_error *err)
{
    size_t n;
    int rc = 0;

    for (size_t at = 0; at < count && !rc; at += n) {
        struct place *first = &places[at];
        for (n = 1; at + n < count && first[n].pack == first->pack && first->pack &&
             first[n].entry.offset == first->entry.offset;
             n++)
            ;
        /* What others are stored against must not come after them. */
        if (first->entry.has_base && o->group_count && !o->how->alone)
            rc = flush_group(o, err);
        if (!rc)
            rc = send_record(o, first, n, err);
    }
    return rc;
}

/* What is elsewhere is brought first, so much at a time that no cache is too small for it. */
static int send_elsewhere(struct vmscm_outgoing *o, struct place *places, size_t count,
    struct vmscm_error *err)
{
    struct vmscm_pack_entry entry;
    int rc = 0;

    for (size_t i = 0; i < count && !rc; i++) {
        const struct vmscm_id *id = &places[i].entry.id;
        uint64_t leaf = flags_of(o, id) >> LEAF_SHIFT;
        rc = leaf
            ? vmscm_batch_add_chunk(&o->batch, id, 0, &o->leaves.items[leaf - 1], err)
            : vmscm_batch_add_leaf(&o->batch, id, err);
    }
    if (rc || (rc = vmscm_batch_bring(&o->batch, err)))
        return rc;
    for (size_t i = 0; i < count; i++) {
        struct vmscm_store *cache = vmscm_cache_store(vmscm_elsewhere_cache(o->store));
        struct vmscm_packfile *pack = vmscm_store_locate(cache, &entry, &places[i].entry.id, 0);
        if (pack)
            places[i] = (struct place){cache, pack, entry};
    }
    qsort(places, count, sizeof *places, by_place);
    rc = send_places(o, places, count, err);
    vmscm_batch_let_go(&o->batch);
    return rc;
}

int vmscm_outgoing_run(struct vmscm_outgoing *o, struct vmscm_stream *stream,
    const struct vmscm_outgoing_how *how, struct vmscm_error *err)
{
    size_t at = 0, n;
    int rc = find_places(o, err);

    o->stream = stream;
    o->how = how;
    o->done = 0;
    if (o->places.len)
        qsort(o->places.items, o->places.len, sizeof *o->places.items, by_place);
    for (; at < o->places.len && !rc; at += n) {
        struct place *first = &o->places.items[at];
        bool elsewhere = !first->pack && o->batch.store;
        for (n = 1; at + n < o->places.len; n++)
            if (elsewhere != (!first[n].pack && o->batch.store) || (elsewhere && n == BRING_MAX))
                break;
        rc = elsewhere ? send_elsewhere(o, first, n, err) : send_places(o, first, n, err);
    }
    return rc ? rc : flush_group(o, err);
}
