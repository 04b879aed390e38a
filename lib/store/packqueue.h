/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A queue of encoded records on their way into packs: one thread writes them, in the order they came,
 * and another finishes a pack that is full while the next is written. At most one is being
 * finished, so what is not durable yet is bounded.
 *
 * Where packs end depends on the records only. The first goes through the page cache: a small
 * check-in is likely to be read soon. Those after it go past the cache, where the system can.
 *
 * Threading: put, wait and spare from any thread; open, close and abort for one.
 */
#ifndef STORE_PACKQUEUE_H
#define STORE_PACKQUEUE_H

#include "base/buf.h"
#include "store/lease.h"
#include "store/packwriter.h"

#define VMSCM_PACKQUEUE_PACK (256u << 20)    /* a pack is full at about this size */
#define VMSCM_PACKQUEUE_ENTRIES (128u << 10) /* or with this many chunks and leaves */

struct vmscm_packqueue;

/* A record, with what it owns. */
struct vmscm_packqueue_item {
    struct vmscm_packqueue_item *next; /* of the list it is in */
    enum vmscm_pack_type type;
    bool has_base;
    bool last;              /* the queue's: of its pack */
    struct vmscm_buf bytes; /* ends with the record */
    size_t at;              /* where in bytes it begins */
    size_t part_count;
    struct vmscm_packwriter_part parts[];
};

void vmscm_packqueue_item_free(struct vmscm_packqueue_item *item); /* NULL is fine */
size_t vmscm_packqueue_item_size(const struct vmscm_packqueue_item *item); /* what memory it takes */

/* lease: gets the packs' names before they are seen; it is the queue's until that is closed. Or NULL.
 * added(data, file, bytes, pack): pack number `pack` (from 0) is durable and visible, as `file` of so
 * many bytes. Called pack by pack, from the queue's own threads, or from close; what it returns, if
 * not 0, stops the queue. */
int vmscm_packqueue_open(struct vmscm_packqueue **out, const char *repo_dir,
    struct vmscm_lease *lease,
    int (*added)(void *data, const char *file, uint64_t bytes, unsigned pack,
        struct vmscm_error *err),
    void *data, struct vmscm_error *err);

/* The number of the pack that the next item goes into. */
unsigned vmscm_packqueue_pack(struct vmscm_packqueue *queue);

/* Takes the item in any case. Does not wait; fails with what failed before. */
int vmscm_packqueue_put(struct vmscm_packqueue *queue, struct vmscm_packqueue_item *item,
    struct vmscm_error *err);

/* For whoever put something: until little enough is queued. */
int vmscm_packqueue_wait(struct vmscm_packqueue *queue, struct vmscm_error *err);

/* A buffer that a record written came in, empty, in place of one that has no storage. */
void vmscm_packqueue_spare(struct vmscm_packqueue *queue, struct vmscm_buf *buf);

/* Write all and finish the last pack; or throw away what is not finished. Both close; NULL is fine
 * for abort. */
int vmscm_packqueue_close(struct vmscm_packqueue *queue, struct vmscm_error *err);
void vmscm_packqueue_abort(struct vmscm_packqueue *queue);

#endif
