/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/packqueue.h"
#include "base/str.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#define QUEUED_MAX (6u << 20) /* memory of records that wait to be written */
#define SPARES_MAX 8          /* buffers kept for records to come */
#define SPARE_MIN (1u << 20)  /* a buffer worth it */

struct vmscm_packqueue {
    char *repo_dir;
    struct vmscm_lease *lease; /* or NULL */
    int (*added)(void *data, const char *file, uint64_t bytes, unsigned pack,
        struct vmscm_error *err);
    void *data;

    pthread_mutex_t lock; /* guards all down to the next gap */
    pthread_cond_t filled, written;
    struct vmscm_packqueue_item *first, **end;
    size_t queued;
    struct vmscm_buf spares[SPARES_MAX];
    size_t spare_count;
    bool started; /* the writing thread */
    bool closing;
    int rc; /* of the first failure, which ends all */
    struct vmscm_error err;
    unsigned pack;  /* that the next item goes into: */
    uint64_t bytes; /* what it has of records, */
    size_t entries; /* and of chunks and leaves */

    pthread_t writing;
    /* The writing thread's, and close's after it. */
    struct vmscm_packwriter *writer;
    unsigned number; /* of its pack */
    pthread_t finishing;
    bool finisher; /* there is such a thread; what it has: */
    struct vmscm_packwriter *full;
    unsigned full_number;
};

size_t vmscm_packqueue_item_size(const struct vmscm_packqueue_item *item)
{
    return sizeof *item + item->part_count * sizeof *item->parts + item->bytes.cap;
}

void vmscm_packqueue_item_free(struct vmscm_packqueue_item *item)
{
    if (!item)
        return;
    vmscm_buf_release(&item->bytes);
    free(item);
}

int vmscm_packqueue_open(struct vmscm_packqueue **out, const char *repo_dir,
    struct vmscm_lease *lease,
    int (*added)(void *data, const char *file, uint64_t bytes, unsigned pack,
        struct vmscm_error *err),
    void *data, struct vmscm_error *err)
{
    struct vmscm_packqueue *q = calloc(1, sizeof *q);
    int rc;

    if (!q)
        return vmscm_error_nomem(err);
    q->lease = lease;
    q->added = added;
    q->data = data;
    q->end = &q->first;
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->filled, NULL);
    pthread_cond_init(&q->written, NULL);
    if ((rc = vmscm_str_dup(&q->repo_dir, repo_dir, err))) {
        vmscm_packqueue_abort(q);
        return rc;
    }
    *out = q;
    return 0;
}

static int fail(struct vmscm_packqueue *q, int rc, const struct vmscm_error *why)
{
    pthread_mutex_lock(&q->lock);
    if (!q->rc) {
        q->rc = rc;
        q->err = *why;
    }
    pthread_cond_broadcast(&q->filled);
    pthread_cond_broadcast(&q->written);
    pthread_mutex_unlock(&q->lock);
    return rc;
}

/* Finish a pack, and tell of it. */
static int finish(struct vmscm_packqueue *q, struct vmscm_packwriter *writer, unsigned number,
    struct vmscm_error *err)
{
    char file[VMSCM_PACKFILE_NAME];
    uint64_t bytes = 0;
    int rc = vmscm_packwriter_finish(writer, file, &bytes, err);

    return rc || !file[0] ? rc : q->added(q->data, file, bytes, number, err);
}

static void *finish_full(void *arg)
{
    struct vmscm_packqueue *q = arg;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    int rc = finish(q, q->full, q->full_number, &err);

    if (rc)
        fail(q, rc, &err);
    return NULL;
}

static void wait_finished(struct vmscm_packqueue *q)
{
    if (q->finisher)
        pthread_join(q->finishing, NULL);
    q->finisher = false;
}

static int failed(struct vmscm_packqueue *q, struct vmscm_error *err)
{
    pthread_mutex_lock(&q->lock);
    int rc = q->rc ? vmscm_error_copy(err, &q->err) : 0;
    pthread_mutex_unlock(&q->lock);
    return rc;
}

/* The pack is full: its end is another thread's, once the one before is done with. */
static int end_pack(struct vmscm_packqueue *q, struct vmscm_error *err)
{
    int rc;

    wait_finished(q);
    if ((rc = failed(q, err)))
        return rc;
    q->full = q->writer;
    q->full_number = q->number++;
    q->writer = NULL;
    q->finisher = !pthread_create(&q->finishing, NULL, finish_full, q);
    return q->finisher ? 0 : finish(q, q->full, q->full_number, err);
}

static int open_pack(struct vmscm_packqueue *q, struct vmscm_error *err)
{
    int rc = vmscm_packwriter_open(&q->writer, q->repo_dir, q->number > 0, err);

    if (!rc && q->lease)
        rc = vmscm_lease_add_pack(q->lease, vmscm_packwriter_name(q->writer), err);
    return rc;
}

static int write_item(struct vmscm_packqueue *q, const struct vmscm_packqueue_item *item,
    struct vmscm_error *err)
{
    struct vmscm_packwriter_record record = {.type = item->type,
        .has_base = item->has_base,
        .parts = item->parts,
        .part_count = item->part_count,
        .bytes = item->bytes.data + item->at,
        .len = item->bytes.len - item->at};
    int rc;

    if ((!q->writer && (rc = open_pack(q, err))) ||
        (rc = vmscm_packwriter_add(q->writer, &record, err)))
        return rc;
    return item->last ? end_pack(q, err) : 0;
}

/* With the lock held: an item is done with. */
static void drop(struct vmscm_packqueue *q, struct vmscm_packqueue_item *item)
{
    q->queued -= vmscm_packqueue_item_size(item);
    if (item->bytes.cap >= SPARE_MIN && q->spare_count < SPARES_MAX) {
        item->bytes.len = 0;
        q->spares[q->spare_count++] = item->bytes;
        item->bytes = (struct vmscm_buf)VMSCM_BUF_INIT;
    }
    vmscm_packqueue_item_free(item);
}

/* The next item, waited for; NULL: there are no more. After a failure all are dropped. */
static struct vmscm_packqueue_item *next_item(struct vmscm_packqueue *q,
    struct vmscm_packqueue_item *done)
{
    struct vmscm_packqueue_item *item;

    pthread_mutex_lock(&q->lock);
    if (done)
        drop(q, done);
    for (;;) {
        while (q->rc && (item = q->first)) {
            q->first = item->next;
            drop(q, item);
        }
        if (q->first || q->closing)
            break;
        q->end = &q->first;
        pthread_cond_broadcast(&q->written);
        pthread_cond_wait(&q->filled, &q->lock);
    }
    if ((item = q->first) && !(q->first = item->next))
        q->end = &q->first;
    pthread_cond_broadcast(&q->written);
    pthread_mutex_unlock(&q->lock);
    return item;
}

static void *write_all(void *arg)
{
    struct vmscm_packqueue *q = arg;
    struct vmscm_packqueue_item *item = NULL;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    int rc;

    while ((item = next_item(q, item)))
        if ((rc = write_item(q, item, &err)))
            fail(q, rc, &err);
    return NULL;
}

/* With the lock held. Signals are for the application's own threads. */
static int start(struct vmscm_packqueue *q, struct vmscm_error *err)
{
    sigset_t all, old;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    int errnum = pthread_create(&q->writing, NULL, write_all, q);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (errnum)
        return vmscm_error_errno(err, errnum, "starting a thread");
    q->started = true;
    return 0;
}

unsigned vmscm_packqueue_pack(struct vmscm_packqueue *q)
{
    pthread_mutex_lock(&q->lock);
    unsigned pack = q->pack;
    pthread_mutex_unlock(&q->lock);
    return pack;
}

int vmscm_packqueue_put(struct vmscm_packqueue *q, struct vmscm_packqueue_item *item,
    struct vmscm_error *err)
{
    int rc;

    pthread_mutex_lock(&q->lock);
    rc = q->rc ? vmscm_error_copy(err, &q->err) : q->started ? 0 : start(q, err);
    if (rc) {
        pthread_mutex_unlock(&q->lock);
        vmscm_packqueue_item_free(item);
        return rc;
    }
    q->bytes += item->bytes.len - item->at;
    q->entries += item->part_count;
    item->last = VMSCM_PACK_HEADER_SIZE + q->bytes >= VMSCM_PACKQUEUE_PACK ||
        q->entries >= VMSCM_PACKQUEUE_ENTRIES;
    if (item->last) {
        q->pack++;
        q->bytes = 0;
        q->entries = 0;
    }
    item->next = NULL;
    *q->end = item;
    q->end = &item->next;
    q->queued += vmscm_packqueue_item_size(item);
    pthread_cond_signal(&q->filled);
    pthread_mutex_unlock(&q->lock);
    return 0;
}

int vmscm_packqueue_wait(struct vmscm_packqueue *q, struct vmscm_error *err)
{
    pthread_mutex_lock(&q->lock);
    while (!q->rc && q->queued > QUEUED_MAX)
        pthread_cond_wait(&q->written, &q->lock);
    int rc = q->rc ? vmscm_error_copy(err, &q->err) : 0;
    pthread_mutex_unlock(&q->lock);
    return rc;
}

void vmscm_packqueue_spare(struct vmscm_packqueue *q, struct vmscm_buf *buf)
{
    if (buf->data)
        return;
    pthread_mutex_lock(&q->lock);
    if (q->spare_count)
        *buf = q->spares[--q->spare_count];
    pthread_mutex_unlock(&q->lock);
}

/* Both threads are at their end then. */
static void join(struct vmscm_packqueue *q)
{
    pthread_mutex_lock(&q->lock);
    q->closing = true;
    pthread_cond_broadcast(&q->filled);
    pthread_mutex_unlock(&q->lock);
    if (q->started)
        pthread_join(q->writing, NULL);
    q->started = false;
    wait_finished(q);
}

int vmscm_packqueue_close(struct vmscm_packqueue *q, struct vmscm_error *err)
{
    struct vmscm_packwriter *writer;
    int rc;

    join(q);
    rc = failed(q, err);
    if (!rc && (writer = q->writer)) {
        q->writer = NULL;
        rc = finish(q, writer, q->number, err);
    }
    vmscm_packqueue_abort(q);
    return rc;
}

void vmscm_packqueue_abort(struct vmscm_packqueue *q)
{
    const struct vmscm_error why = {.code = VMSCM_ECANCELED, .message = "stopped"};

    if (!q)
        return;
    fail(q, VMSCM_ECANCELED, &why);
    join(q);
    vmscm_packwriter_abort(q->writer);
    for (size_t i = 0; i < q->spare_count; i++)
        vmscm_buf_release(&q->spares[i]);
    free(q->repo_dir);
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->filled);
    pthread_cond_destroy(&q->written);
    free(q);
}
