/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/scatter.h"
#include "base/buf.h"
#include "base/vec.h"
#include "repo/leafread.h"
#include "store/batch.h"
#include "sys/parallel.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_MAX (512u << 10) /* far above what any cutter made */
#define WINDOW (1u << 30)       /* bytes that are put in an order of their own */
#define WINDOW_PLACES (1u << 15) /* and chunks, about */
#define LEAVES 256u             /* that are brought at a time, where they are elsewhere */
/* What a thread takes: much, so that a record and what is stored against it lie together, but not so
 * much that others have nothing. */
#define TURN_MIN (2u << 20)
#define TURN_MAX (16u << 20)
#define TURNS 4u /* for each thread */
#define THREADS 2u      /* for each job: while some wait for the disk they write to, others work */

/* A chunk at a place of the disk. */
struct place {
    struct vmscm_id id;
    const struct vmscm_packfile *pack; /* NULL: in none that is known */
    uint32_t record;                   /* its offset in the pack */
    uint32_t length;
    uint64_t offset; /* on the disk */
    uint64_t first;  /* the lowest offset of what its record has */
};

struct run {
    const struct vmscm_scatter *scatter;
    VMSCM_VEC(struct place) places;
    uint64_t bytes; /* of all places */
    uint64_t turn;
    pthread_mutex_t lock;
    size_t next; /* place; guarded by the lock */
    /* What is not here is brought before its window is read. */
    struct vmscm_batch leaves, chunks;
};

static int by_record(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    if (x->pack != y->pack)
        return x->pack < y->pack ? -1 : 1;
    if (x->record != y->record)
        return x->record < y->record ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int by_need(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* How many places from `at` on are of one record. */
static size_t same_record(const struct run *run, size_t at)
{
    const struct place *p = run->places.items;
    size_t n = 1;

    while (at + n < run->places.len && p[at + n].pack == p[at].pack &&
        p[at + n].record == p[at].record)
        n++;
    return n;
}

static int add_segment(struct run *run, struct vmscm_fetch *fetch, uint64_t segment,
    const struct vmscm_id *leaf, struct vmscm_buf *bytes, struct vmscm_error *err)
{
    const struct vmscm_scatter *s = run->scatter;
    struct vmscm_leaf_entry *entries = NULL;
    size_t count;
    int rc = vmscm_leafread_entries(&entries, &count, fetch, bytes, leaf,
        vmscm_map_segment_length(s->map->size, segment), err);

    if (rc)
        vmscm_error_prefix(err, "%s, segment %llu", s->name, (unsigned long long)segment);
    for (size_t i = 0; i < count && !rc; i++) {
        struct vmscm_pack_entry entry = {.offset = 0};
        struct place *place;
        if (entries[i].zero)
            continue;
        if (entries[i].length > CHUNK_MAX) {
            rc = vmscm_error_set(err, VMSCM_EDAMAGED, "%s, segment %llu: chunk of %u bytes",
                s->name, (unsigned long long)segment, entries[i].length);
            break;
        }
        if (vmscm_vec_add(&run->places, &place, err)) {
            rc = VMSCM_ENOMEM;
            break;
        }
        *place = (struct place){.id = entries[i].id,
            .length = entries[i].length,
            .offset = (segment << VMSCM_LEAF_SEGMENT_LOG2) + entries[i].offset};
        place->pack = vmscm_store_locate(s->store, &entry, &entries[i].id, 0);
        place->record = entry.offset;
        run->bytes += place->length;
        if (!place->pack)
            rc = vmscm_batch_add_chunk(&run->chunks, &place->id, place->length, leaf, err);
    }
    free(entries);
    return rc;
}

/* The leaves of the segments from `at` on, some of them at once. */
static int bring_leaves(struct run *run, uint64_t at, uint64_t end, struct vmscm_error *err)
{
    int rc = 0;

    vmscm_batch_let_go(&run->leaves);
    while (at < end && run->leaves.wants.len < LEAVES && !rc) {
        const struct vmscm_map_run *r = vmscm_map_run(run->scatter->map, at);
        if (!r->zero)
            rc = vmscm_batch_add_leaf(&run->leaves, &r->leaf, err);
        at = r->first + r->count;
    }
    return rc ? rc : vmscm_batch_bring(&run->leaves, err);
}

/* Where the chunks are that were brought. */
static void locate_brought(struct run *run)
{
    struct vmscm_cache *cache = vmscm_elsewhere_cache(run->scatter->store);
    struct vmscm_pack_entry entry;

    for (size_t i = 0; cache && i < run->places.len; i++) {
        struct place *place = &run->places.items[i];
        if (!place->pack && (place->pack = vmscm_store_locate(
                                 vmscm_cache_store(cache), &entry, &place->id, 0)))
            place->record = entry.offset;
    }
}

/* Of the segments from *segment on as many as make a window. */
static int list_places(struct run *run, uint64_t *segment, uint64_t end, struct vmscm_error *err)
{
    uint64_t window = run->chunks.store ? VMSCM_ELSEWHERE_BATCH : WINDOW;
    struct vmscm_buf bytes = VMSCM_BUF_INIT;
    struct vmscm_fetch *fetch = NULL;
    int rc = vmscm_fetch_new(&fetch, run->scatter->store, err);

    run->places.len = run->next = 0;
    run->bytes = 0;
    vmscm_batch_let_go(&run->chunks);
    if (!rc && run->leaves.store)
        rc = bring_leaves(run, *segment, end, err);
    while (*segment < end && run->bytes < window && run->places.len < WINDOW_PLACES && !rc) {
        const struct vmscm_map_run *r = vmscm_map_run(run->scatter->map, *segment);
        if (!r->zero)
            rc = add_segment(run, fetch, *segment, &r->leaf, &bytes, err);
        *segment = r->zero ? r->first + r->count : *segment + 1;
    }
    vmscm_fetch_free(fetch);
    vmscm_buf_release(&bytes);
    if (!rc && run->chunks.wants.len && !(rc = vmscm_batch_bring(&run->chunks, err)))
        locate_brought(run);
    if (rc || !run->places.len)
        return rc;
    qsort(run->places.items, run->places.len, sizeof *run->places.items, by_record);
    for (size_t at = 0, n; at < run->places.len; at += n) {
        n = same_record(run, at);
        for (size_t i = 0; i < n; i++)
            run->places.items[at + i].first = run->places.items[at].offset;
    }
    qsort(run->places.items, run->places.len, sizeof *run->places.items, by_need);
    return 0;
}

/* What lies together in memory and on the disk. */
struct piece {
    struct vmscm_plain *plain; /* a reference to what the bytes are in */
    const uint8_t *bytes;
    size_t len; /* 0: none */
    uint64_t offset;
};

static int hand_out(const struct run *run, struct piece *piece, struct vmscm_error *err)
{
    const struct vmscm_scatter *s = run->scatter;
    int rc = piece->len ? s->each(s->data, piece->bytes, piece->len, piece->offset, err) : 0;

    vmscm_plain_unref(piece->plain);
    *piece = (struct piece){0};
    return rc;
}

/* Read the places of one record; those side by side are handed out together. */
static int read_record(const struct run *run, struct vmscm_fetch *fetch,
    const struct place *places, size_t count, struct vmscm_error *err)
{
    struct piece piece = {0};
    int rc = 0;

    for (size_t i = 0; i < count && !rc; i++) {
        const struct place *p = &places[i];
        struct vmscm_plain *plain;
        const uint8_t *bytes;
        if ((rc = vmscm_fetch_plain(
                 fetch, VMSCM_PACK_CHUNK, &p->id, p->length, &bytes, &plain, err))) {
            vmscm_error_prefix(
                err, "%s, offset %llu", run->scatter->name, (unsigned long long)p->offset);
            break;
        }
        if (piece.plain == plain && piece.bytes + piece.len == bytes &&
            piece.offset + piece.len == p->offset) {
            piece.len += p->length;
            vmscm_plain_unref(plain);
            continue;
        }
        rc = hand_out(run, &piece, err);
        piece = (struct piece){plain, bytes, p->length, p->offset};
    }
    if (!rc)
        return hand_out(run, &piece, err);
    vmscm_plain_unref(piece.plain);
    return rc;
}

/* A thread's turn: the next records. */
static void take(struct run *run, size_t *at, size_t *end)
{
    uint64_t len = 0;

    pthread_mutex_lock(&run->lock);
    *at = *end = run->next;
    while (*end < run->places.len && len < run->turn)
        for (size_t n = same_record(run, *end); n; n--)
            len += run->places.items[(*end)++].length;
    run->next = *end;
    pthread_mutex_unlock(&run->lock);
}

static int work(struct vmscm_parallel *p, unsigned index, struct vmscm_error *err)
{
    struct run *run = p->data;
    struct vmscm_fetch *fetch = NULL;
    int rc = vmscm_fetch_new(&fetch, run->scatter->store, err);

    (void)index;
    if (!rc && run->scatter->once)
        vmscm_fetch_once(fetch);
    while (!rc && !atomic_load(&p->stop)) {
        size_t at, end;
        take(run, &at, &end);
        if (at == end)
            break;
        for (size_t n; at < end && !rc && !atomic_load(&p->stop); at += n) {
            n = same_record(run, at);
            rc = read_record(run, fetch, &run->places.items[at], n, err);
        }
    }
    vmscm_fetch_free(fetch);
    return rc;
}

static int read_window(struct run *run, unsigned threads, struct vmscm_error *err)
{
    run->turn = run->bytes / (TURNS * threads);
    run->turn = run->turn < TURN_MIN ? TURN_MIN : run->turn > TURN_MAX ? TURN_MAX : run->turn;
    return vmscm_parallel_run(threads, work, run, err);
}

/* The next window, which is listed, and brought if need be, by a thread of its own. */
struct listing {
    struct run *run;
    uint64_t *at, end;
    int rc;
    struct vmscm_error err;
};

static void *list_next(void *data)
{
    struct listing *l = data;

    l->rc = list_places(l->run, l->at, l->end, &l->err);
    return NULL;
}

/* While one window is read, the next is brought. */
static int read_brought(struct run runs[2], uint64_t at, uint64_t end, unsigned threads,
    struct vmscm_error *err)
{
    int which = 0, rc = list_places(&runs[0], &at, end, err);

    while (!rc && (runs[which].places.len || at < end)) {
        struct listing next = {.run = &runs[!which], .at = &at, .end = end};
        pthread_t thread;
        bool started = pthread_create(&thread, NULL, list_next, &next) == 0;
        if (runs[which].places.len)
            rc = read_window(&runs[which], threads, err);
        if (started)
            pthread_join(thread, NULL);
        else if (!rc)
            list_next(&next);
        if (!rc && next.rc)
            rc = vmscm_error_copy(err, &next.err);
        which = !which;
    }
    return rc;
}

int vmscm_scatter_run(const struct vmscm_scatter *scatter, uint64_t first, uint64_t count,
    struct vmscm_error *err)
{
    unsigned threads = THREADS * (scatter->jobs ? scatter->jobs : 1);
    struct run runs[2] = {{.scatter = scatter}, {.scatter = scatter}};
    uint64_t at = first, end = first + count;
    int rc = 0;

    for (int i = 0; i < 2; i++) {
        pthread_mutex_init(&runs[i].lock, NULL);
        vmscm_batch_init(&runs[i].leaves, scatter->store);
        vmscm_batch_init(&runs[i].chunks, scatter->store);
    }
    if (runs[0].chunks.store)
        rc = read_brought(runs, at, end, threads, err);
    while (!runs[0].chunks.store && at < end && !rc)
        if (!(rc = list_places(&runs[0], &at, end, err)) && runs[0].places.len)
            rc = read_window(&runs[0], threads, err);
    for (int i = 0; i < 2; i++) {
        vmscm_batch_release(&runs[i].leaves);
        vmscm_batch_release(&runs[i].chunks);
        vmscm_vec_release(&runs[i].places);
        pthread_mutex_destroy(&runs[i].lock);
    }
    return rc;
}
