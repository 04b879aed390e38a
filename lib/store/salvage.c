/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/salvage.h"
#include "base/buf.h"
#include "codec/compress.h"
#include "store/fetch.h"
#include "store/idset.h"
#include "store/packscan.h"
#include "store/packqueue.h"

#include <stdlib.h>

struct salvage {
    const struct vmscm_salvage *what;
    struct vmscm_salvage_counts *counts;
    struct vmscm_fetch *fetch;
    struct vmscm_compress *compress;
    struct vmscm_hash *hash;
    struct vmscm_packwriter *writer; /* NULL until there is something to write */
    size_t bytes, entries;           /* it was given */
    struct vmscm_idset saved;        /* from this file */
    struct vmscm_buf prefix, part;   /* plain bytes of the bases */
    struct vmscm_buf record;         /* one written anew */
    uint8_t *plain;                  /* VMSCM_PACK_PLAIN_MAX, of the record at hand */
    struct vmscm_packwriter_part parts[VMSCM_PACK_PARTS_MAX];
};

/* Durable, visible, and known to the store. */
static int finish(struct salvage *s, struct vmscm_error *err)
{
    struct vmscm_packwriter *writer = s->writer;
    char file[VMSCM_PACKFILE_NAME];
    uint64_t bytes;
    int rc;

    s->writer = NULL;
    s->bytes = s->entries = 0;
    if (!writer || (rc = vmscm_packwriter_finish(writer, file, &bytes, err)))
        return writer ? rc : 0;
    return file[0] ? vmscm_store_add(s->what->store, file, err) : 0;
}

static int write_record(struct salvage *s, const struct vmscm_packwriter_record *record,
    struct vmscm_error *err)
{
    int rc = s->writer ? 0 : vmscm_packwriter_open(&s->writer, s->what->repo_dir, false, err);

    if (rc || (rc = vmscm_packwriter_add(s->writer, record, err)))
        return rc;
    s->counts->copied += record->part_count;
    s->bytes += record->len;
    s->entries += record->part_count;
    return s->bytes >= VMSCM_PACKQUEUE_PACK || s->entries >= VMSCM_PACKQUEUE_ENTRIES
        ? finish(s, err)
        : 0;
}

/* Write the first `count` of s->parts, whose bytes lie one after the other at the beginning of
 * s->plain, as a record without bases. */
static int write_anew(struct salvage *s, enum vmscm_pack_type type, size_t count,
    struct vmscm_error *err)
{
    struct vmscm_pack_record head = {.type = (uint8_t)type, .part_count = (uint16_t)count};
    enum vmscm_compress_algorithm algorithm;
    size_t stored;
    int rc;

    for (size_t i = 0; i < count; i++) {
        head.parts[i] = s->parts[i].plain_len;
        head.plain_len += head.parts[i];
    }
    size_t head_len = vmscm_pack_record_head(&head);
    s->record.len = 0;
    if ((rc = vmscm_buf_reserve(&s->record, head_len + head.plain_len, err)) ||
        (rc = vmscm_compress_encode(s->compress, s->record.data + head_len, &stored, &algorithm,
             s->plain, head.plain_len, NULL, 0, err)))
        return rc;
    head.compression = (uint8_t)algorithm;
    head.stored_len = (uint32_t)stored;
    vmscm_pack_encode_record(s->record.data, &head, s->record.data + head_len);
    return write_record(s,
        &(struct vmscm_packwriter_record){.type = type,
            .parts = s->parts,
            .part_count = count,
            .bytes = s->record.data,
            .len = head_len + stored},
        err);
}

/* The record's bases into s->prefix; *there: they can be had. */
static int read_bases(struct salvage *s, const struct vmscm_pack_record *head, bool *there,
    struct vmscm_error *err)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;
    int rc = 0;

    s->prefix.len = 0;
    for (unsigned i = 0; i < head->base_count && !rc; i++)
        if (!(rc = vmscm_fetch_read_base(s->fetch, &head->bases[i], &s->part, &why)))
            rc = vmscm_buf_append(&s->prefix, s->part.data, s->part.len, &why);
    *there = !rc;
    return rc == VMSCM_ENOMEM ? vmscm_error_copy(err, &why) : 0;
}

/* The record's plain bytes, as far as they can be had. *sound: all, as it should be. */
static int decode(struct salvage *s, const struct vmscm_packscan_record *r, size_t *got,
    bool *sound, struct vmscm_error *err)
{
    const struct vmscm_pack_record *head = &r->head;
    size_t head_len = vmscm_pack_record_head(head);
    const void *base = head->base_count ? s->prefix.data : NULL;
    struct vmscm_error why = VMSCM_ERROR_INIT;
    int rc;

    *got = head->plain_len;
    *sound = r->sound;
    if (r->sound) {
        rc = vmscm_compress_decode(s->compress, s->plain, head->plain_len, head->compression,
            r->bytes + head_len, head->stored_len, base, s->prefix.len, &why);
        if (!rc || rc == VMSCM_ENOMEM)
            return rc ? vmscm_error_copy(err, &why) : 0;
    }
    *sound = false;
    return vmscm_compress_decode_some(s->compress, s->plain, head->plain_len, got,
        head->compression, r->bytes + head_len, r->len > head_len ? r->len - head_len : 0, base,
        s->prefix.len, err);
}

static bool is_claimed(const struct vmscm_packscan_record *r, size_t part,
    const struct vmscm_id *id)
{
    for (size_t i = 0; i < r->claim_count; i++)
        if (r->claims[i].part == part && vmscm_hash_cmp(&r->claims[i].id, id) == 0)
            return true;
    return false;
}

/* Whether a good part is to be copied. */
static bool is_needed(struct salvage *s, const struct vmscm_id *id)
{
    struct vmscm_pack_entry entry;
    struct vmscm_packfile *pack;

    if (vmscm_idset_find(&s->saved, id))
        return false;
    if (s->what->wanted)
        return s->what->wanted(s->what->data, id);
    for (size_t n = 0; (pack = vmscm_store_locate(s->what->store, &entry, id, n)); n++)
        if (!entry.has_base && s->what->trusted(s->what->data, pack))
            return false;
    return true;
}

static int save(struct salvage *s, const struct vmscm_packscan_record *r, struct vmscm_error *err)
{
    size_t got, at = 0, kept = 0, kept_len = 0;
    uint64_t *value;
    bool sound, added;
    int rc = decode(s, r, &got, &sound, err);

    for (size_t i = 0; i < r->head.part_count && !rc; i++) {
        uint32_t len = r->head.parts[i];
        struct vmscm_packwriter_part *part = &s->parts[kept];
        if (got < at + len)
            break;
        if ((rc = vmscm_hash_compute(s->hash, &part->id, s->plain + at, len, err)))
            return rc;
        part->plain_len = len;
        bool claimed = is_claimed(r, i, &part->id);
        bool good = sound || claimed ||
            (s->what->wanted && s->what->wanted(s->what->data, &part->id));
        s->counts->good += good;
        s->counts->kept += claimed;
        if (good && is_needed(s, &part->id)) {
            memmove(s->plain + kept_len, s->plain + at, len);
            kept_len += len;
            kept++;
            rc = vmscm_idset_get(&s->saved, &value, &added, &part->id, err);
        }
        at += len;
    }
    if (rc || !kept)
        return rc;
    /* What is wanted is not to hang on a base again. */
    if (!sound || kept < r->head.part_count || (s->what->wanted && r->head.base_count))
        return write_anew(s, r->head.type, kept, err);
    return write_record(s,
        &(struct vmscm_packwriter_record){.type = r->head.type,
            .has_base = r->head.base_count > 0,
            .parts = s->parts,
            .part_count = kept,
            .bytes = r->bytes,
            .len = r->len},
        err);
}

/* All records that have bases, or all that have none. *others: there are some of the other kind. */
static int save_all(struct salvage *s, struct vmscm_packscan *scan, bool with_bases, bool *others,
    struct vmscm_error *err)
{
    struct vmscm_packscan_record *r = calloc(1, sizeof *r);
    int rc = 0;

    if (!r)
        return vmscm_error_nomem(err);
    *others = false;
    while (!rc && vmscm_packscan_next(scan, r)) {
        bool there = true;
        if (r->unsupported) {
            s->counts->unsupported += !with_bases;
            continue;
        }
        if ((r->head.base_count > 0) != with_bases) {
            *others = true;
            continue;
        }
        if (!(rc = s->what->canceled(s->what->data, err)) &&
            !(rc = read_bases(s, &r->head, &there, err)) && there)
            rc = save(s, r, err);
    }
    free(r);
    return rc ? rc : finish(s, err);
}

int vmscm_salvage_pack(const struct vmscm_salvage *what, const char *path,
    struct vmscm_salvage_counts *counts, struct vmscm_error *err)
{
    struct salvage *s = calloc(1, sizeof *s);
    struct vmscm_packscan *scan = NULL;
    bool others;
    int rc;

    if (!s)
        return vmscm_error_nomem(err);
    *counts = (struct vmscm_salvage_counts){0};
    s->what = what;
    s->counts = counts;
    if ((rc = vmscm_fetch_new_own(&s->fetch, what->store, err)) ||
        (rc = vmscm_compress_new(&s->compress, what->level, err)) ||
        (rc = vmscm_hash_new(&s->hash, err)))
        goto out;
    if (!(s->plain = malloc(VMSCM_PACK_PLAIN_MAX))) {
        rc = vmscm_error_nomem(err);
        goto out;
    }
    if ((rc = vmscm_packscan_open(&scan, path, err)))
        goto out;
    counts->claimed = vmscm_packscan_claims(scan, &counts->index_right);
    rc = save_all(s, scan, false, &others, err);
    /* Once those are in the store, what leans on them can be read. */
    vmscm_packscan_rewind(scan);
    if (!rc && others)
        rc = save_all(s, scan, true, &others, err);
out:
    vmscm_packscan_close(scan);
    vmscm_packwriter_abort(s->writer);
    vmscm_fetch_free(s->fetch);
    vmscm_compress_free(s->compress);
    vmscm_hash_free(s->hash);
    vmscm_idset_release(&s->saved);
    vmscm_buf_release(&s->prefix);
    vmscm_buf_release(&s->part);
    vmscm_buf_release(&s->record);
    free(s->plain);
    free(s);
    return rc;
}
