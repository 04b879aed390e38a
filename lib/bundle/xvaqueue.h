/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The blocks of a packed XVA's disks, which can be had only one after the other, for threads that read the
 * disks side by side: each a segment of its own, in which it begins at the start and reads each byte once,
 * and which were handed out in order. Who comes first has the blocks unpacked up to the end of that segment,
 * and those before it kept for who is to come. So a segment for each thread is in memory, and no thread waits
 * for another but while that unpacks. Who reads in another way is served too, from the beginning again.
 * Thread-safe. Internal to lib/bundle.
 */
#ifndef BUNDLE_XVAQUEUE_H
#define BUNDLE_XVAQUEUE_H

#include "bundle/packed.h"

struct vmscm_xvaqueue;

/* Takes packed over, whatever is returned. jobs: threads. */
int vmscm_xvaqueue_new(struct vmscm_xvaqueue **out, struct vmscm_packed *packed, unsigned jobs,
    struct vmscm_error *err);
struct vmscm_xvaqueue *vmscm_xvaqueue_ref(struct vmscm_xvaqueue *queue);
void vmscm_xvaqueue_unref(struct vmscm_xvaqueue *queue); /* NULL is fine */

/* The packed file, for one thread, before the first read. */
struct vmscm_packed *vmscm_xvaqueue_packed(struct vmscm_xvaqueue *queue);

/* The next block in the archive, of a disk's, which are numbered as they will be read; *number. */
int vmscm_xvaqueue_add(struct vmscm_xvaqueue *queue, uint32_t *number, uint32_t disk, uint32_t length,
    struct vmscm_error *err);

/* What unpacks a block that is due: all of it into `to`, held against its digest. */
typedef int (*vmscm_xvaqueue_load)(void *data, struct vmscm_packed *packed, uint8_t *to, uint32_t number,
    struct vmscm_error *err);
/* Of the disk; data is borrowed. Before the first read. */
int vmscm_xvaqueue_loader(struct vmscm_xvaqueue *queue, uint32_t disk, vmscm_xvaqueue_load load, void *data,
    struct vmscm_error *err);

/* Part of a block. last: of the same disk's, the last that this thread will read soon. */
int vmscm_xvaqueue_read(struct vmscm_xvaqueue *queue, void *out, size_t len, uint32_t number, uint32_t from,
    uint32_t last, struct vmscm_error *err);

#endif
