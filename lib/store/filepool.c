/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/filepool.h"
#include "sys/direct.h"
#include "sys/file.h"

#include <fcntl.h>
#include <unistd.h>

#define OPEN_MAX_FILES 128

void vmscm_filepool_init(struct vmscm_filepool *pool)
{
    pthread_mutex_init(&pool->lock, NULL);
}

void vmscm_filepool_release(struct vmscm_filepool *pool)
{
    vmscm_vec_release(&pool->open);
    pthread_mutex_destroy(&pool->lock);
}

static void close_at(struct vmscm_filepool *pool, size_t i)
{
    close(pool->open.items[i]->fd);
    pool->open.items[i]->fd = -1;
    pool->open.items[i] = pool->open.items[--pool->open.len];
}

/* Close a file nobody uses, so that another may be opened. */
static void close_one(struct vmscm_filepool *pool)
{
    for (size_t n = 0; n < pool->open.len; n++) {
        size_t i = pool->hand++ % pool->open.len;
        if (pool->open.items[i]->users)
            continue;
        close_at(pool, i);
        return;
    }
}

static int get(struct vmscm_filepool *pool, struct vmscm_packfile *pack, struct vmscm_error *err)
{
    struct vmscm_packfile **slot;
    int rc;

    if (pack->fd < 0) {
        if (pool->open.len >= OPEN_MAX_FILES)
            close_one(pool);
        if (vmscm_vec_add(&pool->open, &slot, err))
            return VMSCM_ENOMEM;
        if ((rc = vmscm_file_open(&pack->fd, pack->path, O_RDONLY | O_NOFOLLOW, 0, err))) {
            pool->open.len--;
            return rc;
        }
        *slot = pack;
    }
    pack->users++;
    return 0;
}

static int borrow(int *fd, struct vmscm_filepool *pool, struct vmscm_packfile *pack,
    struct vmscm_error *err)
{
    pthread_mutex_lock(&pool->lock);
    int rc = get(pool, pack, err);
    *fd = pack->fd;
    pthread_mutex_unlock(&pool->lock);
    return rc;
}

static void give_back(struct vmscm_filepool *pool, struct vmscm_packfile *pack)
{
    pthread_mutex_lock(&pool->lock);
    pack->users--;
    pthread_mutex_unlock(&pool->lock);
}

int vmscm_filepool_pread(struct vmscm_filepool *pool, struct vmscm_packfile *pack, void *data,
    size_t len, uint64_t offset, struct vmscm_error *err)
{
    int fd, rc = borrow(&fd, pool, pack, err);

    if (rc)
        return rc;
    rc = vmscm_file_pread(fd, data, len, offset, pack->path, err);
    give_back(pool, pack);
    return rc;
}

int vmscm_filepool_pread_once(struct vmscm_filepool *pool, struct vmscm_packfile *pack,
    const uint8_t **data, uint8_t *memory, size_t len, uint64_t offset, struct vmscm_error *err)
{
    int fd, rc = borrow(&fd, pool, pack, err);

    if (rc)
        return rc;
    rc = vmscm_direct_pread_once(fd, data, memory, len, offset, pack->path, err);
    give_back(pool, pack);
    return rc;
}

void vmscm_filepool_close_gone(struct vmscm_filepool *pool)
{
    pthread_mutex_lock(&pool->lock);
    for (size_t i = pool->open.len; i--;)
        if (pool->open.items[i]->gone && !pool->open.items[i]->users)
            close_at(pool, i);
    pthread_mutex_unlock(&pool->lock);
}
