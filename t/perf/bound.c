/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How fast check-in and checkout could be: the work that cannot be left out, done by vmscm's own
 * cutter, hash and codec, on all cores, with nothing else around it.
 *
 *     bound [-g BYTES] [-j THREADS] [-l LEVEL] [-o DIR [-u]] NAME=IMAGE...
 *
 * Check-in reads a raw image (holes are skipped), cuts, hashes, looks each id up in a table in
 * memory, compresses what is new, and drops it. Images come in the order given: the first, the
 * first once more (all of it is known then), then the others.
 * Checkout (-o) has all of them compressed in memory before the clock starts. It decompresses each
 * frame once, verifies each chunk once, writes the image to DIR, and fsyncs it; -u: it is removed
 * once it was measured.
 * -g: consecutive new chunks of a segment are compressed together, up to so many bytes a frame; 0:
 * each by itself. The default is what a check-in does.
 *
 * Prints a line a step: STEP NAME SECONDS CPU READ NEW STORED, where STEP is new, same, more or
 * out; READ are the bytes hashed, NEW those that were not known, STORED what they were compressed
 * to. For out, READ are the bytes verified, NEW those written, and STORED the frames' bytes.
 *
 * Threads take segments of 16 MiB in order; the table is cut into parts with a lock each.
 */
#include "bound.h"
#include "chunk/cutter.h"
#include "format/leaf.h"
#include "store/ingest.h"
#include "sys/direct.h"
#include "sys/file.h"
#include "sys/parallel.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define WINDOW (512u << 10) /* as vmscm's scan reads */
#define FRAME_MAX (64u << 20)

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu(void)
{
    struct rusage r;

    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
        (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static struct chunk **slot_of(struct chunk **slots, size_t room, const struct vmscm_id *id)
{
    uint64_t key;

    memcpy(&key, id->bytes + 1, sizeof key);
    size_t i = (size_t)key & (room - 1);
    while (slots[i] && vmscm_hash_cmp(&slots[i]->id, id) != 0)
        i = (i + 1) & (room - 1);
    return &slots[i];
}

static int grow(struct part *part, struct vmscm_error *err)
{
    size_t room = part->room ? 2 * part->room : 256;
    struct chunk **slots = calloc(room, sizeof *slots);

    if (!slots)
        return vmscm_error_nomem(err);
    for (size_t i = 0; i < part->room; i++)
        if (part->slots[i])
            *slot_of(slots, room, &part->slots[i]->id) = part->slots[i];
    free(part->slots);
    part->slots = slots;
    part->room = room;
    return 0;
}

/* The chunk of an id; *fresh if it was not known and the caller must store it. */
static int look_up(struct bound *b, struct chunk **out, const struct vmscm_id *id, size_t len,
    bool *fresh, struct vmscm_error *err)
{
    struct part *part = &b->parts[id->bytes[0]];
    int rc = 0;

    *fresh = false;
    pthread_mutex_lock(&part->lock);
    if (part->count * 2 >= part->room)
        rc = grow(part, err);
    if (!rc) {
        struct chunk **slot = slot_of(part->slots, part->room, id);
        if (!*slot && (*slot = calloc(1, sizeof **slot))) {
            (*slot)->id = *id;
            (*slot)->len = (uint32_t)len;
            part->count++;
            *fresh = true;
        }
        if (!(*out = *slot))
            rc = vmscm_error_nomem(err);
    }
    pthread_mutex_unlock(&part->lock);
    return rc;
}

static int open_frame(struct lane *lane, struct vmscm_error *err)
{
    struct bound *b = lane->bound;

    if (!(lane->frame = calloc(1, sizeof *lane->frame)))
        return vmscm_error_nomem(err);
    pthread_mutex_lock(&b->lock);
    lane->frame->next = b->frames;
    b->frames = lane->frame;
    pthread_mutex_unlock(&b->lock);
    return 0;
}

/* Compress what the frame at hand has. */
static int close_frame(struct lane *lane, const uint8_t *plain, struct vmscm_error *err)
{
    struct frame *f = lane->frame;
    size_t stored;
    int rc = vmscm_compress_encode(
        lane->compress, lane->packed, &stored, &f->algorithm, plain, f->plain, NULL, 0, err);

    if (rc)
        return rc;
    if (lane->bound->keep) {
        if (!(f->data = malloc(stored)))
            return vmscm_error_nomem(err);
        memcpy(f->data, lane->packed, stored);
    }
    f->stored = (uint32_t)stored;
    lane->stored += stored;
    lane->frame = NULL;
    return 0;
}

/* A new chunk: a frame of its own, or into the group at hand. */
static int store(struct lane *lane, struct chunk *c, const uint8_t *p, struct vmscm_error *err)
{
    size_t group = lane->bound->group;
    int rc = 0;

    lane->fresh += c->len;
    if (lane->frame && lane->frame->plain + c->len > group)
        rc = close_frame(lane, lane->group, err);
    if (!rc && !lane->frame)
        rc = open_frame(lane, err);
    if (rc)
        return rc;
    c->frame = lane->frame;
    c->at = lane->frame->plain;
    lane->frame->plain += c->len;
    if (c->len >= group)
        return close_frame(lane, p, err);
    memcpy(lane->group + c->at, p, c->len);
    return 0;
}

/* As cut() of lib/repo/segment.c. */
static int cut(struct lane *lane, uint64_t offset, size_t have, bool last, size_t *used,
    struct vmscm_error *err)
{
    size_t at = 0;

    while (at < have) {
        const uint8_t *p = lane->window + at;
        size_t left = have - at, blocks = vmscm_cutter_zero_blocks(p, left), len;
        bool zero = blocks > 0, fresh;
        struct vmscm_id id;
        struct chunk *c;
        struct piece *piece;
        int rc;
        if (!zero)
            blocks = vmscm_cutter_next(p, left);
        len = blocks * VMSCM_CUTTER_BLOCK < left ? blocks * VMSCM_CUTTER_BLOCK : left;
        if (!zero && len == left && left < VMSCM_CUTTER_MAX && !last)
            break; /* it might be longer */
        if (!zero) {
            if ((rc = vmscm_hash_compute(lane->hash, &id, p, len, err)) ||
                (rc = look_up(lane->bound, &c, &id, len, &fresh, err)) ||
                (fresh && (rc = store(lane, c, p, err))))
                return rc;
            lane->read += len;
            if (lane->bound->keep) {
                if ((rc = vmscm_vec_add(&lane->pieces->list, &piece, err)))
                    return rc;
                *piece = (struct piece){c, offset + at};
            }
        }
        at += len;
    }
    *used = at;
    return 0;
}

static int scan_extent(struct lane *lane, const struct extent *e, struct vmscm_error *err)
{
    struct image *image = lane->bound->image;
    uint64_t at = e->start;
    size_t have = 0, used = 0;

    while (at < e->end) {
        int rc;
        size_t want = WINDOW - have;
        if (want > e->end - at - have)
            want = (size_t)(e->end - at - have);
        if ((rc = vmscm_file_pread(
                 image->fd, lane->window + have, want, at + have, image->path, err)))
            return rc;
        have += want;
        if ((rc = cut(lane, at, have, at + have == e->end, &used, err)))
            return rc;
        memmove(lane->window, lane->window + used, have - used);
        have -= used;
        at += used;
    }
    return 0;
}

int bound_lane_init(struct lane *lane, struct bound *b, struct vmscm_error *err)
{
    size_t most = b->group > VMSCM_CUTTER_MAX ? b->group : VMSCM_CUTTER_MAX;
    int rc;

    *lane = (struct lane){.bound = b};
    if ((rc = vmscm_hash_new(&lane->hash, err)) ||
        (rc = vmscm_compress_new(&lane->compress, b->level, err)))
        return rc;
    lane->window = vmscm_direct_alloc(WINDOW);
    lane->group = malloc(most);
    lane->packed = malloc(most);
    lane->plain = vmscm_direct_alloc(most > BOUND_WRITE ? most : BOUND_WRITE);
    return lane->window && lane->group && lane->packed && lane->plain ? 0
                                                                      : vmscm_error_nomem(err);
}

void bound_lane_release(struct lane *lane)
{
    struct bound *b = lane->bound;

    atomic_fetch_add(&b->read, lane->read);
    atomic_fetch_add(&b->fresh, lane->fresh);
    atomic_fetch_add(&b->stored, lane->stored);
    vmscm_hash_free(lane->hash);
    vmscm_compress_free(lane->compress);
    free(lane->window);
    free(lane->group);
    free(lane->packed);
    free(lane->plain);
}

/* A thread of a check-in: a segment is all extents of the same number. */
static int check_in(struct vmscm_parallel *p, unsigned index, struct vmscm_error *err)
{
    struct bound *b = p->data;
    struct extent *extents = b->image->extents.items;
    size_t count = b->image->extents.len;
    struct lane lane;
    int rc = bound_lane_init(&lane, b, err);

    lane.pieces = &b->image->lanes[index];
    while (!rc && !atomic_load(&p->stop)) {
        /* The first extent of the next segment; the thread that takes it moves on past it. */
        size_t at = atomic_load(&b->next), end;
        do {
            for (end = at; end < count &&
                 extents[end].start >> VMSCM_LEAF_SEGMENT_LOG2 ==
                     extents[at].start >> VMSCM_LEAF_SEGMENT_LOG2;)
                end++;
        } while (at < count && !atomic_compare_exchange_weak(&b->next, &at, end));
        if (at >= count)
            break;
        for (; at < end && !rc; at++)
            rc = scan_extent(&lane, &extents[at], err);
        if (!rc && lane.frame)
            rc = close_frame(&lane, lane.group, err);
    }
    bound_lane_release(&lane);
    return rc;
}

/* Where the image has data, cut where segments end. */
static int find_extents(struct image *image, struct vmscm_error *err)
{
    off_t at = 0;

    image->extents.len = 0;
    while ((at = lseek(image->fd, at, SEEK_DATA)) >= 0) {
        off_t end = lseek(image->fd, at, SEEK_HOLE);
        if (end < 0)
            break;
        for (uint64_t start = (uint64_t)at, stop; start < (uint64_t)end; start = stop) {
            struct extent *e;
            stop = ((start >> VMSCM_LEAF_SEGMENT_LOG2) + 1) << VMSCM_LEAF_SEGMENT_LOG2;
            if (stop > (uint64_t)end)
                stop = (uint64_t)end;
            if (vmscm_vec_add(&image->extents, &e, err))
                return VMSCM_ENOMEM;
            *e = (struct extent){start, stop};
        }
        at = end;
    }
    if (errno != ENXIO)
        return vmscm_error_errno(err, errno, "%s: looking for data", image->path);
    return 0;
}

void bound_begin(struct bound *b, struct image *image)
{
    b->image = image;
    b->next = 0;
    b->read = b->fresh = b->stored = 0;
    b->start = now();
    b->spent = cpu();
}

void bound_end(struct bound *b, const char *step)
{
    printf("%s %s %.4f %.4f %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", step, b->image->name,
        now() - b->start, cpu() - b->spent, (uint64_t)b->read, (uint64_t)b->fresh,
        (uint64_t)b->stored);
    fflush(stdout);
}

static int step_in(
    struct bound *b, const char *step, struct image *image, struct vmscm_error *err)
{
    int rc;

    bound_begin(b, image);
    if ((rc = find_extents(image, err)) ||
        (rc = vmscm_parallel_run(b->jobs, check_in, b, err)))
        return rc;
    if (!b->keep)
        bound_end(b, step);
    return 0;
}

static int run(struct bound *b, struct image *images, size_t count, const char *dir,
    struct vmscm_error *err)
{
    int rc = 0;

    b->keep = dir != NULL;
    for (size_t i = 0; i < count && !rc; i++) {
        struct image *image = &images[i];
        struct stat st;
        if ((rc = vmscm_file_open(&image->fd, image->path, O_RDONLY, 0, err)))
            return rc;
        if (fstat(image->fd, &st) < 0)
            return vmscm_error_errno(err, errno, "%s", image->path);
        image->size = (uint64_t)st.st_size;
        if (!(image->lanes = calloc(b->jobs, sizeof *image->lanes)))
            return vmscm_error_nomem(err);
        rc = step_in(b, i ? "more" : "new", image, err);
        if (!rc && i == 0 && !dir)
            rc = step_in(b, "same", image, err);
    }
    for (size_t i = 0; i < count && !rc && dir; i++)
        rc = bound_out_step(b, &images[i], dir, err);
    return rc;
}

static void release(struct bound *b, struct image *images, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (unsigned lane = 0; images[i].lanes && lane < b->jobs; lane++)
            vmscm_vec_release(&images[i].lanes[lane].list);
        free(images[i].lanes);
        free(images[i].pieces);
        free(images[i].runs);
        vmscm_vec_release(&images[i].extents);
        if (images[i].fd >= 0)
            vmscm_file_close(&images[i].fd, images[i].path, NULL);
    }
    for (struct frame *f = b->frames, *next; f; f = next) {
        next = f->next;
        free(f->data);
        free(f);
    }
    for (size_t i = 0; i < BOUND_PARTS; i++) {
        for (size_t slot = 0; slot < b->parts[i].room; slot++)
            free(b->parts[i].slots[slot]);
        free(b->parts[i].slots);
        pthread_mutex_destroy(&b->parts[i].lock);
    }
    pthread_mutex_destroy(&b->lock);
    free(images);
}

static int usage(void)
{
    fputs("usage: bound [-g BYTES] [-j THREADS] [-l LEVEL] [-o DIR [-u]] NAME=IMAGE...\n", stderr);
    return 2;
}

static bool number(uint64_t *out, const char *text, uint64_t max)
{
    char *end;

    errno = 0;
    *out = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && !errno && *out <= max;
}

int main(int argc, char **argv)
{
    struct bound b = {.group = VMSCM_INGEST_GROUP,
        .jobs = vmscm_parallel_cores(),
        .level = VMSCM_COMPRESS_LEVEL_DEFAULT};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    const char *dir = NULL;
    uint64_t value;
    int option;

    while ((option = getopt(argc, argv, "g:j:l:o:u")) >= 0) {
        if (option == 'o')
            dir = optarg;
        else if (option == 'u')
            b.remove = true;
        else if (option == 'g' && number(&value, optarg, FRAME_MAX))
            b.group = (size_t)value;
        else if (option == 'j' && number(&value, optarg, VMSCM_PARALLEL_MAX) && value)
            b.jobs = (unsigned)value;
        else if (option == 'l' && number(&value, optarg, VMSCM_COMPRESS_LEVEL_MAX) && value)
            b.level = (int)value;
        else
            return usage();
    }
    if (optind >= argc)
        return usage();
    for (int i = optind; i < argc; i++)
        if (!strchr(argv[i], '='))
            return usage();
    size_t count = (size_t)(argc - optind);
    struct image *images = calloc(count, sizeof *images);
    if (!images)
        return 3;
    for (size_t i = 0; i < count; i++) {
        char *path = strchr(argv[optind + (int)i], '=');
        *path++ = '\0';
        images[i] = (struct image){.name = argv[optind + (int)i], .path = path, .fd = -1};
    }
    pthread_mutex_init(&b.lock, NULL);
    for (size_t i = 0; i < BOUND_PARTS; i++)
        pthread_mutex_init(&b.parts[i].lock, NULL);
    int rc = run(&b, images, count, dir, &err);
    if (rc)
        fprintf(stderr, "bound: %s\n", err.message);
    release(&b, images, count);
    return rc ? vmscm_error_exit_status(rc) : 0;
}
