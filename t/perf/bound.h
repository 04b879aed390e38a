/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the two halves of the bound share: what was cut and compressed, and a thread's own things. */
#ifndef PERF_BOUND_H
#define PERF_BOUND_H

#include "base/vec.h"
#include "codec/compress.h"
#include "codec/hash.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define BOUND_PARTS 256u
#define BOUND_WRITE (1u << 20) /* plain bytes that are decompressed before they are written */

/* What was compressed at once. */
struct frame {
    struct frame *next; /* of all */
    uint8_t *data; /* NULL if nothing is kept */
    uint32_t plain, stored;
    enum vmscm_compress_algorithm algorithm;
};

struct chunk {
    struct vmscm_id id;
    struct frame *frame;
    uint32_t at, len; /* in the frame's plain bytes */
};

/* A chunk at a place of an image. */
struct piece {
    struct chunk *chunk;
    uint64_t offset;
};

struct pieces {
    VMSCM_VEC(struct piece) list;
};

/* Open addressing; the first byte of an id says the part. */
struct part {
    pthread_mutex_t lock;
    struct chunk **slots;
    size_t room, count;
};

/* The pieces of an image that one frame has. */
struct run {
    uint64_t offset; /* of the first in the image */
    size_t start, count;
};

struct extent {
    uint64_t start, end;
};

struct image {
    const char *name, *path;
    int fd;
    uint64_t size;
    VMSCM_VEC(struct extent) extents; /* cut at segments */
    struct pieces *lanes;             /* one a thread */
    struct piece *pieces;             /* of all, by frame */
    size_t piece_count;
    struct run *runs; /* by offset */
    size_t run_count;
};

struct bound {
    size_t group;
    unsigned jobs;
    int level;
    bool remove; /* what was checked out */
    struct part parts[BOUND_PARTS];
    pthread_mutex_t lock;
    struct frame *frames; /* all; guarded by lock */

    /* The step at hand. */
    struct image *image;
    bool keep; /* what was compressed, and the pieces: for a checkout */
    int out, direct; /* the same file, past the page cache; -1: not */
    const char *out_path;
    double start, spent;
    atomic_size_t next;
    atomic_uint_fast64_t read, fresh, stored;
};

struct lane {
    struct bound *bound;
    struct pieces *pieces;
    struct vmscm_hash *hash;
    struct vmscm_compress *compress;
    uint8_t *window, *group, *packed, *plain;
    struct frame *frame; /* being filled */
    uint64_t read, fresh, stored;
};

int bound_lane_init(struct lane *lane, struct bound *b, struct vmscm_error *err);
void bound_lane_release(struct lane *lane);

/* A step starts and ends on the clock; the end prints its line. */
void bound_begin(struct bound *b, struct image *image);
void bound_end(struct bound *b, const char *step);

/* Check an image out to DIR/NAME, from what a check-in kept. */
int bound_out_step(struct bound *b, struct image *image, const char *dir, struct vmscm_error *err);

#endif
