/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "remote/receive.h"
#include "base/path.h"
#include "base/str.h"
#include "codec/compress.h"
#include "format/objstream.h"
#include "format/wire.h"
#include "store/fetch.h"
#include "store/idset.h"
#include "store/packwriter.h"

#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define PACK_BYTES (96u << 20) /* of a pack: what a transfer that is cut off loses at most */
#define PACK_BYTES_MIN (1u << 20)
#define PACK_PARTS 131072u
#define FORCED_MAX 64              /* packs that end early since something in them is needed */
#define SPARE ((uint64_t)64 << 20) /* bytes of disk that are left to others */

struct vmscm_receive {
    struct vmscm_repo *repo;
    struct vmscm_quarantine *quarantine;
    struct vmscm_store *store; /* of the quarantine */
    struct vmscm_fetch *own, *came;
    struct vmscm_compress *compress;
    struct vmscm_hash *hash;
    struct vmscm_incoming *incoming;
    struct vmscm_objstream objects;
    struct vmscm_buf block, plain, base, part;
    struct vmscm_packwriter *writer;
    struct vmscm_idset current; /* ids in the pack that is being written */
    uint64_t written;           /* bytes of it */
    uint64_t history; /* bytes of frames of history */
    uint64_t stored, max, pack_bytes;
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

int vmscm_receive_open(struct vmscm_receive **out, struct vmscm_repo *repo, struct vmscm_error *err)
{
    struct vmscm_receive *r = calloc(1, sizeof *r);
    struct vmscm_store *own;
    int64_t max = 0, pack = PACK_BYTES;
    int rc;

    if (!r)
        return vmscm_error_nomem(err);
    r->repo = repo;
    if ((rc = vmscm_gitconfig_get_int(&max, repo->config, "receive.maxsize", 0, err)) ||
        (rc = vmscm_gitconfig_get_int(&pack, repo->config, "receive.packsize", PACK_BYTES, err)) ||
        (rc = vmscm_handle_store(&own, repo, err)) || (rc = vmscm_fetch_new_own(&r->own, own, err)) ||
        (rc = vmscm_compress_new(&r->compress, VMSCM_COMPRESS_LEVEL_DEFAULT, err)) ||
        (rc = vmscm_hash_new(&r->hash, err)) || (rc = open_quarantine(r, err)))
        goto out;
    r->max = max > 0 ? (uint64_t)max : 0;
    r->pack_bytes = pack < PACK_BYTES_MIN ? PACK_BYTES_MIN : pack > 2 * (int64_t)PACK_BYTES
        ? 2 * (uint64_t)PACK_BYTES
        : (uint64_t)pack;
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
    vmscm_packwriter_abort(r->writer);
    vmscm_incoming_close(r->incoming);
    vmscm_fetch_free(r->came);
    vmscm_store_close(r->store);
    vmscm_quarantine_close(r->quarantine, keep);
    vmscm_fetch_free(r->own);
    vmscm_compress_free(r->compress);
    vmscm_hash_free(r->hash);
    vmscm_objstream_release(&r->objects);
    vmscm_buf_release(&r->block);
    vmscm_buf_release(&r->plain);
    vmscm_buf_release(&r->base);
    vmscm_buf_release(&r->part);
    vmscm_idset_release(&r->current);
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
            r->stored += bytes;
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
    if (!r->max || r->stored + r->written + history <= r->max)
        return 0;
    vmscm_error_set(err, VMSCM_EREFUSED, "more than receive.maxSize (%llu bytes) is sent",
        (unsigned long long)r->max);
    return vmscm_error_hint(err, "send less at a time, or ask who keeps that repository");
}

static int check_space(const struct vmscm_receive *r, struct vmscm_error *err)
{
    struct statvfs st;

    if (statvfs(r->repo->path, &st) != 0 || (uint64_t)st.f_bavail * st.f_frsize >= SPARE)
        return 0;
    vmscm_error_set(err, VMSCM_EIO, "%s: no space left for what is coming", r->repo->path);
    return vmscm_error_hint(err, "what came so far is kept; free some space and try again");
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
    if ((rc = check_size(r, err)) || (rc = check_space(r, err)) ||
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

int vmscm_receive_flush(struct vmscm_receive *r, struct vmscm_error *err)
{
    char file[VMSCM_PACKFILE_NAME];
    struct vmscm_packwriter *writer = r->writer;
    uint64_t bytes;
    int rc;

    if (!writer)
        return 0;
    r->writer = NULL;
    r->written = 0;
    vmscm_idset_release(&r->current);
    if ((rc = vmscm_packwriter_finish(writer, file, &bytes, err)) || !*file)
        return rc;
    r->stored += bytes;
    return vmscm_store_add(r->store, file, err);
}

static int begin_pack(struct vmscm_receive *r, struct vmscm_error *err)
{
    int rc = check_space(r, err);

    return rc ? rc
              : vmscm_packwriter_open(&r->writer, vmscm_quarantine_dir(r->quarantine), false, err);
}

/* A base's plain bytes, at the end of r->base; false: it is not to be had. Its own copy must stay. */
static bool read_base(struct vmscm_receive *r, const struct vmscm_id *id)
{
    if (vmscm_fetch_read_base(r->came, id, &r->part, NULL) &&
        vmscm_fetch_read_base(r->own, id, &r->part, NULL))
        return false;
    return vmscm_buf_append(&r->base, r->part.data, r->part.len, NULL) == 0;
}

/* All bases of a record; *there: they were to be had. */
static int read_bases(struct vmscm_receive *r, bool *there, const struct vmscm_pack_record *record,
    struct vmscm_error *err)
{
    int rc = 0;

    r->base.len = 0;
    *there = true;
    for (unsigned i = 0; i < record->base_count && !rc && *there; i++) {
        const struct vmscm_id *id = &record->bases[i];
        /* What is in the pack at hand can be read when that is whole. */
        if (r->writer && vmscm_idset_find(&r->current, id) && r->forced < FORCED_MAX) {
            r->forced++;
            rc = vmscm_receive_flush(r, err);
        }
        *there = !rc && read_base(r, id);
    }
    return rc;
}

static int bad_record(struct vmscm_error *err, const char *why)
{
    return vmscm_error_set(err, VMSCM_EINPUT, "the other side sent a record that %s", why);
}

/* The ids of its parts, and whether any of them is news, or wanted, or in the pack at hand. */
static int look_at_parts(struct vmscm_receive *r, struct vmscm_packwriter_part *parts,
    const struct vmscm_pack_record *record, bool *news, bool *wanted, bool *twice,
    struct vmscm_error *err)
{
    const uint8_t *data = r->plain.data;
    int rc;

    *news = *twice = false;
    *wanted = !r->wanted;
    for (unsigned i = 0; i < record->part_count; i++) {
        const struct vmscm_id *id = &parts[i].id;
        parts[i].plain_len = record->parts[i];
        if ((rc = vmscm_hash_compute(r->hash, &parts[i].id, data, record->parts[i], err)))
            return rc;
        data += record->parts[i];
        for (unsigned k = 0; k < i; k++)
            if (vmscm_hash_cmp(&parts[k].id, id) == 0)
                return bad_record(err, "has one chunk twice");
        bool here = vmscm_idset_find(&r->current, id) != NULL;
        *twice = *twice || here;
        *news = *news || (!here && !vmscm_receive_has(r, id, NULL));
        *wanted = *wanted || r->wanted(r->data, id);
    }
    return 0;
}

static int keep(struct vmscm_receive *r, const struct vmscm_pack_record *record,
    const struct vmscm_packwriter_part *parts, const uint8_t *bytes, size_t len,
    struct vmscm_error *err)
{
    const struct vmscm_packwriter_record out = {.type = (enum vmscm_pack_type)record->type,
        .has_base = record->base_count > 0,
        .parts = parts,
        .part_count = record->part_count,
        .bytes = bytes,
        .len = len};
    uint64_t *value;
    bool added;
    int rc = r->writer ? 0 : begin_pack(r, err);

    if (rc || (rc = vmscm_packwriter_add(r->writer, &out, err)))
        return rc;
    for (unsigned i = 0; i < record->part_count && !rc; i++)
        rc = vmscm_idset_get(&r->current, &value, &added, &parts[i].id, err);
    r->written += len;
    rc = rc ? rc : check_size(r, err);
    if (!rc && (r->written >= r->pack_bytes || r->current.count >= PACK_PARTS))
        rc = vmscm_receive_flush(r, err);
    return rc;
}

int vmscm_receive_record(struct vmscm_receive *r, const uint8_t *bytes, size_t len,
    struct vmscm_error *err)
{
    struct vmscm_packwriter_part parts[VMSCM_PACK_PARTS_MAX];
    struct vmscm_pack_record record;
    bool there, news, wanted, twice;
    int rc;

    if ((rc = vmscm_pack_decode_record(&record, bytes, len, err)))
        return rc == VMSCM_EUNSUPPORTED ? rc : bad_record(err, "cannot be read");
    size_t head = vmscm_pack_record_head(&record);
    if (head + record.stored_len != len || !vmscm_pack_check_record(&record, bytes))
        return bad_record(err, "has a wrong checksum");
    if ((rc = read_bases(r, &there, &record, err)) || !there)
        return rc;
    r->plain.len = 0;
    if ((rc = vmscm_buf_reserve(&r->plain, record.plain_len, err)))
        return rc;
    if ((rc = vmscm_compress_decode(r->compress, r->plain.data, record.plain_len,
             record.compression, bytes + head, record.stored_len,
             record.base_count ? r->base.data : NULL, r->base.len, err)))
        return rc == VMSCM_ENOMEM ? rc : bad_record(err, "does not decompress to what it says");
    if ((rc = look_at_parts(r, parts, &record, &news, &wanted, &twice, err)))
        return rc;
    if (!wanted)
        return bad_record(err, "was not asked for");
    if (!news)
        return 0;
    /* A pack has an id once. */
    if (twice && ++r->forced > FORCED_MAX)
        return bad_record(err, "it sent before");
    if (twice && (rc = vmscm_receive_flush(r, err)))
        return rc;
    return keep(r, &record, parts, bytes, len, err);
}

/* Its bases are in one of both. */
static bool bases_are_there(struct vmscm_receive *r, struct vmscm_packfile *pack,
    const struct vmscm_pack_entry *entry)
{
    struct vmscm_id bases[VMSCM_PACK_BASES_MAX];
    struct vmscm_pack_entry other;
    struct vmscm_packfile *in;
    size_t count = 0;

    if (vmscm_fetch_bases_at(r->came, pack, entry, bases, &count, NULL))
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
    return r->stored;
}

struct vmscm_repo *vmscm_receive_repo(struct vmscm_receive *r)
{
    return r->repo;
}
