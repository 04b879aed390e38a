/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The bound's checkout: every frame once, in the order in which the image first needs it, so that
 * what is written lies together.
 */
#include "bound.h"
#include "format/leaf.h"
#include "sys/direct.h"
#include "sys/file.h"
#include "sys/parallel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int by_frame(const void *one, const void *other)
{
    const struct piece *a = one, *b = other;

    if (a->chunk->frame != b->chunk->frame)
        return a->chunk->frame < b->chunk->frame ? -1 : 1;
    if (a->chunk->at != b->chunk->at)
        return a->chunk->at < b->chunk->at ? -1 : 1;
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

static int by_offset(const void *one, const void *other)
{
    const struct run *a = one, *b = other;

    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* The pieces of all lanes as runs of one frame each, in the order of the image. */
static int gather(struct bound *b, struct image *image, struct vmscm_error *err)
{
    size_t n = 0;

    for (unsigned i = 0; i < b->jobs; i++)
        n += image->lanes[i].list.len;
    image->pieces = calloc(n + 1, sizeof *image->pieces);
    image->runs = calloc(n + 1, sizeof *image->runs);
    if (!image->pieces || !image->runs)
        return vmscm_error_nomem(err);
    for (unsigned i = 0; i < b->jobs; i++) {
        if (image->lanes[i].list.len)
            memcpy(image->pieces + image->piece_count, image->lanes[i].list.items,
                image->lanes[i].list.len * sizeof *image->pieces);
        image->piece_count += image->lanes[i].list.len;
        vmscm_vec_release(&image->lanes[i].list);
    }
    qsort(image->pieces, n, sizeof *image->pieces, by_frame);
    for (size_t i = 0; i < n; i++) {
        struct run *run = &image->runs[image->run_count];
        if (i == 0 || image->pieces[i].chunk->frame != image->pieces[i - 1].chunk->frame) {
            run = &image->runs[image->run_count++];
            *run = (struct run){.offset = image->pieces[i].offset, .start = i};
        } else {
            run--;
        }
        run->count++;
        if (image->pieces[i].offset < run->offset)
            run->offset = image->pieces[i].offset;
    }
    qsort(image->runs, image->run_count, sizeof *image->runs, by_offset);
    return 0;
}

/* One frame into plain: each of its chunks is verified once. */
static int read_run(struct lane *lane, const struct run *run, uint8_t *plain,
    struct vmscm_error *err)
{
    const struct piece *pieces = lane->bound->image->pieces + run->start;
    const struct frame *f = pieces[0].chunk->frame;
    struct vmscm_id id;
    int rc = vmscm_compress_decode(
        lane->compress, plain, f->plain, (int)f->algorithm, f->data, f->stored, NULL, 0, err);

    lane->stored += f->stored;
    for (size_t i = 0; i < run->count && !rc; i++) {
        const struct chunk *c = pieces[i].chunk;
        if (i > 0 && c == pieces[i - 1].chunk)
            continue;
        lane->read += c->len;
        if (!(rc = vmscm_hash_compute(lane->hash, &id, plain + c->at, c->len, err)) &&
            vmscm_hash_cmp(&id, &c->id) != 0)
            rc = vmscm_error_set(err, VMSCM_EDAMAGED, "a chunk is not what it was");
    }
    return rc;
}

/* Bytes in memory that follow each other in the image too. */
struct span {
    uint64_t offset;
    const uint8_t *data;
    size_t len;
};

static int flush(struct lane *lane, struct span *span, struct vmscm_error *err)
{
    struct bound *b = lane->bound;
    size_t done = 0;
    int rc = b->direct < 0 ? 0
                           : vmscm_direct_put(b->direct, &done, span->data, span->len,
                                 span->offset, b->out_path, err);

    if (!rc && done < span->len)
        rc = vmscm_file_pwrite(
            b->out, span->data + done, span->len - done, span->offset + done, b->out_path, err);
    lane->fresh += span->len;
    span->len = 0;
    return rc;
}

/* Runs, as many as fit, are decompressed; then all of their pieces are written. */
static int write_runs(struct lane *lane, const struct run *runs, size_t count, size_t *taken,
    struct vmscm_error *err)
{
    const struct piece *pieces = lane->bound->image->pieces;
    struct span span = {0};
    size_t fill = 0, n = 0;
    int rc = 0;

    for (; n < count && !rc; n++) {
        size_t plain = pieces[runs[n].start].chunk->frame->plain;
        if (n > 0 && fill + plain > BOUND_WRITE)
            break;
        rc = read_run(lane, &runs[n], lane->plain + fill, err);
        fill += plain;
    }
    fill = 0;
    for (size_t r = 0; r < n && !rc; r++) {
        for (size_t i = runs[r].start; i < runs[r].start + runs[r].count && !rc; i++) {
            const uint8_t *data = lane->plain + fill + pieces[i].chunk->at;
            if (span.offset + span.len != pieces[i].offset || span.data + span.len != data) {
                rc = flush(lane, &span, err);
                span = (struct span){pieces[i].offset, data, 0};
            }
            span.len += pieces[i].chunk->len;
        }
        fill += pieces[runs[r].start].chunk->frame->plain;
    }
    *taken = n;
    return rc ? rc : flush(lane, &span, err);
}

/* A thread of a checkout: it takes the runs that begin in the next segment. */
static int check_out(struct vmscm_parallel *p, unsigned index, struct vmscm_error *err)
{
    struct bound *b = p->data;
    const struct run *runs = b->image->runs;
    size_t count = b->image->run_count;
    struct lane lane;
    int rc = bound_lane_init(&lane, b, err);

    (void)index;
    while (!rc && !atomic_load(&p->stop)) {
        size_t at = atomic_load(&b->next), end, taken;
        do {
            for (end = at; end < count &&
                 runs[end].offset >> VMSCM_LEAF_SEGMENT_LOG2 ==
                     runs[at].offset >> VMSCM_LEAF_SEGMENT_LOG2;)
                end++;
        } while (at < count && !atomic_compare_exchange_weak(&b->next, &at, end));
        if (at >= count)
            break;
        off_t start = (off_t)(runs[at].offset & ~(uint64_t)(VMSCM_LEAF_SEGMENT - 1));
        for (; at < end && !rc; at += taken)
            rc = write_runs(&lane, runs + at, end - at, &taken, err);
        /* Begin to write it back: less is left for the fsync. */
        if (!rc && b->direct < 0)
            sync_file_range(b->out, start, VMSCM_LEAF_SEGMENT, SYNC_FILE_RANGE_WRITE);
    }
    bound_lane_release(&lane);
    return rc;
}

int bound_out_step(struct bound *b, struct image *image, const char *dir, struct vmscm_error *err)
{
    char path[4096];
    int rc;

    if (snprintf(path, sizeof path, "%s/%s", dir, image->name) >= (int)sizeof path)
        return vmscm_error_set(err, VMSCM_EUSAGE, "%s: too long", dir);
    if ((rc = gather(b, image, err)))
        return rc;
    b->out = b->direct = -1;
    b->out_path = path;
    bound_begin(b, image);
    if ((rc = vmscm_file_open(&b->out, path, O_RDWR | O_CREAT | O_EXCL, 0666, err)))
        return rc;
    if (ftruncate(b->out, (off_t)image->size) < 0)
        rc = vmscm_error_errno(err, errno, "%s", path);
    b->direct = vmscm_direct_pays(image->size) ? vmscm_direct_reopen(b->out) : -1;
    /* While some wait for the disk, others work. */
    unsigned jobs = b->direct < 0 ? b->jobs : 2 * b->jobs;
    if (!rc && !(rc = vmscm_parallel_run(jobs, check_out, b, err)))
        rc = vmscm_file_fsync(b->out, path, err);
    if (b->direct >= 0)
        close(b->direct);
    int closed = vmscm_file_close(&b->out, path, rc ? NULL : err);
    if (!rc)
        rc = closed;
    if (!rc)
        bound_end(b, "out");
    if (b->remove)
        unlink(path);
    return rc;
}
