/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A disk that may be booted from: where there is a boot trace of its revision, what that has is read ahead
 * by a thread of its own, once a connection is made or once reads are seen to follow the trace.
 *
 * Threading: opening and closing are for one thread; all else for any number.
 */
#ifndef BOOTDISK_H
#define BOOTDISK_H

#include <pthread.h>
#include <stdint.h>
#include <vmscm/disk.h>
#include <vmscm/trace.h>

enum bootdisk_use { BOOTDISK_AUTO, BOOTDISK_ALWAYS, BOOTDISK_NEVER };

struct bootdisk {
    struct vmscm_disk *disk;
    enum bootdisk_use use;
    struct vmscm_trace *trace; /* NULL: there is none */
    struct vmscm_trace *seen;  /* with BOOTDISK_AUTO: what was read while it is not known what that is */
    pthread_mutex_t lock;      /* guards all below */
    unsigned count, known;     /* places that were read; of these, that are in the trace */
    int decided;               /* it is known */
    int fetches;               /* the thread was started */
    int ends;                  /* and is to end */
    pthread_t fetcher;
};

/* Disk `id` of a revision, as vmscm_disk_open_cached. One that is zero can be closed. */
int bootdisk_open(struct bootdisk *b, struct vmscm_revision *rev, const char *id,
    struct vmscm_disk_cache *cache, enum bootdisk_use use, struct vmscm_error *err);
/* Waits for what is being fetched. */
void bootdisk_close(struct bootdisk *b);

/* Somebody connects. */
void bootdisk_connect(struct bootdisk *b);
/* Somebody reads. */
void bootdisk_watch(struct bootdisk *b, uint64_t offset, uint64_t len);

#endif
