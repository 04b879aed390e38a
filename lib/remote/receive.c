/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "remote/receive.h"
#include "base/path.h"
#include "base/str.h"
#include "codec/compress.h"
#include "format/objstream.h"
#include "format/wire.h"
#include "remote/packing.h"
#include "remote/verify.h"
#include "store/fetch.h"
#include "store/rerecord.h"
#include "sys/space.h"

#include <stdlib.h>
#include <string.h>

#define PACK_BYTES (96u << 20) /* what a transfer that is cut off loses at most */
#define JOBS_MAX 4u              /* threads that look at what comes */
#define PACK_BYTES_MIN (1u << 20)
#define FORCED_MAX 64              /* packs that end early since something in them is needed */

struct vmscm_receive {
    struct vmscm_repo *repo;
    struct vmscm_quarantine *quarantine;
    struct vmscm_store *store; /* of the quarantine */
    struct vmscm_fetch *own, *came;
    struct vmscm_compress *compress;
    struct vmscm_incoming *incoming;
    struct vmscm_objstream objects;
    struct vmscm_buf block, base, part, plain, packed;
    struct vmscm_verify *verify;
    struct vmscm_packing *packing;
    uint64_t history; /* bytes of frames of history */
    uint64_t adopted; /* bytes of packs that were there */
    uint64_t max;
    unsigned forced;
    bool (*wanted)(void *data, const struct vmscm_id *id);
    void *data;
};

static int open_quarantine(struct vmscm_receive *r, struct vmscm_error *err)
{
    char *git = NULL;
    int rc;

    if ((rc = vmscm_quarantine_open(&r->quarantine, r->repo->path, err)) ||
        (rc = vmscm_store_open(&r->store, vmscm_quarantine_dir(r->quarantine), err)) ||
        (rc = vmscm_fetch_new_own(&r->came, r->store, err)) ||
        (rc = vmscm_path_join(&git, vmscm_quarantine_dir(r->quarantine), "git", err)))
        return rc;
    rc = vmscm_incoming_open(&r->incoming, r->repo->git, git, err);
    free(git);
    return rc;
}

static int take_record(void *data, const struct vmscm_verify_record *record,
    struct vmscm_error *err);

static int open_records(struct vmscm_receive *r, struct vmscm_error *err)
{
    int64_t pack = PACK_BYTES;
    unsigned jobs;
    int rc;

    if ((rc = vmscm_gitconfig_get_int(&pack, r->repo->config, "receive.packsize", PACK_BYTES, err)) ||
        (rc = vmscm_handle_jobs(&jobs, r->repo, 0, err)))
        return rc;
    if (pack < PACK_BYTES_MIN)
        pack = PACK_BYTES_MIN;
    if (pack > 2 * (int64_t)PACK_BYTES)
        pack = 2 * (int64_t)PACK_BYTES;
    if (jobs > JOBS_MAX)
        jobs = JOBS_MAX;
    /* With a thread that makes one durable while the next is written, two packs are in flight. */
    if ((rc = vmscm_packing_open(&r->packing, vmscm_quarantine_dir(r->quarantine), r->store,
             (uint64_t)(jobs == 1 ? pack : pack / 2), jobs == 1, err)))
        return rc;
    return vmscm_verify_open(&r->verify, jobs, take_record, r, err);
}

int vmscm_receive_open(struct vmscm_receive **out, struct vmscm_repo *repo, struct vmscm_error *err)
{
    struct vmscm_receive *r = calloc(1, sizeof *r);
    struct vmscm_store *own;
    int64_t max = 0;
    int rc;

    if (!r)
        return vmscm_error_nomem(err);
    r->repo = repo;
    if ((rc = vmscm_gitconfig_get_int(&max, repo->config, "receive.maxsize", 0, err)) ||
        (rc = vmscm_handle_store(&own, repo, err)) || (rc = vmscm_fetch_new_own(&r->own, own, err)) ||
        (rc = vmscm_compress_new(&r->compress, VMSCM_COMPRESS_LEVEL_DEFAULT, err)) ||
        (rc = open_quarantine(r, err)) || (rc = open_records(r, err)))
        goto out;
    r->max = max > 0 ? (uint64_t)max : 0;
    *out = r;
    r = NULL;
out:
    vmscm_receive_close(r, false);
    return rc;
}

void vmscm_receive_close(struct vmscm_receive *r, bool keep)
{
    if (!r)
        return;
    vmscm_verify_close(r->verify);
    vmscm_packing_close(r->packing);
    vmscm_incoming_close(r->incoming);
    vmscm_fetch_free(r->came);
    vmscm_store_close(r->store);
    vmscm_quarantine_close(r->quarantine, keep);
    vmscm_fetch_free(r->own);
    vmscm_compress_free(r->compress);
    vmscm_objstream_release(&r->objects);
    vmscm_buf_release(&r->block);
    vmscm_buf_release(&r->base);
    vmscm_buf_release(&r->part);
    vmscm_buf_release(&r->plain);
    vmscm_buf_release(&r->packed);
    free(r);
}

int vmscm_receive_adopt(struct vmscm_receive *r, size_t *packs, struct vmscm_error *err)
{
    uint64_t bytes;
    bool changed;
    int rc = vmscm_quarantine_adopt(r->quarantine, packs, err);

    if (rc || !*packs || (rc = vmscm_store_reload(r->store, &changed, err)))
        return rc;
    /* It counts: or who is cut off again and again could fill the disk. */
    for (size_t i = 0; i < vmscm_store_pack_count(r->store); i++)
        if (!vmscm_store_bytes(r->store, vmscm_store_pack(r->store, i), &bytes, NULL))
            r->adopted += bytes;
    return 0;
}

void vmscm_receive_only(struct vmscm_receive *r, bool (*wanted)(void *data, const struct vmscm_id *id),
    void *data)
{
    r->wanted = wanted;
    r->data = data;
}

static int add_object(void *data, unsigned type, const void *bytes, size_t len,
    struct vmscm_error *err)
{
    struct vmscm_receive *r = data;

    return vmscm_incoming_add(r->incoming, (enum vmscm_novel_type)type, bytes, len, err);
}

/* Of history, what was sent or what it takes here, whichever is more: either may be far less than the
 * other. */
static int check_size(const struct vmscm_receive *r, struct vmscm_error *err)
{
    uint64_t history = vmscm_incoming_stored(r->incoming);

    if (history < r->history)
        history = r->history;
    if (!r->max || vmscm_receive_stored(r) + history <= r->max)
        return 0;
    vmscm_error_set(err, VMSCM_EREFUSED, "more than receive.maxSize (%llu bytes) is sent",
        (unsigned long long)r->max);
    return vmscm_error_hint(err, "send less at a time, or ask who keeps that repository");
}

int vmscm_receive_history(struct vmscm_receive *r, const uint8_t *frame, size_t len,
    struct vmscm_error *err)
{
    const uint8_t *stored;
    size_t stored_len;
    uint32_t plain;
    unsigned algorithm;
    int rc;

    r->history += len;
    r->block.len = 0;
    if ((rc = check_size(r, err)) || (rc = vmscm_space_check(r->repo->path, err)) ||
        (rc = vmscm_wire_decode_block(&algorithm, &plain, &stored, &stored_len, frame, len, err)) ||
        (rc = vmscm_buf_reserve(&r->block, plain, err)))
        return rc;
    if ((rc = vmscm_compress_decode(r->compress, r->block.data, plain, (int)algorithm, stored,
             stored_len, NULL, 0, err)))
        return rc == VMSCM_ENOMEM
            ? rc
            : vmscm_error_set(err, VMSCM_EINPUT, "the other side sent history that is damaged");
    return vmscm_objstream_feed(&r->objects, r->block.data, plain, add_object, r, err);
}

int vmscm_receive_history_end(struct vmscm_receive *r, struct vmscm_error *err)
{
    return vmscm_objstream_end(&r->objects, err);
}

int vmscm_receive_records_end(struct vmscm_receive *r, struct vmscm_error *err)
{
    return vmscm_verify_drain(r->verify, err);
}

int vmscm_receive_flush(struct vmscm_receive *r, struct vmscm_error *err)
{
    int rc = vmscm_receive_records_end(r, err);

    return rc ? rc : vmscm_packing_flush(r->packing, err);
}

/* A base's plain bytes, at the end of r->base; false: it is not to be had. *deep: it is itself stored
 * against another here, so that nothing may be stored against it. */
static bool read_base(struct vmscm_receive *r, unsigned type, const struct vmscm_id *id, bool *deep)
{
    if (vmscm_fetch_read_base(r->came, id, &r->part, NULL) &&
        vmscm_fetch_read_base(r->own, id, &r->part, NULL)) {
        *deep = true;
        if (vmscm_fetch_read_buf(r->own, (int)type, id, &r->part, VMSCM_PACK_PART_MAX, NULL))
            return false;
    }
    return vmscm_buf_append(&r->base, r->part.data, r->part.len, NULL) == 0;
}

/* All bases of a record; *there: they were to be had. */
static int read_bases(struct vmscm_receive *r, bool *there, bool *deep,
    const struct vmscm_pack_record *record, struct vmscm_error *err)
{
    int rc = 0;

    r->base.len = 0;
    *there = true;
    *deep = false;
    for (unsigned i = 0; i < record->base_count && !rc && *there; i++) {
        const struct vmscm_id *id = &record->bases[i];
        enum vmscm_packing_where where = vmscm_packing_find(r->packing, id);
        /* What is in the pack at hand can be read when that is whole. */
        if (where == VMSCM_PACKING_FULL)
            rc = vmscm_packing_settle(r->packing, err);
        else if (where == VMSCM_PACKING_OPEN && r->forced++ < FORCED_MAX)
            rc = vmscm_packing_flush(r->packing, err);
        *there = !rc && read_base(r, record->type, id, deep);
    }
    return rc;
}

/* One that is good, in the order in which they came. */
static int take_record(void *data, const struct vmscm_verify_record *record,
    struct vmscm_error *err)
{
    struct vmscm_receive *r = data;
    const struct vmscm_packwriter_record out = {.type = (enum vmscm_pack_type)record->head.type,
        .has_base = record->head.base_count > 0,
        .parts = record->parts,
        .part_count = record->head.part_count,
        .bytes = record->bytes,
        .len = record->len};
    bool news = false, twice = false, wanted = !r->wanted;
    int rc;

    for (size_t i = 0; i < out.part_count; i++) {
        const struct vmscm_id *id = &out.parts[i].id;
        enum vmscm_packing_where where = vmscm_packing_find(r->packing, id);
        twice = twice || where == VMSCM_PACKING_OPEN;
        news = news || (where == VMSCM_PACKING_NOT && !vmscm_receive_has(r, id, NULL));
        wanted = wanted || r->wanted(r->data, id);
    }
    if (!wanted)
        return vmscm_verify_bad(err, "was not asked for");
    if (!news)
        return 0;
    /* A pack has an id once. */
    if (twice && ++r->forced > FORCED_MAX)
        return vmscm_verify_bad(err, "it sent before");
    if ((twice && (rc = vmscm_packing_flush(r->packing, err))) ||
        (vmscm_packing_begins(r->packing) && (rc = vmscm_space_check(r->repo->path, err))) ||
        (rc = vmscm_packing_add(r->packing, &out, err)))
        return rc;
    return check_size(r, err);
}

/* What the bases of a record are stored against here, instead of them, and the plain bytes of that in
 * r->base. If that cannot be: nothing. */
static void rebase(struct vmscm_receive *r, struct vmscm_pack_record *record)
{
    const struct vmscm_pack_record was = *record;
    struct vmscm_id bases[VMSCM_PACK_BASES_MAX];
    size_t count;

    r->base.len = 0;
    record->base_count = 0;
    for (unsigned i = 0; i < was.base_count; i++) {
        if (vmscm_fetch_find_bases(r->own, &was.bases[i], bases, &count, NULL))
            goto none;
        for (size_t k = 0; k < count; k++) {
            bool twice = false;
            for (unsigned n = 0; n < record->base_count && !twice; n++)
                twice = vmscm_hash_cmp(&record->bases[n], &bases[k]) == 0;
            if (twice)
                continue;
            if (record->base_count == VMSCM_PACK_BASES_MAX ||
                vmscm_fetch_read_base(r->own, &bases[k], &r->part, NULL) ||
                vmscm_buf_append(&r->base, r->part.data, r->part.len, NULL))
                goto none;
            record->bases[record->base_count++] = bases[k];
        }
    }
    return;
none:
    record->base_count = 0;
}

/* A record whose bases, which are in r->base, nothing may be stored against: against what they are. */
static int put_rebased(struct vmscm_receive *r, struct vmscm_pack_record *record,
    const uint8_t *bytes, struct vmscm_error *err)
{
    size_t len;
    int rc;

    r->plain.len = 0;
    if ((rc = vmscm_buf_reserve(&r->plain, record->plain_len, err)))
        return rc;
    if ((rc = vmscm_compress_decode(r->compress, r->plain.data, record->plain_len,
             record->compression, bytes + vmscm_pack_record_head(record), record->stored_len,
             r->base.data, r->base.len, err)))
        return rc == VMSCM_ENOMEM ? rc
                                  : vmscm_verify_bad(err, "does not decompress to what it says");
    rebase(r, record);
    if ((rc = vmscm_rerecord_encode(
             &r->packed, &len, record, r->compress, r->plain.data, &r->base, err)) ||
        (rc = vmscm_pack_decode_record(record, r->packed.data, len, err)))
        return rc;
    return record->base_count ? vmscm_verify_put_on(r->verify, record, r->packed.data, len,
                                    r->base.data, r->base.len, err)
                              : vmscm_verify_put(r->verify, record, r->packed.data, len, err);
}

int vmscm_receive_record(struct vmscm_receive *r, const uint8_t *bytes, size_t len,
    struct vmscm_error *err)
{
    struct vmscm_pack_record record;
    bool there, deep;
    int rc;

    if ((rc = vmscm_pack_decode_record(&record, bytes, len, err)))
        return rc == VMSCM_EUNSUPPORTED ? rc : vmscm_verify_bad(err, "cannot be read");
    if (!record.base_count)
        return vmscm_verify_put(r->verify, &record, bytes, len, err);
    /* Its bases may be among those that came just now. */
    if ((rc = vmscm_verify_drain(r->verify, err)) ||
        (rc = read_bases(r, &there, &deep, &record, err)) || !there)
        return rc;
    if (deep && vmscm_pack_record_head(&record) + record.stored_len == len &&
        vmscm_pack_check_record(&record, bytes))
        return put_rebased(r, &record, bytes, err);
    return vmscm_verify_put_on(r->verify, &record, bytes, len, r->base.data, r->base.len, err);
}

/* Its bases are in one of both. */
static bool bases_are_there(struct vmscm_receive *r, struct vmscm_packfile *pack,
    const struct vmscm_pack_entry *entry)
{
    struct vmscm_id bases[VMSCM_PACK_BASES_MAX];
    struct vmscm_pack_entry other;
    struct vmscm_packfile *in;
    size_t count = 0;

    if (vmscm_fetch_find_bases_at(r->came, pack, entry, bases, &count, NULL))
        return false;
    for (size_t i = 0; i < count; i++) {
        bool found = false;
        for (int own = 0; own < 2 && !found; own++) {
            struct vmscm_store *store = own ? r->repo->store : r->store;
            for (size_t nth = 0; !found && (in = vmscm_store_locate(store, &other, &bases[i], nth));
                 nth++)
                found = !other.has_base;
        }
        if (!found)
            return false;
    }
    return true;
}

bool vmscm_receive_has(struct vmscm_receive *r, const struct vmscm_id *id, uint32_t *length)
{
    struct vmscm_pack_entry entry;
    struct vmscm_packfile *pack;
    bool found = false;

    for (size_t nth = 0; !found && (pack = vmscm_store_locate(r->store, &entry, id, nth)); nth++)
        found = !entry.has_base || bases_are_there(r, pack, &entry);
    if (!found)
        found = vmscm_fetch_find(r->own, id, NULL) == 0 &&
            vmscm_store_locate(r->repo->store, &entry, id, 0);
    if (found && length)
        *length = entry.plain_len;
    return found;
}

int vmscm_receive_leaf(struct vmscm_receive *r, const struct vmscm_id *id, struct vmscm_buf *buf,
    struct vmscm_error *err)
{
    struct vmscm_pack_entry entry;

    if (vmscm_store_locate(r->store, &entry, id, 0) &&
        vmscm_fetch_read_buf(r->came, VMSCM_PACK_LEAF, id, buf, VMSCM_PACK_PART_MAX, NULL) == 0)
        return 0;
    return vmscm_fetch_read_buf(r->own, VMSCM_PACK_LEAF, id, buf, VMSCM_PACK_PART_MAX, err);
}

struct vmscm_gitdb *vmscm_receive_db(struct vmscm_receive *r)
{
    return vmscm_incoming_db(r->incoming);
}

static int installed(void *data, const char *file, struct vmscm_error *err)
{
    struct vmscm_receive *r = data;

    return vmscm_store_add(r->repo->store, file, err);
}

int vmscm_receive_install_packs(struct vmscm_receive *r, struct vmscm_lease *lease,
    struct vmscm_error *err)
{
    int rc = vmscm_receive_flush(r, err);

    return rc ? rc : vmscm_quarantine_install(r->quarantine, lease, installed, r, err);
}

int vmscm_receive_install_history(struct vmscm_receive *r, struct vmscm_error *err)
{
    int rc = vmscm_incoming_install(r->incoming, err);

    return rc ? rc : vmscm_gitdb_reload(r->repo->git, err);
}

uint64_t vmscm_receive_stored(const struct vmscm_receive *r)
{
    return r->adopted + (r->packing ? vmscm_packing_bytes(r->packing) : 0);
}

const char *vmscm_receive_dir(const struct vmscm_receive *r)
{
    return vmscm_quarantine_dir(r->quarantine);
}

struct vmscm_repo *vmscm_receive_repo(struct vmscm_receive *r)
{
    return r->repo;
}
