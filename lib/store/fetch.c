/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/fetch.h"
#include "base/str.h"
#include "codec/compress.h"
#include "codec/hash.h"
#include "sys/direct.h"

#include <stdlib.h>

#define SLOTS 8
#define SLOT_KEEP (2u << 20) /* a larger buffer is given back */

/* A record of several parts, decompressed. */
struct slot {
    bool full;
    bool checked; /* its checksum was right */
    bool verified[VMSCM_PACK_PARTS_MAX]; /* parts that had the id they were last asked for by */
    uint8_t pack[VMSCM_MIDX_NAME_SIZE];
    uint32_t offset;
    uint64_t last; /* use; 0: what it holds is not likely to be wanted again */
    struct vmscm_pack_record record;
    struct vmscm_plain *plain; /* NULL: none yet */
};

/* Where the bytes of a chunk or leaf go: one of the three is set. */
struct target {
    void *out; /* exactly `len` bytes */
    struct vmscm_buf *buf; /* at most `len` */
    const uint8_t **bytes; /* exactly `len` bytes of *plain, which gets a reference */
    struct vmscm_plain **plain;
    size_t len;
};

/* A record as it is in its pack, or the first bytes of it. */
struct raw {
    struct vmscm_plain *memory;
    const uint8_t *data; /* in it */
};

struct vmscm_fetch {
    struct vmscm_store *store;
    struct vmscm_compress *compress;
    struct vmscm_hash *hash;
    struct vmscm_pack_record record; /* the header of what `bytes` holds */
    struct raw bytes;                /* the record at hand */
    struct raw spare;                /* for its bases, while it waits for them */
    struct vmscm_buf base;           /* plain bytes of the bases of the record at hand */
    struct slot slots[SLOTS];
    uint64_t clock;
    bool quick; /* a record's checksum is enough, or that a part had its id */
    bool once;  /* records are not brought into the page cache */
};

int vmscm_fetch_new(struct vmscm_fetch **out, struct vmscm_store *store, struct vmscm_error *err)
{
    struct vmscm_fetch *fetch = calloc(1, sizeof *fetch);
    int rc;

    if (!fetch)
        return vmscm_error_nomem(err);
    fetch->store = store;
    if ((rc = vmscm_compress_new(&fetch->compress, VMSCM_COMPRESS_LEVEL_DEFAULT, err)) ||
        (rc = vmscm_hash_new(&fetch->hash, err))) {
        vmscm_fetch_free(fetch);
        return rc;
    }
    *out = fetch;
    return 0;
}

void vmscm_fetch_once(struct vmscm_fetch *fetch)
{
    fetch->once = true;
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
    for (size_t i = 0; i < SLOTS; i++)
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
static int load(struct vmscm_fetch *fetch, struct vmscm_packfile *pack,
    const struct vmscm_pack_entry *entry, size_t max, struct vmscm_error *err)
{
    uint64_t end = (uint64_t)entry->offset + entry->length;
    size_t len = entry->length < max ? entry->length : max;
    struct raw *raw = &fetch->bytes;
    int rc;

    if (entry->offset < VMSCM_PACK_HEADER_SIZE || end > pack->trailer.index_offset ||
        entry->length < VMSCM_PACK_RECORD_SIZE || entry->length > VMSCM_PACK_RECORD_MAX)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "index entry of no possible record");
    if ((rc = make_room(&raw->memory, VMSCM_DIRECT_ROOM(len), err)))
        return rc;
    raw->data = raw->memory->data;
    if ((rc = fetch->once ? vmscm_store_pread_once(fetch->store, pack, &raw->data,
                                raw->memory->data, len, entry->offset, err)
                          : vmscm_store_pread(fetch->store, pack, raw->memory->data, len,
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
static struct slot *find_slot(struct vmscm_fetch *fetch, const struct vmscm_packfile *pack,
    const struct vmscm_pack_entry *entry, bool once)
{
    for (size_t i = 0; i < SLOTS; i++) {
        struct slot *slot = &fetch->slots[i];
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
static int fill_slot(struct slot **out, struct vmscm_fetch *fetch,
    const struct vmscm_packfile *pack, const struct vmscm_pack_entry *entry, bool once,
    struct vmscm_error *err)
{
    struct slot *slot = fetch->slots;
    int rc;

    for (size_t i = 1; i < SLOTS; i++)
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

static const uint8_t *part_of(const struct slot *slot, unsigned part)
{
    size_t at = 0;

    for (unsigned i = 0; i < part; i++)
        at += slot->record.parts[i];
    return slot->plain->data + at;
}

static int read_bases(struct vmscm_fetch *fetch, struct vmscm_error *err);

/* out: room for the part. NULL: it is left in *where. */
static int read_at(struct vmscm_fetch *fetch, struct vmscm_packfile *pack,
    const struct vmscm_pack_entry *entry, bool is_base, void *out, struct slot **where,
    struct vmscm_error *err)
{
    bool once = !out;
    struct slot *slot = find_slot(fetch, pack, entry, once);
    int rc = slot ? match(&slot->record, entry, err)
                  : load(fetch, pack, entry, VMSCM_PACK_RECORD_MAX, err);

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
    const uint8_t *data = part_of(slot, entry->part);
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

static int read_to(struct vmscm_fetch *fetch, const struct target *to, struct vmscm_packfile *pack,
    const struct vmscm_pack_entry *entry, bool is_base, struct vmscm_error *err)
{
    struct slot *slot = NULL;
    int rc;

    /* Not the type: a disk can hold the very bytes of a leaf, and is stored once as either. */
    if (entry->plain_len > to->len || (!to->buf && entry->plain_len != to->len))
        return vmscm_error_set(err, VMSCM_EDAMAGED, "another length than expected");
    if (to->out)
        return read_at(fetch, pack, entry, is_base, to->out, NULL, err);
    if (to->buf) {
        to->buf->len = 0;
        if (!(rc = vmscm_buf_reserve(to->buf, entry->plain_len, err)) &&
            !(rc = read_at(fetch, pack, entry, is_base, to->buf->data, NULL, err)))
            to->buf->len = entry->plain_len;
        return rc;
    }
    if ((rc = read_at(fetch, pack, entry, is_base, NULL, &slot, err)))
        return rc;
    *to->plain = vmscm_plain_ref(slot->plain);
    *to->bytes = part_of(slot, entry->part);
    return 0;
}

/* Read a part from wherever it can be read. is_base: it must not need a base itself. */
static int read_any(struct vmscm_fetch *fetch, int type, const struct vmscm_id *id, bool is_base,
    const struct target *to, struct vmscm_error *err)
{
    struct vmscm_error first = VMSCM_ERROR_INIT, why = VMSCM_ERROR_INIT;
    char hex[VMSCM_HASH_HEX];
    bool changed;
    int rc;

    /* In packs, in packs as they are now, in the trash; and in case that gc was quicker, again. */
    for (int again = 0; again < 5; again++) {
        struct vmscm_packfile *(*locate)(
            struct vmscm_store *, struct vmscm_pack_entry *, const struct vmscm_id *, size_t) =
            again && again % 2 == 0 ? vmscm_store_locate_trash : vmscm_store_locate;
        struct vmscm_pack_entry entry;
        struct vmscm_packfile *pack;
        for (size_t nth = 0; (pack = locate(fetch->store, &entry, id, nth)); nth++) {
            rc = read_to(fetch, to, pack, &entry, is_base, &why);
            if (!rc)
                return 0;
            if (rc == VMSCM_ENOMEM)
                return vmscm_error_copy(err, &why);
            if (!first.code) {
                first = why;
                vmscm_error_prefix(&first, "%s", pack->path);
            }
        }
        /* What changed may be known already, from another thread's look or one for a base. */
        if (again % 2 == 0 && again < 4 && (rc = vmscm_store_reload(fetch->store, &changed, err)))
            return rc;
    }
    vmscm_str_hex(hex, id->bytes, VMSCM_HASH_SIZE);
    const char *kind = type == VMSCM_PACK_LEAF ? "leaf" : "chunk";
    if (first.code)
        vmscm_error_set(err, first.code == VMSCM_EUNSUPPORTED ? first.code : VMSCM_EDAMAGED,
            "%s %.16s: %s", kind, hex, first.message);
    else
        vmscm_error_set(err, VMSCM_EDAMAGED, "%s %.16s: missing", kind, hex);
    return vmscm_error_hint(err, "vmscm fsck tells what is damaged");
}

/* Plain bytes of the bases of the record at hand into fetch->base. They take slots, any of them:
 * the record itself gets its own afterwards. */
static int read_bases(struct vmscm_fetch *fetch, struct vmscm_error *err)
{
    struct vmscm_buf part = VMSCM_BUF_INIT;
    struct raw bytes = fetch->bytes;
    const struct target to = {.buf = &part, .len = VMSCM_PACK_PART_MAX};
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
        if (!(rc = read_any(fetch, record.type, &record.bases[i], true, &to, err)))
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
    const struct target to = {.out = out, .len = len};

    return read_any(fetch, (int)type, id, false, &to, err);
}

int vmscm_fetch_plain(struct vmscm_fetch *fetch, enum vmscm_pack_type type,
    const struct vmscm_id *id, size_t len, const uint8_t **bytes, struct vmscm_plain **plain,
    struct vmscm_error *err)
{
    const struct target to = {.bytes = bytes, .plain = plain, .len = len};

    return read_any(fetch, (int)type, id, false, &to, err);
}

int vmscm_fetch_read_buf(struct vmscm_fetch *fetch, enum vmscm_pack_type type,
    const struct vmscm_id *id, struct vmscm_buf *buf, size_t max, struct vmscm_error *err)
{
    const struct target to = {.buf = buf, .len = max};

    return read_any(fetch, (int)type, id, false, &to, err);
}

int vmscm_fetch_read_base(struct vmscm_fetch *fetch, const struct vmscm_id *id,
    struct vmscm_buf *buf, struct vmscm_error *err)
{
    const struct target to = {.buf = buf, .len = VMSCM_PACK_PART_MAX};

    return read_any(fetch, VMSCM_PACK_CHUNK, id, true, &to, err);
}

int vmscm_fetch_compare(struct vmscm_fetch *fetch, const struct vmscm_id *id, struct vmscm_buf *buf,
    struct vmscm_error *err)
{
    fetch->quick = true;
    int rc = vmscm_fetch_read_base(fetch, id, buf, err);
    fetch->quick = false;
    return rc;
}

/* Whether a base is somewhere without a base of its own. */
static bool find_base(struct vmscm_fetch *fetch, const struct vmscm_id *id)
{
    struct vmscm_pack_entry entry;
    struct vmscm_packfile *pack;

    for (size_t nth = 0; (pack = vmscm_store_locate(fetch->store, &entry, id, nth)); nth++)
        if (!entry.has_base) {
            atomic_store(&pack->used, true);
            return true;
        }
    return false;
}

/* Whether all that the record at hand is stored against is there. */
static int find_bases(struct vmscm_fetch *fetch, struct vmscm_error *err)
{
    const struct vmscm_pack_record *record = &fetch->record;
    char hex[VMSCM_HASH_HEX];

    for (unsigned i = 0; i < record->base_count; i++)
        if (!find_base(fetch, &record->bases[i])) {
            vmscm_str_hex(hex, record->bases[i].bytes, VMSCM_HASH_SIZE);
            return vmscm_error_set(err, VMSCM_EDAMAGED, "its base %.16s is missing", hex);
        }
    return 0;
}

int vmscm_fetch_find(struct vmscm_fetch *fetch, const struct vmscm_id *id, struct vmscm_error *err)
{
    struct vmscm_error first = VMSCM_ERROR_INIT, why = VMSCM_ERROR_INIT;
    struct vmscm_pack_entry entry;
    struct vmscm_packfile *pack;

    for (size_t nth = 0; (pack = vmscm_store_locate(fetch->store, &entry, id, nth)); nth++) {
        int rc = entry.has_base ? load(fetch, pack, &entry, VMSCM_PACK_HEAD_MAX, &why) : 0;
        if (!rc && entry.has_base)
            rc = find_bases(fetch, &why);
        if (!rc) {
            atomic_store(&pack->used, true);
            return 0;
        }
        if (rc == VMSCM_ENOMEM)
            return vmscm_error_copy(err, &why);
        if (!first.code)
            first = why;
    }
    return vmscm_error_set(err, VMSCM_EDAMAGED, "%s", first.code ? first.message : "missing");
}

/* Where it is, by the first index that knows. */
static int find(struct vmscm_fetch *fetch, struct vmscm_packfile **pack,
    struct vmscm_pack_entry *entry, const struct vmscm_id *id, struct vmscm_error *err)
{
    *pack = vmscm_store_locate(fetch->store, entry, id, 0);
    return *pack ? 0 : vmscm_error_set(err, VMSCM_EDAMAGED, "missing");
}

int vmscm_fetch_bases_at(struct vmscm_fetch *fetch, struct vmscm_packfile *pack,
    const struct vmscm_pack_entry *entry, struct vmscm_id *bases, size_t *count,
    struct vmscm_error *err)
{
    int rc = load(fetch, pack, entry, VMSCM_PACK_HEAD_MAX, err);

    if (rc)
        return rc;
    *count = fetch->record.base_count;
    memcpy(bases, fetch->record.bases, *count * sizeof *bases);
    return 0;
}

int vmscm_fetch_bases(struct vmscm_fetch *fetch, const struct vmscm_id *id, struct vmscm_id *bases,
    size_t *count, struct vmscm_error *err)
{
    struct vmscm_pack_entry entry;
    struct vmscm_packfile *pack;
    int rc = find(fetch, &pack, &entry, id, err);

    if (rc)
        return rc;
    if (entry.has_base)
        return vmscm_fetch_bases_at(fetch, pack, &entry, bases, count, err);
    *count = 1;
    bases[0] = *id;
    return 0;
}

int vmscm_fetch_share(
    struct vmscm_fetch *fetch, const struct vmscm_id *id, uint64_t *bytes, struct vmscm_error *err)
{
    struct vmscm_pack_entry entry;
    struct vmscm_packfile *pack;
    int rc;

    if ((rc = find(fetch, &pack, &entry, id, err)) ||
        (rc = load(fetch, pack, &entry, VMSCM_PACK_HEAD_MAX, err)))
        return rc;
    *bytes = (uint64_t)entry.length * entry.plain_len / fetch->record.plain_len;
    return 0;
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
    struct slot *slot;
    int rc = load(fetch, pack, &entries[0], VMSCM_PACK_RECORD_MAX, &why);

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
                fetch, &entries[i].id, part_of(slot, (unsigned)i), entries[i].plain_len, &why);
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
    if ((rc = read_at(fetch, pack, entry, false, buf->data, NULL, err)))
        return vmscm_error_prefix(err, "%s", pack->path);
    buf->len = entry->plain_len;
    return 0;
}
