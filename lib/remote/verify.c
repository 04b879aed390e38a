/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "remote/verify.h"
#include "base/buf.h"
#include "codec/compress.h"
#include "codec/hash.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 24 /* records at a time */

/* What it takes to look at one. */
struct tools {
    struct vmscm_compress *compress;
    struct vmscm_hash *hash;
    struct vmscm_buf plain;
};

struct slot {
    struct vmscm_verify_record record;
    struct vmscm_buf bytes;
    bool done; /* guarded; what it came to: */
    int rc;
    struct vmscm_error err;
};

struct vmscm_verify {
    int (*each)(void *data, const struct vmscm_verify_record *record, struct vmscm_error *err);
    void *data;
    struct tools own;
    struct vmscm_verify_record here; /* one that is looked at without a thread */
    size_t waiting;                  /* bytes in slots */
    pthread_t *threads;
    unsigned thread_count;

    /* A ring: slots from `first` on are taken, those from `next` on not yet looked at. A slot is the
     * thread's that took it until it is done. */
    struct slot *slots;
    pthread_mutex_t lock; /* guards these numbers, and done */
    pthread_cond_t filled, finished;
    size_t first, next, end;
    bool closing;
};

int vmscm_verify_bad(struct vmscm_error *err, const char *why)
{
    return vmscm_error_set(err, VMSCM_EINPUT, "the other side sent a record that %s", why);
}

static void release_tools(struct tools *t)
{
    vmscm_compress_free(t->compress);
    vmscm_hash_free(t->hash);
    vmscm_buf_release(&t->plain);
}

static int open_tools(struct tools *t, struct vmscm_error *err)
{
    int rc = vmscm_compress_new(&t->compress, VMSCM_COMPRESS_LEVEL_DEFAULT, err);

    return rc ? rc : vmscm_hash_new(&t->hash, err);
}

static int look(struct tools *t, struct vmscm_verify_record *r, const uint8_t *base,
    size_t base_len, struct vmscm_error *err)
{
    size_t head = vmscm_pack_record_head(&r->head);
    const uint8_t *data;
    int rc;

    if (head + r->head.stored_len != r->len || !vmscm_pack_check_record(&r->head, r->bytes))
        return vmscm_verify_bad(err, "has a wrong checksum");
    t->plain.len = 0;
    if ((rc = vmscm_buf_reserve(&t->plain, r->head.plain_len, err)))
        return rc;
    if ((rc = vmscm_compress_decode(t->compress, t->plain.data, r->head.plain_len,
             r->head.compression, r->bytes + head, r->head.stored_len, base, base_len, err)))
        return rc == VMSCM_ENOMEM ? rc
                                  : vmscm_verify_bad(err, "does not decompress to what it says");
    data = t->plain.data;
    for (unsigned i = 0; i < r->head.part_count; i++) {
        struct vmscm_packwriter_part *part = &r->parts[i];
        part->plain_len = r->head.parts[i];
        if ((rc = vmscm_hash_compute(t->hash, &part->id, data, part->plain_len, err)))
            return rc;
        data += part->plain_len;
        for (unsigned k = 0; k < i; k++)
            if (vmscm_hash_cmp(&r->parts[k].id, &part->id) == 0)
                return vmscm_verify_bad(err, "has one chunk twice");
    }
    return 0;
}

static void *work(void *arg)
{
    struct vmscm_verify *v = arg;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct tools tools = {0};
    int rc = open_tools(&tools, &err);

    pthread_mutex_lock(&v->lock);
    while (!v->closing) {
        if (v->next == v->end) {
            pthread_cond_wait(&v->filled, &v->lock);
            continue;
        }
        struct slot *slot = &v->slots[v->next++ % SLOTS];
        pthread_mutex_unlock(&v->lock);
        slot->rc = rc;
        slot->err = err;
        if (!rc)
            slot->rc = look(&tools, &slot->record, NULL, 0, &slot->err);
        pthread_mutex_lock(&v->lock);
        slot->done = true;
        pthread_cond_signal(&v->finished);
    }
    pthread_mutex_unlock(&v->lock);
    release_tools(&tools);
    return NULL;
}

int vmscm_verify_open(struct vmscm_verify **out, unsigned threads,
    int (*each)(void *data, const struct vmscm_verify_record *record, struct vmscm_error *err),
    void *data, struct vmscm_error *err)
{
    struct vmscm_verify *v = calloc(1, sizeof *v);
    sigset_t all, old;
    int rc;

    if (!v)
        return vmscm_error_nomem(err);
    v->each = each;
    v->data = data;
    pthread_mutex_init(&v->lock, NULL);
    pthread_cond_init(&v->filled, NULL);
    pthread_cond_init(&v->finished, NULL);
    if ((rc = open_tools(&v->own, err)))
        goto out;
    *out = v;
    if (threads < 2)
        return 0;
    v->slots = calloc(SLOTS, sizeof *v->slots);
    v->threads = calloc(threads, sizeof *v->threads);
    if (!v->slots || !v->threads) {
        rc = vmscm_error_nomem(err);
        goto out;
    }
    /* Signals are for the application's own threads. With fewer than were asked for it takes longer. */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    while (v->thread_count < threads &&
        !pthread_create(&v->threads[v->thread_count], NULL, work, v))
        v->thread_count++;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
out:
    if (rc) {
        vmscm_verify_close(v);
        *out = NULL;
    }
    return rc;
}

void vmscm_verify_close(struct vmscm_verify *v)
{
    if (!v)
        return;
    pthread_mutex_lock(&v->lock);
    v->closing = true;
    pthread_cond_broadcast(&v->filled);
    pthread_mutex_unlock(&v->lock);
    for (unsigned i = 0; i < v->thread_count; i++)
        pthread_join(v->threads[i], NULL);
    for (size_t i = 0; v->slots && i < SLOTS; i++)
        vmscm_buf_release(&v->slots[i].bytes);
    release_tools(&v->own);
    pthread_mutex_destroy(&v->lock);
    pthread_cond_destroy(&v->filled);
    pthread_cond_destroy(&v->finished);
    free(v->slots);
    free(v->threads);
    free(v);
}

/* The first slot, if it is done; wait: until it is. *told: there was one. */
static int tell(struct vmscm_verify *v, bool wait, bool *told, struct vmscm_error *err)
{
    struct slot *slot = &v->slots[v->first % SLOTS];
    int rc;

    pthread_mutex_lock(&v->lock);
    while (wait && v->first != v->end && !slot->done)
        pthread_cond_wait(&v->finished, &v->lock);
    *told = v->first != v->end && slot->done;
    pthread_mutex_unlock(&v->lock);
    if (!*told)
        return 0;
    if ((rc = slot->rc))
        vmscm_error_copy(err, &slot->err);
    else
        rc = v->each(v->data, &slot->record, err);
    v->waiting -= slot->bytes.len;
    pthread_mutex_lock(&v->lock);
    slot->done = false;
    v->first++;
    pthread_mutex_unlock(&v->lock);
    return rc;
}

int vmscm_verify_drain(struct vmscm_verify *v, struct vmscm_error *err)
{
    bool told = v->thread_count > 0;
    int rc = 0;

    while (told && !rc)
        rc = tell(v, true, &told, err);
    return rc;
}

int vmscm_verify_put_on(struct vmscm_verify *v, const struct vmscm_pack_record *head,
    const uint8_t *bytes, size_t len, const uint8_t *base, size_t base_len, struct vmscm_error *err)
{
    int rc = vmscm_verify_drain(v, err);

    if (rc)
        return rc;
    v->here.head = *head;
    v->here.bytes = bytes;
    v->here.len = len;
    rc = look(&v->own, &v->here, base, base_len, err);
    return rc ? rc : v->each(v->data, &v->here, err);
}

int vmscm_verify_put(struct vmscm_verify *v, const struct vmscm_pack_record *head,
    const uint8_t *bytes, size_t len, struct vmscm_error *err)
{
    struct slot *slot;
    bool told = true;
    int rc = 0;

    if (!v->thread_count)
        return vmscm_verify_put_on(v, head, bytes, len, NULL, 0, err);
    while (told && !rc)
        rc = tell(v, v->end - v->first == SLOTS || v->waiting > VMSCM_VERIFY_WAITING, &told, err);
    if (rc)
        return rc;
    slot = &v->slots[v->end % SLOTS];
    slot->bytes.len = 0;
    if ((rc = vmscm_buf_append(&slot->bytes, bytes, len, err)))
        return rc;
    slot->record.head = *head;
    slot->record.bytes = slot->bytes.data;
    slot->record.len = len;
    v->waiting += len;
    pthread_mutex_lock(&v->lock);
    v->end++;
    pthread_cond_signal(&v->filled);
    pthread_mutex_unlock(&v->lock);
    return 0;
}
