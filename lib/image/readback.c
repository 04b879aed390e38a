/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/readback.h"
#include "codec/checksum.h"
#include "sys/direct.h"
#include "sys/file.h"
#include "sys/parallel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PART ((size_t)128 << 10) /* read at once: less than a core's own cache */
#define PART_DIRECT ((size_t)512 << 10)

void vmscm_readback_init(struct vmscm_readback *rb)
{
    *rb = (struct vmscm_readback){0};
    pthread_mutex_init(&rb->lock, NULL);
}

void vmscm_readback_release(struct vmscm_readback *rb)
{
    for (size_t i = 0; i < rb->spare.len; i++)
        free(rb->spare.items[i]);
    vmscm_vec_release(&rb->spare);
    vmscm_vec_release(&rb->pieces);
    pthread_mutex_destroy(&rb->lock);
}

static int add(
    struct vmscm_readback *rb, struct vmscm_readback_piece piece, struct vmscm_error *err)
{
    struct vmscm_readback_piece *slot;
    int rc = 0;

    pthread_mutex_lock(&rb->lock);
    if (vmscm_vec_add(&rb->pieces, &slot, err))
        rc = VMSCM_ENOMEM;
    else
        *slot = piece;
    pthread_mutex_unlock(&rb->lock);
    return rc;
}

int vmscm_readback_note(struct vmscm_readback *rb, uint64_t offset, const void *data, size_t len,
    struct vmscm_error *err)
{
    struct vmscm_readback_piece piece = {offset, len, 0, false};

    for (size_t at = 0; at < len; at += PART)
        piece.sum = vmscm_checksum_64(
            (const uint8_t *)data + at, len - at < PART ? len - at : PART, piece.sum);
    return add(rb, piece, err);
}

static int differs(const char *path, uint64_t offset, struct vmscm_error *err)
{
    vmscm_error_set(err, VMSCM_EIO, "%s: offset %llu: something else reads back than was written",
        path, (unsigned long long)offset);
    return vmscm_error_hint(err, "this machine's memory or disk may be failing");
}

static uint8_t *take_memory(struct vmscm_readback *rb)
{
    uint8_t *part = NULL;

    pthread_mutex_lock(&rb->lock);
    if (rb->spare.len)
        part = rb->spare.items[--rb->spare.len];
    pthread_mutex_unlock(&rb->lock);
    return part ? part : vmscm_direct_alloc(PART_DIRECT);
}

static void give_memory(struct vmscm_readback *rb, uint8_t *part)
{
    uint8_t **slot;

    pthread_mutex_lock(&rb->lock);
    if (part && vmscm_vec_add(&rb->spare, &slot, NULL))
        free(part);
    else if (part)
        *slot = part;
    pthread_mutex_unlock(&rb->lock);
}

int vmscm_readback_compare(struct vmscm_readback *rb, size_t *done, int fd, const char *path,
    uint64_t offset, const void *data, size_t len, struct vmscm_error *err)
{
    size_t whole = len & ~((size_t)VMSCM_DIRECT_BLOCK - 1), n = 0;
    uint8_t *part = take_memory(rb);
    int rc = part ? 0 : vmscm_error_nomem(err);

    *done = 0;
    for (; !rc && *done < whole; *done += n) {
        size_t want = whole - *done < PART_DIRECT ? whole - *done : PART_DIRECT;
        if ((rc = vmscm_direct_get(fd, &n, part, want, offset + *done, path, err)) || !n)
            break;
        if (memcmp(part, (const uint8_t *)data + *done, n) != 0)
            rc = differs(path, offset + *done, err);
    }
    give_memory(rb, part);
    if (!rc && *done)
        rc = add(rb, (struct vmscm_readback_piece){offset, *done, 0, true}, err);
    return rc;
}

struct check {
    struct vmscm_readback *rb;
    int fd;
    const char *path;
    uint64_t size;
    bool (*stop)(void *data);
    void *data;
    size_t next; /* piece, guarded by rb->lock; the one past the last stands for the end */
};

/* From offset to end there are zeros. */
static int check_gap(
    const struct check *c, uint64_t offset, uint64_t end, uint8_t *part, struct vmscm_error *err)
{
    int rc = 0;

    while (offset < end && !rc) {
        off_t at = lseek(c->fd, (off_t)offset, SEEK_DATA);
        if (at < 0 && errno == ENXIO)
            return 0;
        if (at > 0 && (uint64_t)at > offset)
            offset = (uint64_t)at;
        if (offset >= end)
            return 0;
        size_t n = end - offset < PART ? (size_t)(end - offset) : PART;
        rc = vmscm_file_pread(c->fd, part, n, offset, c->path, err);
        if (!rc && (part[0] || memcmp(part, part + 1, n - 1) != 0))
            rc = differs(c->path, offset, err);
        offset += n;
    }
    return rc;
}

static int check_piece(const struct check *c, const struct vmscm_readback_piece *piece,
    uint8_t *part, struct vmscm_error *err)
{
    uint64_t sum = 0;
    int rc = 0;

    if (piece->compared)
        return 0;
    for (uint64_t at = 0; at < piece->length && !rc; at += PART) {
        size_t n = piece->length - at < PART ? (size_t)(piece->length - at) : PART;
        if (!(rc = vmscm_file_pread(c->fd, part, n, piece->offset + at, c->path, err)))
            sum = vmscm_checksum_64(part, n, sum);
    }
    return rc || sum == piece->sum ? rc : differs(c->path, piece->offset, err);
}

/* Each thread takes a piece, and the gap before it. */
static int work(struct vmscm_parallel *p, unsigned index, struct vmscm_error *err)
{
    struct check *c = p->data;
    uint8_t *part = malloc(PART);
    int rc = part ? 0 : vmscm_error_nomem(err);

    (void)index;
    while (!rc && !atomic_load(&p->stop)) {
        pthread_mutex_lock(&c->rb->lock);
        size_t n = c->next++, count = c->rb->pieces.len;
        if (n <= count && n % 16 == 0 && c->stop && c->stop(c->data))
            rc = vmscm_error_set(err, VMSCM_ECANCELED, "%s: canceled", c->path);
        pthread_mutex_unlock(&c->rb->lock);
        if (rc || n > count)
            break;
        const struct vmscm_readback_piece *pieces = c->rb->pieces.items;
        uint64_t from = n ? pieces[n - 1].offset + pieces[n - 1].length : 0;
        rc = check_gap(c, from, n < count ? pieces[n].offset : c->size, part, err);
        if (!rc && n < count)
            rc = check_piece(c, &pieces[n], part, err);
    }
    free(part);
    return rc;
}

static int by_offset(const void *a, const void *b)
{
    const struct vmscm_readback_piece *x = a, *y = b;

    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

int vmscm_readback_check(struct vmscm_readback *rb, int fd, const char *path, uint64_t size,
    unsigned jobs, bool (*stop)(void *data), void *data, struct vmscm_error *err)
{
    struct check c = {rb, fd, path, size, stop, data, 0};

    if (rb->pieces.len)
        qsort(rb->pieces.items, rb->pieces.len, sizeof *rb->pieces.items, by_offset);
    return vmscm_parallel_run(jobs, work, &c, err);
}
