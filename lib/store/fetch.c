/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/fetch.h"
#include "base/str.h"
#include "codec/compress.h"
#include "codec/hash.h"

#include <stdlib.h>

#define RECORD_MAX (VMSCM_PACK_RECORD_SIZE + VMSCM_HASH_SIZE + VMSCM_PACK_PLAIN_MAX)

struct vmscm_fetch {
    struct vmscm_store *store;
    struct vmscm_compress *compress;
    struct vmscm_hash *hash;
    struct vmscm_buf record; /* as it is in the pack */
    struct vmscm_buf base;   /* plain bytes of the base of the record at hand */
    struct vmscm_buf plain;  /* for checks, which hand nothing out */
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

void vmscm_fetch_free(struct vmscm_fetch *fetch)
{
    if (!fetch)
        return;
    vmscm_compress_free(fetch->compress);
    vmscm_hash_free(fetch->hash);
    vmscm_buf_release(&fetch->record);
    vmscm_buf_release(&fetch->base);
    vmscm_buf_release(&fetch->plain);
    free(fetch);
}

/* The record at an entry into fetch->record, its header checked against the entry. */
static int load(struct vmscm_fetch *fetch, struct vmscm_packfile *pack,
    const struct vmscm_pack_entry *entry, struct vmscm_pack_record *record,
    struct vmscm_error *err)
{
    uint64_t end = (uint64_t)entry->offset + entry->length;
    int rc;

    if (entry->offset < VMSCM_PACK_HEADER_SIZE || end > pack->trailer.index_offset ||
        entry->length < VMSCM_PACK_RECORD_SIZE || entry->length > RECORD_MAX)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "index entry of no possible record");
    fetch->record.len = 0;
    if ((rc = vmscm_buf_reserve(&fetch->record, entry->length, err)) ||
        (rc = vmscm_store_pread(
             fetch->store, pack, fetch->record.data, entry->length, entry->offset, err)) ||
        (rc = vmscm_pack_decode_record(record, fetch->record.data, entry->length, err)))
        return rc;
    if (vmscm_hash_cmp(&record->id, &entry->id) != 0 || record->type != entry->type ||
        record->plain_len != entry->plain_len ||
        vmscm_pack_record_head(record) + record->stored_len != entry->length)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "index and record differ");
    return 0;
}

/* Plain bytes of the record in fetch->record into out, which has room for record->plain_len. */
static int decode(struct vmscm_fetch *fetch, const struct vmscm_pack_record *record, void *out,
    struct vmscm_error *err)
{
    size_t head = vmscm_pack_record_head(record);
    struct vmscm_id id;
    int rc = vmscm_compress_decode(fetch->compress, out, record->plain_len, record->compression,
        fetch->record.data + head, record->stored_len,
        record->flags & VMSCM_PACK_HAS_BASE ? fetch->base.data : NULL, fetch->base.len, err);

    if (rc || (rc = vmscm_hash_compute(fetch->hash, &id, out, record->plain_len, err)))
        return rc;
    if (vmscm_hash_cmp(&id, &record->id) != 0)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "contents do not have the hash they should");
    return 0;
}

static int read_at(struct vmscm_fetch *fetch, struct vmscm_packfile *pack,
    const struct vmscm_pack_entry *entry, bool is_base, void *out, struct vmscm_error *err);

/* Read a record from wherever it can be read. is_base: it must not need a base itself. */
static int read_any(struct vmscm_fetch *fetch, int type, const struct vmscm_id *id, bool is_base,
    struct vmscm_buf *buf, void *out, size_t len, struct vmscm_error *err)
{
    struct vmscm_error first = VMSCM_ERROR_INIT, why = VMSCM_ERROR_INIT;
    char hex[VMSCM_HASH_HEX];
    bool changed = true;
    int rc;

    for (int again = 0; again < 2 && changed; again++) {
        struct vmscm_pack_entry entry;
        struct vmscm_packfile *pack;
        for (size_t nth = 0; (pack = vmscm_store_locate(fetch->store, &entry, id, nth)); nth++) {
            size_t want = entry.plain_len;
            /* Not the type: a disk can hold the very bytes of a leaf, and is stored once as either. */
            if (want > len || (!buf && want != len)) {
                rc = vmscm_error_set(&why, VMSCM_EDAMAGED, "another length than expected");
            } else if (buf) {
                buf->len = 0;
                if ((rc = vmscm_buf_reserve(buf, want, err)))
                    return rc;
                rc = read_at(fetch, pack, &entry, is_base, buf->data, &why);
                buf->len = rc ? 0 : want;
            } else {
                rc = read_at(fetch, pack, &entry, is_base, out, &why);
            }
            if (!rc)
                return 0;
            if (rc == VMSCM_ENOMEM)
                return vmscm_error_copy(err, &why);
            if (!first.code) {
                first = why;
                vmscm_error_prefix(&first, "%s", pack->path);
            }
        }
        if (again == 0 && (rc = vmscm_store_reload(fetch->store, &changed, err)))
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

static int read_at(struct vmscm_fetch *fetch, struct vmscm_packfile *pack,
    const struct vmscm_pack_entry *entry, bool is_base, void *out, struct vmscm_error *err)
{
    struct vmscm_pack_record record;
    int rc = load(fetch, pack, entry, &record, err);

    if (rc)
        return rc;
    if (record.flags & VMSCM_PACK_HAS_BASE) {
        if (is_base)
            return vmscm_error_set(err, VMSCM_EDAMAGED, "a base has a base");
        if ((rc = read_any(fetch, record.type, &record.base, true, &fetch->base, NULL,
                 VMSCM_PACK_PLAIN_MAX, err)) ||
            /* Reading the base used the buffer. */
            (rc = load(fetch, pack, entry, &record, err)))
            return rc;
    }
    return decode(fetch, &record, out, err);
}

int vmscm_fetch_read(struct vmscm_fetch *fetch, enum vmscm_pack_type type,
    const struct vmscm_id *id, void *out, size_t len, struct vmscm_error *err)
{
    return read_any(fetch, (int)type, id, false, NULL, out, len, err);
}

int vmscm_fetch_read_buf(struct vmscm_fetch *fetch, enum vmscm_pack_type type,
    const struct vmscm_id *id, struct vmscm_buf *buf, size_t max, struct vmscm_error *err)
{
    return read_any(fetch, (int)type, id, false, buf, NULL, max, err);
}

int vmscm_fetch_check(struct vmscm_fetch *fetch, struct vmscm_packfile *pack,
    const struct vmscm_pack_entry *entry, struct vmscm_error *err)
{
    struct vmscm_pack_record record;
    int rc = load(fetch, pack, entry, &record, err);

    if (rc)
        return rc;
    if (!vmscm_pack_check_record(&record, fetch->record.data))
        return vmscm_error_set(err, VMSCM_EDAMAGED, "record has the wrong checksum");
    fetch->plain.len = 0;
    if ((rc = vmscm_buf_reserve(&fetch->plain, record.plain_len, err)))
        return rc;
    return read_at(fetch, pack, entry, false, fetch->plain.data, err);
}
