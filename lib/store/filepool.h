/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading packs through a bounded number of open files. Any number of threads. */
#ifndef STORE_FILEPOOL_H
#define STORE_FILEPOOL_H

#include "base/vec.h"
#include "store/packfile.h"
#include <pthread.h>

struct vmscm_filepool {
    pthread_mutex_t lock; /* guards fd and users of every pack, too */
    VMSCM_VEC(struct vmscm_packfile *) open;
    size_t hand; /* where the next look for a file to close starts */
};

void vmscm_filepool_init(struct vmscm_filepool *pool);
void vmscm_filepool_release(struct vmscm_filepool *pool); /* the files are their packs' to close */

/* Bytes of a pack that was mapped at least once. */
int vmscm_filepool_pread(struct vmscm_filepool *pool, struct vmscm_packfile *pack, void *data,
    size_t len, uint64_t offset, struct vmscm_error *err);

/* Close those of packs that are gone: their space is not free before. */
void vmscm_filepool_close_gone(struct vmscm_filepool *pool);

/* The same as vmscm_direct_pread_once. */
int vmscm_filepool_pread_once(struct vmscm_filepool *pool, struct vmscm_packfile *pack,
    const uint8_t **data, uint8_t *memory, size_t len, uint64_t offset, struct vmscm_error *err);

#endif
