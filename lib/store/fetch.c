/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/fetch.h"
#include "store/fetch_parts.h"
#include "sys/direct.h"

#include <stdlib.h>

#define SLOT_KEEP (2u << 20) /* a larger buffer is given back */

int vmscm_fetch_new(struct vmscm_fetch **out, struct vmscm_store *store, struct vmscm_error *err)
{
    struct vmscm_fetch *fetch = calloc(1, sizeof *fetch);
    int rc;

    if (!fetch)
        return vmscm_error_nomem(err);
    fetch->store = fetch->from = store;
    if ((rc = vmscm_compress_new(&fetch->compress, VMSCM_COMPRESS_LEVEL_DEFAULT, err)) ||
        (rc = vmscm_hash_new(&fetch->hash, err))) {
        vmscm_fetch_free(fetch);
        return rc;
    }
    *out = fetch;
    return 0;
}

int vmscm_fetch_new_own(struct vmscm_fetch **out, struct vmscm_store *store,
    struct vmscm_error *err)
{
    int rc = vmscm_fetch_new(out, store, err);

    if (!rc)
        vmscm_fetch_set_reach(*out, VMSCM_FETCH_OWN);
    return rc;
}

struct vmscm_store *vmscm_fetch_store(const struct vmscm_fetch *fetch)
{
    return fetch->store;
}

void vmscm_fetch_set_reach(struct vmscm_fetch *fetch, enum vmscm_fetch_reach reach)
{
    fetch->reach = reach;
}

void vmscm_fetch_once(struct vmscm_fetch *fetch)
{
    fetch->once = true;
}

void vmscm_fetch_cache(struct vmscm_fetch *fetch, struct vmscm_recordcache *cache)
{
    fetch->cache = cache;
}

void vmscm_fetch_free(struct vmscm_fetch *fetch)
{
    if (!fetch)
        return;
    vmscm_compress_free(fetch->compress);
    vmscm_hash_free(fetch->hash);
    vmscm_plain_unref(fetch->bytes.memory);
    vmscm_plain_unref(fetch->spare.memory);
    vmscm_buf_release(&fetch->base);
    for (size_t i = 0; i < VMSCM_FETCH_SLOTS; i++)
        vmscm_plain_unref(fetch->slots[i].plain);
    free(fetch);
}

/* Whether a record is the one an entry means, and has its part. */
static int match(const struct vmscm_pack_record *record, const struct vmscm_pack_entry *entry,
    struct vmscm_error *err)
{
    if (record->type != entry->type || entry->part >= record->part_count ||
        record->parts[entry->part] != entry->plain_len ||
        entry->has_base != (record->base_count > 0) ||
        vmscm_pack_record_head(record) + record->stored_len != entry->length)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "index and record differ");
    return 0;
}

/* Memory with room for at least len bytes in *plain, which nobody else uses. */
static int make_room(struct vmscm_plain **plain, size_t len, struct vmscm_error *err)
{
    if (*plain && (*plain)->cap >= len && (*plain)->cap <= SLOT_KEEP && vmscm_plain_is_own(*plain))
        return 0;
    vmscm_plain_unref(*plain);
    *plain = NULL;
    return vmscm_plain_new(plain, len, err);
}

/* The first bytes of the record at an entry, at most max, into fetch->bytes, and its header into
 * fetch->record. */
int vmscm_fetch_load(struct vmscm_fetch *fetch, struct vmscm_packfile *pack,
    const struct vmscm_pack_entry *entry, size_t max, struct vmscm_error *err)
{
    uint64_t end = (uint64_t)entry->offset + entry->length;
    size_t len = entry->length < max ? entry->length : max;
    struct vmscm_fetch_raw *raw = &fetch->bytes;
    int rc;

    if (entry->offset < VMSCM_PACK_HEADER_SIZE || end > pack->trailer.index_offset ||
        entry->length < VMSCM_PACK_RECORD_SIZE || entry->length > VMSCM_PACK_RECORD_MAX)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "index entry of no possible record");
    if ((rc = make_room(&raw->memory, VMSCM_DIRECT_ROOM(len), err)))
        return rc;
    raw->data = raw->memory->data;
    if ((rc = fetch->once ? vmscm_store_pread_once(fetch->from, pack, &raw->data,
                                raw->memory->data, len, entry->offset, err)
                          : vmscm_store_pread(fetch->from, pack, raw->memory->data, len,
                                entry->offset, err)) ||
        (rc = vmscm_pack_decode_record(&fetch->record, fetch->bytes.data, len, err)))
        return rc;
    return match(&fetch->record, entry, err);
}

static int verify(struct vmscm_fetch *fetch, const struct vmscm_id *id, const void *data,
    size_t len, struct vmscm_error *err)
{
    struct vmscm_id is;
    int rc = vmscm_hash_compute(fetch->hash, &is, data, len, err);

    if (!rc && vmscm_hash_cmp(&is, id) != 0)
        rc = vmscm_error_set(err, VMSCM_EDAMAGED, "contents do not have the hash they should");
    return rc;
}

/* Plain bytes of the record at hand, whose bases are read, into out, which has room for them. */
static int decode(struct vmscm_fetch *fetch, void *out, struct vmscm_error *err)
{
    const struct vmscm_pack_record *record = &fetch->record;

    return vmscm_compress_decode(fetch->compress, out, record->plain_len, record->compression,
        fetch->bytes.data + vmscm_pack_record_head(record), record->stored_len,
        record->base_count ? fetch->base.data : NULL, fetch->base.len, err);
}

/* The slot that has a record, or NULL. once: its reader goes through all of it at once, so that
 * this use is no sign of another. */
static struct vmscm_fetch_slot *find_slot(struct vmscm_fetch *fetch, const struct vmscm_packfile *pack,
    const struct vmscm_pack_entry *entry, bool once)
{
    for (size_t i = 0; i < VMSCM_FETCH_SLOTS; i++) {
        struct vmscm_fetch_slot *slot = &fetch->slots[i];
        if (slot->full && slot->offset == entry->offset &&
            memcmp(slot->pack, pack->name, sizeof slot->pack) == 0) {
            if (!once)
                slot->last = ++fetch->clock;
            return slot;
        }
    }
    return NULL;
}

/* Decompress the record at hand, whose bases are read, into the slot that was not used for longest.
 */
static int fill_slot(struct vmscm_fetch_slot **out, struct vmscm_fetch *fetch,
    const struct vmscm_packfile *pack, const struct vmscm_pack_entry *entry, bool once,
    struct vmscm_error *err)
{
    struct vmscm_fetch_slot *slot = fetch->slots;
    int rc;

    for (size_t i = 1; i < VMSCM_FETCH_SLOTS; i++)
        if (fetch->slots[i].last < slot->last)
            slot = &fetch->slots[i];
    slot->full = false;
    slot->last = once ? 0 : ++fetch->clock;
    if ((rc = make_room(&slot->plain, fetch->record.plain_len, err)) ||
        (rc = decode(fetch, slot->plain->data, err)))
        return rc;
    slot->record = fetch->record;
    slot->checked = fetch->quick;
    memset(slot->verified, 0, sizeof slot->verified);
    memcpy(slot->pack, pack->name, sizeof slot->pack);
    slot->offset = entry->offset;
    slot->full = true;
    *out = slot;
    return 0;
}

static const uint8_t *part_of(const struct vmscm_pack_record *record,
    const struct vmscm_plain *plain, unsigned part)
{
    size_t at = 0;

    for (unsigned i = 0; i < part; i++)
        at += record->parts[i];
    return plain->data + at;
}

static int read_bases(struct vmscm_fetch *fetch, struct vmscm_error *err);

/* The record at an entry, decompressed, into the shared cache, where the caller was asked to. */
static int fill_cache(struct vmscm_fetch *fetch, struct vmscm_packfile *pack,
    const struct vmscm_pack_entry *entry, struct vmscm_recordcache_entry *cached,
    struct vmscm_error *err)
{
    struct vmscm_plain *plain = NULL;
    int rc;

    if ((rc = vmscm_fetch_load(fetch, pack, entry, VMSCM_PACK_RECORD_MAX, err)) ||
        (rc = read_bases(fetch, err)) ||
        (rc = vmscm_plain_new(&plain, fetch->record.plain_len, err)) ||
        (rc = decode(fetch, plain->data, err))) {
        vmscm_plain_unref(plain);
        vmscm_recordcache_fail(fetch->cache, cached);
        return rc;
    }
    vmscm_recordcache_fill(fetch->cache, cached, &fetch->record, plain);
    return 0;
}

/* By way of the shared cache. *plain: with a reference for the caller. */
static int read_cached(struct vmscm_fetch *fetch, struct vmscm_packfile *pack,
    const struct vmscm_pack_entry *entry, bool is_base, const uint8_t **bytes,
    struct vmscm_plain **plain, struct vmscm_error *err)
{
    struct vmscm_recordcache_entry *cached;
    bool fill;
    int rc;

    if (is_base && entry->has_base)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "a base has a base");
    if ((rc = vmscm_recordcache_get(
             &cached, &fill, fetch->cache, pack->name, entry->offset, err)) ||
        (fill && (rc = fill_cache(fetch, pack, entry, cached, err))))
        return rc;
    if (!(rc = match(&cached->record, entry, err))) {
        *bytes = part_of(&cached->record, cached->plain, entry->part);
        if (!vmscm_recordcache_is_verified(fetch->cache, cached, entry->part, &entry->id) &&
            !(rc = verify(fetch, &entry->id, *bytes, entry->plain_len, err)))
            vmscm_recordcache_set_verified(fetch->cache, cached, entry->part, &entry->id);
        if (!rc)
            *plain = vmscm_plain_ref(cached->plain);
    }
    vmscm_recordcache_put(fetch->cache, cached);
    return rc;
}

/* out: room for the part. NULL: it is left in *where. */
static int read_at(struct vmscm_fetch *fetch, struct vmscm_packfile *pack,
    const struct vmscm_pack_entry *entry, bool is_base, void *out, struct vmscm_fetch_slot **where,
    struct vmscm_error *err)
{
    bool once = !out;
    struct vmscm_fetch_slot *slot = find_slot(fetch, pack, entry, once);
    int rc = slot ? match(&slot->record, entry, err)
                  : vmscm_fetch_load(fetch, pack, entry, VMSCM_PACK_RECORD_MAX, err);

    if (rc)
        return rc;
    if (is_base && entry->has_base)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "a base has a base");
    if (!slot && fetch->quick && !vmscm_pack_check_record(&fetch->record, fetch->bytes.data))
        return vmscm_error_set(err, VMSCM_EDAMAGED, "record's checksum is wrong");
    if (!slot) {
        if ((rc = read_bases(fetch, err)))
            return rc;
        if (fetch->record.part_count == 1 && out) {
            rc = decode(fetch, out, err);
            return rc || fetch->quick ? rc : verify(fetch, &entry->id, out, entry->plain_len, err);
        }
        if ((rc = fill_slot(&slot, fetch, pack, entry, once, err)))
            return rc;
    }
    const uint8_t *data = part_of(&slot->record, slot->plain, entry->part);
    if (!fetch->quick || !(slot->checked || slot->verified[entry->part])) {
        if ((rc = verify(fetch, &entry->id, data, entry->plain_len, err)))
            return rc;
        slot->verified[entry->part] = true;
    }
    if (out)
        memcpy(out, data, entry->plain_len);
    else
        *where = slot;
    return 0;
}

static int copy_cached(struct vmscm_fetch *fetch, struct vmscm_packfile *pack,
    const struct vmscm_pack_entry *entry, bool is_base, void *out, struct vmscm_error *err)
{
    struct vmscm_plain *plain;
    const uint8_t *bytes;
    int rc = read_cached(fetch, pack, entry, is_base, &bytes, &plain, err);

    if (rc)
        return rc;
    memcpy(out, bytes, entry->plain_len);
    vmscm_plain_unref(plain);
    return 0;
}

/* Bytes of a part into out, which has room for it. */
static int copy_part(struct vmscm_fetch *fetch, struct vmscm_packfile *pack,
    const struct vmscm_pack_entry *entry, bool is_base, void *out, struct vmscm_error *err)
{
    return fetch->cache ? copy_cached(fetch, pack, entry, is_base, out, err)
                        : read_at(fetch, pack, entry, is_base, out, NULL, err);
}

int vmscm_fetch_to(struct vmscm_fetch *fetch, const struct vmscm_fetch_target *to,
    struct vmscm_packfile *pack, const struct vmscm_pack_entry *entry, bool is_base,
    struct vmscm_error *err)
{
    struct vmscm_fetch_slot *slot = NULL;
    int rc;

    /* Not the type: a disk can hold the very bytes of a leaf, and is stored once as either. */
    if (entry->plain_len > to->len || (!to->buf && entry->plain_len != to->len))
        return vmscm_error_set(err, VMSCM_EDAMAGED, "another length than expected");
    if (to->out)
        return copy_part(fetch, pack, entry, is_base, to->out, err);
    if (to->buf) {
        to->buf->len = 0;
        if (!(rc = vmscm_buf_reserve(to->buf, entry->plain_len, err)) &&
            !(rc = copy_part(fetch, pack, entry, is_base, to->buf->data, err)))
            to->buf->len = entry->plain_len;
        return rc;
    }
    if (fetch->cache)
        return read_cached(fetch, pack, entry, is_base, to->bytes, to->plain, err);
    if ((rc = read_at(fetch, pack, entry, is_base, NULL, &slot, err)))
        return rc;
    *to->plain = vmscm_plain_ref(slot->plain);
    *to->bytes = part_of(&slot->record, slot->plain, entry->part);
    return 0;
}

/* Plain bytes of the bases of the record at hand into fetch->base. They take slots, any of them:
 * the record itself gets its own afterwards. */
static int read_bases(struct vmscm_fetch *fetch, struct vmscm_error *err)
{
    struct vmscm_buf part = VMSCM_BUF_INIT;
    struct vmscm_fetch_raw bytes = fetch->bytes;
    const struct vmscm_fetch_target to = {.buf = &part, .len = VMSCM_PACK_PART_MAX};
    struct vmscm_pack_record record;
    bool quick = fetch->quick;
    int rc = 0;

    if (!fetch->record.base_count)
        return 0;
    fetch->base.len = 0;
    record = fetch->record;
    fetch->bytes = fetch->spare;
    /* What comes of them is verified. */
    fetch->quick = true;
    for (unsigned i = 0; i < record.base_count && !rc; i++)
        if (!(rc = vmscm_fetch_search(fetch, record.type, &record.bases[i], true, &to, err)))
            rc = vmscm_buf_append(&fetch->base, part.data, part.len, err);
    fetch->quick = quick;
    fetch->spare = fetch->bytes;
    fetch->bytes = bytes;
    fetch->record = record;
    vmscm_buf_release(&part);
    return rc;
}

int vmscm_fetch_read(struct vmscm_fetch *fetch, enum vmscm_pack_type type,
    const struct vmscm_id *id, void *out, size_t len, struct vmscm_error *err)
{
    const struct vmscm_fetch_target to = {.out = out, .len = len};

    return vmscm_fetch_search(fetch, (int)type, id, false, &to, err);
}

int vmscm_fetch_plain(struct vmscm_fetch *fetch, enum vmscm_pack_type type,
    const struct vmscm_id *id, size_t len, const uint8_t **bytes, struct vmscm_plain **plain,
    struct vmscm_error *err)
{
    const struct vmscm_fetch_target to = {.bytes = bytes, .plain = plain, .len = len};

    return vmscm_fetch_search(fetch, (int)type, id, false, &to, err);
}

int vmscm_fetch_read_buf(struct vmscm_fetch *fetch, enum vmscm_pack_type type,
    const struct vmscm_id *id, struct vmscm_buf *buf, size_t max, struct vmscm_error *err)
{
    const struct vmscm_fetch_target to = {.buf = buf, .len = max};

    return vmscm_fetch_search(fetch, (int)type, id, false, &to, err);
}

int vmscm_fetch_read_base(struct vmscm_fetch *fetch, const struct vmscm_id *id,
    struct vmscm_buf *buf, struct vmscm_error *err)
{
    const struct vmscm_fetch_target to = {.buf = buf, .len = VMSCM_PACK_PART_MAX};

    return vmscm_fetch_search(fetch, VMSCM_PACK_CHUNK, id, true, &to, err);
}

int vmscm_fetch_compare(struct vmscm_fetch *fetch, const struct vmscm_id *id, struct vmscm_buf *buf,
    struct vmscm_error *err)
{
    fetch->quick = true;
    int rc = vmscm_fetch_read_base(fetch, id, buf, err);
    fetch->quick = false;
    return rc;
}

/* Whether the entries are those of all the parts of the record at hand. */
static int match_all(const struct vmscm_pack_record *record, const struct vmscm_pack_entry *entries,
    size_t count, struct vmscm_error *err)
{
    int rc = 0;

    if (count != record->part_count)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "index does not have each part of the record");
    for (size_t i = 0; i < count && !rc; i++) {
        rc = match(record, &entries[i], err);
        if (!rc && entries[i].part != i)
            rc = vmscm_error_set(err, VMSCM_EDAMAGED, "index has a part of a record twice");
    }
    return rc;
}

/* Whether the record at hand, loaded whole, is as long as an entry says and has its checksum. */
static bool has_checksum(const struct vmscm_fetch *fetch, const struct vmscm_pack_entry *entry)
{
    return vmscm_pack_record_head(&fetch->record) + fetch->record.stored_len == entry->length &&
           vmscm_pack_check_record(&fetch->record, fetch->bytes.data);
}

int vmscm_fetch_check(struct vmscm_fetch *fetch, struct vmscm_packfile *pack,
    const struct vmscm_pack_entry *entries, size_t count,
    void (*bad)(void *data, const struct vmscm_id *id, const struct vmscm_error *why), void *data,
    struct vmscm_error *err)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;
    struct vmscm_fetch_slot *slot;
    int rc = vmscm_fetch_load(fetch, pack, &entries[0], VMSCM_PACK_RECORD_MAX, &why);

    /* What is of a later version has a checksum as well. */
    if ((!rc || rc == VMSCM_EUNSUPPORTED) && !has_checksum(fetch, &entries[0]))
        rc = vmscm_error_set(&why, VMSCM_EDAMAGED, "record has the wrong checksum");
    if (!rc && !(rc = match_all(&fetch->record, entries, count, &why)) &&
        (rc = read_bases(fetch, &why)) == VMSCM_EDAMAGED)
        rc = why.code = VMSCM_ENOTFOUND;
    if (!rc)
        rc = fill_slot(&slot, fetch, pack, &entries[0], true, &why);
    if (rc == VMSCM_ENOMEM)
        return vmscm_error_copy(err, &why);
    for (size_t i = 0; i < count; i++) {
        int part = rc;
        if (!rc)
            part = verify(
                fetch, &entries[i].id, part_of(&slot->record, slot->plain, (unsigned)i),
                entries[i].plain_len, &why);
        if (part)
            bad(data, &entries[i].id, &why);
    }
    return 0;
}

static void keep_first(void *data, const struct vmscm_id *id, const struct vmscm_error *why)
{
    struct vmscm_error *first = data;

    (void)id;
    if (!first->code)
        *first = *why;
}

int vmscm_fetch_record(struct vmscm_fetch *fetch, struct vmscm_packfile *pack,
    const struct vmscm_pack_entry *entries, size_t count, const uint8_t **bytes,
    struct vmscm_error *err)
{
    struct vmscm_error first = VMSCM_ERROR_INIT;
    int rc = vmscm_fetch_check(fetch, pack, entries, count, keep_first, &first, err);

    if (rc)
        return rc;
    *bytes = fetch->bytes.data;
    if (!first.code)
        return 0;
    vmscm_error_copy(err, &first);
    return vmscm_error_prefix(err, "%s", pack->path);
}

int vmscm_fetch_part(struct vmscm_fetch *fetch, struct vmscm_packfile *pack,
    const struct vmscm_pack_entry *entry, struct vmscm_buf *buf, struct vmscm_error *err)
{
    int rc;

    buf->len = 0;
    if ((rc = vmscm_buf_reserve(buf, entry->plain_len, err)))
        return rc;
    if ((rc = copy_part(fetch, pack, entry, false, buf->data, err)))
        return vmscm_error_prefix(err, "%s", pack->path);
    buf->len = entry->plain_len;
    return 0;
}
