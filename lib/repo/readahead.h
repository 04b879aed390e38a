/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sees which reads of a device follow one another, and says what will be wanted next. Several
 * sequences at once are told apart, and reads of one may come a little out of order, as they do
 * from clients that have many on their way.
 *
 * Threading: any number of threads.
 */
#ifndef REPO_READAHEAD_H
#define REPO_READAHEAD_H

#include <pthread.h>
#include <stdint.h>

#define VMSCM_READAHEAD_STREAMS 16

struct vmscm_readahead_stream {
    uint64_t next;   /* where the reads seen so far end */
    uint64_t asked;  /* up to where it was read ahead */
    uint64_t window; /* bytes, grows as the sequence goes on */
    uint64_t last;   /* use */
    unsigned hits;   /* reads that followed one another */
};

struct vmscm_readahead {
    pthread_mutex_t lock; /* guards all below */
    struct vmscm_readahead_stream streams[VMSCM_READAHEAD_STREAMS];
    uint64_t clock;
    uint64_t max; /* bytes to be ahead at most; 0: never ahead */
};

void vmscm_readahead_init(struct vmscm_readahead *readahead, uint64_t max);
void vmscm_readahead_release(struct vmscm_readahead *readahead);

/* A read of len bytes at offset happens. *from up to *to is worth reading now; nothing if they are
 * equal. Not beyond size. */
void vmscm_readahead_note(uint64_t *from, uint64_t *to, struct vmscm_readahead *readahead,
    uint64_t offset, uint64_t len, uint64_t size);

#endif
