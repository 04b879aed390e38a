/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/elsewhere.h"
#include "base/str.h"
#include "codec/compress.h"
#include "store/fetch.h"
#include "store/idset.h"
#include "store/packwriter.h"
#include "store/rerecord.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PACK_BYTES (64u << 20) /* of a pack of the cache: what is evicted at a time */
#define EARLY_MAX 16           /* packs that end early, since something in them is needed */
/* What became of an id that is wanted. */
#define NEEDED 0u
#define CAME 1u
#define WELCOME 2u /* it need not come */

#define TRIES 4                /* while others evict what was brought */

struct vmscm_partial {
    struct vmscm_elsewhere where;
    struct vmscm_cache *cache; /* NULL: it cannot be made */
    pthread_mutex_t lock;      /* one request at a time */
    void (*came)(void *data, uint64_t bytes);
    void *data;
};

/* What comes of one request. */
struct vmscm_elsewhere_take {
    struct vmscm_partial *partial;
    struct vmscm_idset wanted;
    size_t left;
    struct vmscm_fetch *fetch; /* for bases */
    struct vmscm_compress *compress;
    struct vmscm_hash *hash;
    struct vmscm_packwriter *writer;
    uint64_t written;
    struct vmscm_idset current; /* ids in the pack that is being written */
    unsigned early;
    struct vmscm_buf plain, base, part, packed;
};

int vmscm_elsewhere_set(struct vmscm_store *store, const struct vmscm_elsewhere *elsewhere,
    struct vmscm_error *err)
{
    struct vmscm_partial *partial = calloc(1, sizeof *partial);
    int rc;

    if (!partial)
        return vmscm_error_nomem(err);
    partial->where = *elsewhere;
    pthread_mutex_init(&partial->lock, NULL);
    if (vmscm_cache_open(&partial->cache, vmscm_store_dir(store), true, NULL) &&
        (rc = vmscm_cache_open(&partial->cache, vmscm_store_dir(store), false, err))) {
        vmscm_elsewhere_free(partial);
        return rc;
    }
    vmscm_store_set_partial(store, partial);
    return 0;
}

void vmscm_elsewhere_free(struct vmscm_partial *partial)
{
    if (!partial)
        return;
    vmscm_cache_close(partial->cache);
    pthread_mutex_destroy(&partial->lock);
    free(partial);
}

const struct vmscm_elsewhere *vmscm_elsewhere_of(struct vmscm_store *store)
{
    struct vmscm_partial *partial = vmscm_store_partial(store);

    return partial ? &partial->where : NULL;
}

void vmscm_elsewhere_watch(
    struct vmscm_store *store, void (*came)(void *data, uint64_t bytes), void *data)
{
    struct vmscm_partial *partial = vmscm_store_partial(store);

    if (!partial)
        return;
    partial->came = came;
    partial->data = data;
}

struct vmscm_cache *vmscm_elsewhere_cache(struct vmscm_store *store)
{
    struct vmscm_partial *partial = vmscm_store_partial(store);

    return partial ? partial->cache : NULL;
}

bool vmscm_elsewhere_is_here(struct vmscm_store *store, const struct vmscm_id *id)
{
    struct vmscm_cache *cache = vmscm_elsewhere_cache(store);
    struct vmscm_pack_entry entry;

    return vmscm_store_locate(store, &entry, id, 0) ||
        (cache && vmscm_store_locate(vmscm_cache_store(cache), &entry, id, 0));
}

static void release_take(struct vmscm_elsewhere_take *t)
{
    vmscm_packwriter_abort(t->writer);
    vmscm_fetch_free(t->fetch);
    vmscm_compress_free(t->compress);
    vmscm_hash_free(t->hash);
    vmscm_idset_release(&t->wanted);
    vmscm_idset_release(&t->current);
    vmscm_buf_release(&t->plain);
    vmscm_buf_release(&t->base);
    vmscm_buf_release(&t->part);
    vmscm_buf_release(&t->packed);
}

int vmscm_elsewhere_flush(struct vmscm_elsewhere_take *t, struct vmscm_error *err)
{
    char file[VMSCM_PACKFILE_NAME];
    struct vmscm_packwriter *writer = t->writer;
    uint64_t bytes;
    int rc;

    if (!writer)
        return 0;
    t->writer = NULL;
    t->written = 0;
    vmscm_idset_release(&t->current);
    if ((rc = vmscm_packwriter_finish(writer, file, &bytes, err)) || !*file)
        return rc;
    /* Evicted by another process at once: then it is asked for again. */
    if ((rc = vmscm_store_add(vmscm_cache_store(t->partial->cache), file, err)) ==
        VMSCM_ENOTFOUND) {
        vmscm_error_clear(err);
        rc = 0;
    }
    return rc;
}

static int bad_record(struct vmscm_error *err, const char *why)
{
    return vmscm_error_set(err, VMSCM_EINPUT, "a record came that %s", why);
}

/* The plain bytes of all bases; *there: they were to be had. */
static int read_bases(struct vmscm_elsewhere_take *t, bool *there,
    const struct vmscm_pack_record *record, struct vmscm_error *err)
{
    int rc = 0;

    t->base.len = 0;
    *there = true;
    for (unsigned i = 0; i < record->base_count && !rc && *there; i++) {
        const struct vmscm_id *id = &record->bases[i];
        /* What is in the pack at hand can be read when that is whole. */
        if (vmscm_idset_find(&t->current, id) && t->early < EARLY_MAX) {
            t->early++;
            rc = vmscm_elsewhere_flush(t, err);
        }
        *there = !rc && !vmscm_idset_find(&t->current, id) &&
            vmscm_fetch_read_base(t->fetch, id, &t->part, NULL) == 0;
        if (*there)
            rc = vmscm_buf_append(&t->base, t->part.data, t->part.len, err);
    }
    return rc;
}

/* The ids of its parts. *news: one that is wanted and has not come; *twice: one is in the pack at hand. */
static int look_at_parts(struct vmscm_elsewhere_take *t, struct vmscm_packwriter_part *parts,
    const struct vmscm_pack_record *record, bool *news, bool *twice, struct vmscm_error *err)
{
    const uint8_t *data = t->plain.data;
    int rc;

    *news = *twice = false;
    for (unsigned i = 0; i < record->part_count; i++) {
        const struct vmscm_id *id = &parts[i].id;
        parts[i].plain_len = record->parts[i];
        if ((rc = vmscm_hash_compute(t->hash, &parts[i].id, data, record->parts[i], err)))
            return rc;
        data += record->parts[i];
        for (unsigned k = 0; k < i; k++)
            if (vmscm_hash_cmp(&parts[k].id, id) == 0)
                return bad_record(err, "has one chunk twice");
        const uint64_t *came = vmscm_idset_find(&t->wanted, id);
        *news = *news || (came && *came != CAME);
        *twice = *twice || vmscm_idset_find(&t->current, id);
    }
    return 0;
}

static int keep(struct vmscm_elsewhere_take *t, const struct vmscm_pack_record *record,
    const struct vmscm_packwriter_part *parts, const uint8_t *bytes, size_t len,
    struct vmscm_error *err)
{
    const struct vmscm_packwriter_record out = {.type = (enum vmscm_pack_type)record->type,
        .parts = parts,
        .part_count = record->part_count,
        .bytes = bytes,
        .len = len};
    uint64_t *value;
    bool added;
    int rc = 0;

    if (!t->writer) {
        if ((rc = vmscm_packwriter_open(
                 &t->writer, vmscm_cache_dir(t->partial->cache), false, err)))
            return rc;
        vmscm_packwriter_hasty(t->writer);
    }
    if ((rc = vmscm_packwriter_add(t->writer, &out, err)))
        return rc;
    t->written += len;
    for (unsigned i = 0; i < record->part_count && !rc; i++) {
        rc = vmscm_idset_get(&t->current, &value, &added, &parts[i].id, err);
        if (rc || !vmscm_idset_find(&t->wanted, &parts[i].id) ||
            (rc = vmscm_idset_get(&t->wanted, &value, &added, &parts[i].id, err)))
            continue;
        t->left -= *value == NEEDED;
        *value = CAME;
    }
    return !rc && t->written >= PACK_BYTES ? vmscm_elsewhere_flush(t, err) : rc;
}

int vmscm_elsewhere_record(struct vmscm_elsewhere_take *t, const uint8_t *bytes, size_t len,
    struct vmscm_error *err)
{
    struct vmscm_packwriter_part parts[VMSCM_PACK_PARTS_MAX];
    struct vmscm_pack_record record;
    bool there, news, twice;
    int rc;

    if ((rc = vmscm_pack_decode_record(&record, bytes, len, err)))
        return rc == VMSCM_EUNSUPPORTED ? rc : bad_record(err, "cannot be read");
    size_t head = vmscm_pack_record_head(&record);
    if (head + record.stored_len != len || !vmscm_pack_check_record(&record, bytes))
        return bad_record(err, "has a wrong checksum");
    if ((rc = read_bases(t, &there, &record, err)) || !there)
        return rc;
    t->plain.len = 0;
    if ((rc = vmscm_buf_reserve(&t->plain, record.plain_len, err)))
        return rc;
    if ((rc = vmscm_compress_decode(t->compress, t->plain.data, record.plain_len,
             record.compression, bytes + head, record.stored_len,
             record.base_count ? t->base.data : NULL, t->base.len, err)))
        return rc == VMSCM_ENOMEM ? rc : bad_record(err, "does not decompress to what it says");
    if ((rc = look_at_parts(t, parts, &record, &news, &twice, err)))
        return rc;
    if (!news)
        return bad_record(err, "was not asked for, or came before");
    /* A pack has an id once. */
    if (twice && (rc = vmscm_elsewhere_flush(t, err)))
        return rc;
    if (record.base_count) {
        if ((rc = vmscm_rerecord_alone(
                 &t->packed, &len, &record, t->compress, t->plain.data, err)))
            return rc;
        bytes = t->packed.data;
    }
    if (t->partial->came)
        t->partial->came(t->partial->data, record.plain_len);
    return keep(t, &record, parts, bytes, len, err);
}

bool vmscm_elsewhere_came(const struct vmscm_elsewhere_take *t, const struct vmscm_id *id)
{
    const uint64_t *came = vmscm_idset_find(&t->wanted, id);

    return came && *came == CAME;
}

int vmscm_elsewhere_also(struct vmscm_elsewhere_take *t, const struct vmscm_id *id,
    struct vmscm_error *err)
{
    uint64_t *value;
    bool added;
    int rc = vmscm_idset_get(&t->wanted, &value, &added, id, err);

    if (!rc && added)
        *value = WELCOME;
    return rc;
}

int vmscm_elsewhere_read_leaf(struct vmscm_elsewhere_take *t, const struct vmscm_id *id,
    struct vmscm_buf *buf, struct vmscm_error *err)
{
    return vmscm_fetch_read_buf(t->fetch, VMSCM_PACK_LEAF, id, buf, VMSCM_PACK_PART_MAX, err);
}

/* The reason why something is missing says where it is, and how much it is. */
static int explain(const struct vmscm_partial *p, const struct vmscm_elsewhere_want *wants,
    size_t count, struct vmscm_error *err)
{
    char hex[VMSCM_HASH_HEX];

    if (count > 1)
        return vmscm_error_prefix(
            err, "%zu chunks that are needed are only at %s", count, p->where.name);
    vmscm_str_hex(hex, wants->id.bytes, VMSCM_HASH_SIZE);
    return vmscm_error_prefix(err, "%s %.16s is only at %s",
        wants->type == VMSCM_PACK_LEAF ? "leaf" : "chunk", hex, p->where.name);
}

/* One request. The lock is held. */
static int request(struct vmscm_store *store, struct vmscm_partial *p,
    const struct vmscm_elsewhere_want *wants, size_t count, struct vmscm_error *err)
{
    struct vmscm_elsewhere_take take = {.partial = p};
    uint64_t *value;
    bool added;
    int rc = 0;

    if (!p->where.bring) {
        vmscm_error_set(err, VMSCM_EUNSUPPORTED, "this program does not reach it");
        return explain(p, wants, count, err);
    }
    if (!p->cache) {
        vmscm_error_set(err, VMSCM_EREFUSED, "%s: its cache cannot be written", vmscm_store_dir(store));
        return explain(p, wants, count, err);
    }
    for (size_t i = 0; i < count && !rc; i++)
        if (!(rc = vmscm_idset_get(&take.wanted, &value, &added, &wants[i].id, err)))
            take.left += added;
    if (rc || (rc = vmscm_compress_new(&take.compress, VMSCM_COMPRESS_LEVEL_DEFAULT, err)) ||
        (rc = vmscm_hash_new(&take.hash, err)) || (rc = vmscm_fetch_new(&take.fetch, store, err)))
        goto out;
    vmscm_fetch_set_reach(take.fetch, VMSCM_FETCH_CACHED);
    rc = p->where.bring(p->where.data, wants, count, &take, err);
    /* What came is good, whatever happened then. */
    int flushed = vmscm_elsewhere_flush(&take, rc ? NULL : err);
    if (rc || (rc = flushed)) {
        explain(p, wants, take.left ? take.left : count, err);
    } else if (take.left) {
        rc = vmscm_error_set(err, VMSCM_EDAMAGED, "it does not have %s any more",
            take.left == count ? (count == 1 ? "it" : "them") : "all of them");
        explain(p, wants, take.left, err);
        vmscm_error_hint(err, "vmscm fetch tells what %s has now", p->where.name);
    }
out:
    release_take(&take);
    return rc;
}

struct wants {
    VMSCM_VEC(struct vmscm_elsewhere_want) list;
};

/* Which of them are not here. What is in the cache is held. own: packs are looked at, too. */
static int list_missing(struct wants *missing, struct vmscm_store *store, struct vmscm_partial *p,
    const struct vmscm_elsewhere_want *wants, size_t count, bool own,
    struct vmscm_cache_holds *holds, struct vmscm_error *err)
{
    struct vmscm_elsewhere_want *slot;
    struct vmscm_pack_entry entry;
    int rc = 0;

    missing->list.len = 0;
    for (size_t i = 0; i < count && !rc; i++) {
        const struct vmscm_packfile *pack;
        bool there = false;
        if (own && vmscm_store_locate(store, &entry, &wants[i].id, 0))
            continue;
        if (p->cache &&
            (pack = vmscm_store_locate(vmscm_cache_store(p->cache), &entry, &wants[i].id, 0)) &&
            (rc = vmscm_cache_hold(holds, &there, p->cache, pack, err)))
            break;
        if (!there && !(rc = vmscm_vec_add(&missing->list, &slot, err)))
            *slot = wants[i];
    }
    return rc;
}

static int bring(struct vmscm_store *store, struct vmscm_partial *p,
    const struct vmscm_elsewhere_want *wants, size_t count, bool own,
    struct vmscm_cache_holds *holds, struct vmscm_error *err)
{
    struct wants missing = {0};
    bool locked = false, changed;
    int rc = list_missing(&missing, store, p, wants, count, own, holds, err);

    for (int n = 0; !rc && missing.list.len; n++) {
        /* Another thread or process may have brought it, or evicted what it brought. */
        if (!locked) {
            pthread_mutex_lock(&p->lock);
            locked = true;
        } else if (n > TRIES) {
            rc = vmscm_error_set(err, VMSCM_EBUSY, "what is brought is evicted at once");
            vmscm_error_hint(err, "let cache.size be more");
            break;
        } else if ((rc = request(store, p, missing.list.items, missing.list.len, err)) == VMSCM_EBUSY &&
            n < TRIES) {
            vmscm_error_clear(err);
        } else if (rc) {
            break;
        }
        if ((p->cache && (rc = vmscm_store_reload(vmscm_cache_store(p->cache), &changed, err))) ||
            (own && (rc = vmscm_store_reload(store, &changed, err))))
            break;
        rc = list_missing(&missing, store, p, wants, count, own, holds, err);
    }
    if (locked && p->cache)
        vmscm_cache_evict(p->cache, p->where.cache_size, NULL);
    if (locked)
        pthread_mutex_unlock(&p->lock);
    vmscm_vec_release(&missing.list);
    return rc;
}

static int bring_held(struct vmscm_store *store, const struct vmscm_elsewhere_want *wants,
    size_t count, bool own, struct vmscm_cache_holds *holds, struct vmscm_error *err)
{
    struct vmscm_partial *p = vmscm_store_partial(store);
    struct vmscm_cache_holds ours = {.last = 0};
    int rc;

    if (!p)
        return 0;
    rc = bring(store, p, wants, count, own, holds ? holds : &ours, err);
    vmscm_cache_release(&ours);
    return rc;
}

int vmscm_elsewhere_bring(struct vmscm_store *store, const struct vmscm_elsewhere_want *wants,
    size_t count, struct vmscm_cache_holds *holds, struct vmscm_error *err)
{
    return bring_held(store, wants, count, true, holds, err);
}

int vmscm_elsewhere_bring_one(struct vmscm_store *store, const struct vmscm_elsewhere_want *want,
    struct vmscm_cache_holds *holds, struct vmscm_error *err)
{
    return bring_held(store, want, 1, false, holds, err);
}
