/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bucket/blocks.h"
#include "base/endian.h"
#include "base/path.h"
#include "base/str.h"
#include "base/vec.h"
#include "codec/checksum.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK ((uint64_t)1 << 20)
#define SUM_SIZE 8
#define RUN_MAX 16u /* blocks that are got at once */
#define FOLLOW_MAX 8u /* times that what was known of the bucket may be out of date */
#define STREAMS 16u /* places where somebody reads on that are remembered */

enum state { UNKNOWN, BUSY, GOOD };

struct pack {
    uint8_t name[VMSCM_MIDX_NAME_SIZE];
    uint64_t size;
    uint32_t count;
    bool gone;       /* it is not in the bucket any more */
    uint8_t *states; /* of each block */
};

/* Somebody reads on here. */
struct stream {
    uint8_t name[VMSCM_MIDX_NAME_SIZE];
    uint64_t next;
    uint32_t run;
};

struct vmscm_blocks {
    struct vmscm_s3 *s3;
    char *dir;
    uint64_t limit, written; /* bytes: since it was last seen how many there are */
    pthread_mutex_t lock;    /* guards all that follows, and written */
    pthread_cond_t changed;
    VMSCM_VEC(struct pack *) packs; /* sorted by name */
    struct stream streams[STREAMS];
    unsigned hand;
    pthread_mutex_t following; /* guards what follows */
    int (*follow)(void *data, struct vmscm_error *err);
    void *data;
    unsigned followed;
};

void vmscm_blocks_key(char out[VMSCM_BLOCKS_KEY], const uint8_t name[VMSCM_MIDX_NAME_SIZE])
{
    char hex[2 * VMSCM_MIDX_NAME_SIZE + 1];

    vmscm_str_hex(hex, name, VMSCM_MIDX_NAME_SIZE);
    snprintf(out, VMSCM_BLOCKS_KEY, "packs/%s", hex);
}

struct entry {
    char *path;
    uint64_t size;
    struct timespec used;
};

struct entries {
    VMSCM_VEC(struct entry) list;
    uint64_t total;
};

static int add_entry(struct entries *entries, const char *dir, const char *name, struct vmscm_error *err)
{
    struct entry *slot;
    struct stat st;
    char *path = NULL;
    int rc = vmscm_path_join(&path, dir, name, err);

    if (rc || lstat(path, &st) < 0 || !S_ISREG(st.st_mode)) {
        free(path);
        return rc;
    }
    if (vmscm_vec_add(&entries->list, &slot, err)) {
        free(path);
        return VMSCM_ENOMEM;
    }
    slot->path = path;
    slot->size = (uint64_t)st.st_size;
    slot->used = st.st_mtim;
    entries->total += slot->size;
    return 0;
}

static int by_use(const void *a, const void *b)
{
    const struct timespec *x = &((const struct entry *)a)->used, *y = &((const struct entry *)b)->used;

    if (x->tv_sec != y->tv_sec)
        return x->tv_sec < y->tv_sec ? -1 : 1;
    return x->tv_nsec < y->tv_nsec ? -1 : x->tv_nsec > y->tv_nsec;
}

/* Those that were used longest ago go, until a tenth of the limit is free. */
static int shrink(struct vmscm_blocks *b, struct vmscm_error *err)
{
    struct entries entries = {0};
    DIR *d = opendir(b->dir);
    int rc = 0;

    if (!d)
        return vmscm_error_errno(err, errno, "%s", b->dir);
    for (struct dirent *e; !rc && (e = readdir(d));)
        if (e->d_name[0] != '.')
            rc = add_entry(&entries, b->dir, e->d_name, err);
    closedir(d);
    if (!rc && entries.total > b->limit) {
        qsort(entries.list.items, entries.list.len, sizeof *entries.list.items, by_use);
        for (size_t i = 0; i < entries.list.len && entries.total > b->limit / 10 * 9; i++) {
            unlink(entries.list.items[i].path);
            entries.total -= entries.list.items[i].size;
        }
    }
    for (size_t i = 0; i < entries.list.len; i++)
        free(entries.list.items[i].path);
    vmscm_vec_release(&entries.list);
    return rc;
}

int vmscm_blocks_open(struct vmscm_blocks **out, struct vmscm_s3 *s3, const char *dir,
    uint64_t limit, struct vmscm_error *err)
{
    struct vmscm_blocks *b = calloc(1, sizeof *b);
    int rc;

    if (!b)
        return vmscm_error_nomem(err);
    pthread_mutex_init(&b->lock, NULL);
    pthread_mutex_init(&b->following, NULL);
    pthread_cond_init(&b->changed, NULL);
    b->s3 = s3;
    b->limit = limit;
    if ((rc = vmscm_str_dup(&b->dir, dir, err)) || (rc = vmscm_file_mkdirs(dir, err)) ||
        (rc = shrink(b, err)))
        vmscm_blocks_close(b);
    else
        *out = b;
    return rc;
}

void vmscm_blocks_close(struct vmscm_blocks *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < b->packs.len; i++) {
        free(b->packs.items[i]->states);
        free(b->packs.items[i]);
    }
    vmscm_vec_release(&b->packs);
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->lock);
    pthread_mutex_destroy(&b->following);
    free(b->dir);
    free(b);
}

void vmscm_blocks_follow(struct vmscm_blocks *b, int (*follow)(void *data, struct vmscm_error *err),
    void *data)
{
    b->follow = follow;
    b->data = data;
}

/* A pack is gone. Who collected garbage put elsewhere what is needed of it, which is where whoever missed it
 * here looks next: G12. */
static void miss(struct vmscm_blocks *b, struct pack *pack)
{
    pthread_mutex_lock(&b->following);
    pthread_mutex_lock(&b->lock);
    bool first = !pack->gone;
    pack->gone = true;
    pthread_mutex_unlock(&b->lock);
    if (first && b->follow && b->followed++ < FOLLOW_MAX)
        b->follow(b->data, NULL);
    pthread_mutex_unlock(&b->following);
}

/* The pack of that name, which is remembered from then on. The lock is held. */
static int get_pack(struct pack **out, struct vmscm_blocks *b, const uint8_t *name, uint64_t size,
    struct vmscm_error *err)
{
    size_t low = 0, high = b->packs.len;
    struct pack *pack, **slot;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = memcmp(b->packs.items[mid]->name, name, VMSCM_MIDX_NAME_SIZE);
        if (order == 0) {
            *out = b->packs.items[mid];
            return 0;
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    if (!(pack = calloc(1, sizeof *pack)))
        return vmscm_error_nomem(err);
    memcpy(pack->name, name, sizeof pack->name);
    pack->size = size;
    pack->count = (uint32_t)((size + BLOCK - 1) / BLOCK);
    if (!(pack->states = calloc(pack->count + 1, 1)) || vmscm_vec_add(&b->packs, &slot, err)) {
        free(pack->states);
        free(pack);
        return vmscm_error_nomem(err);
    }
    memmove(&b->packs.items[low + 1], &b->packs.items[low],
        (b->packs.len - 1 - low) * sizeof *b->packs.items);
    *out = b->packs.items[low] = pack;
    return 0;
}

static size_t length_of(const struct pack *pack, uint32_t n)
{
    uint64_t left = pack->size - n * BLOCK;

    return left < BLOCK ? (size_t)left : (size_t)BLOCK;
}

static int path_of(char **out, const struct vmscm_blocks *b, const struct pack *pack, uint32_t n,
    const char *suffix, struct vmscm_error *err)
{
    char hex[2 * VMSCM_MIDX_NAME_SIZE + 1];

    vmscm_str_hex(hex, pack->name, sizeof pack->name);
    return vmscm_str_printf(out, err, "%s/%s-%05x%s", b->dir, hex, (unsigned)n, suffix);
}

/* The whole of a kept block, if it is there and as it was written, into data, which has room for it and its
 * sum. */
static bool load(const struct vmscm_blocks *b, const struct pack *pack, uint32_t n, uint8_t *data)
{
    size_t len = length_of(pack, n);
    char *path = NULL;
    bool good = false;
    int fd = -1;

    if (!path_of(&path, b, pack, n, "", NULL) &&
        !vmscm_file_open(&fd, path, O_RDONLY | O_NOFOLLOW, 0, NULL)) {
        good = !vmscm_file_pread(fd, data, len + SUM_SIZE, 0, path, NULL) &&
            vmscm_checksum_64(data, len, 0) == vmscm_get_le64(data + len);
        if (good)
            utimensat(AT_FDCWD, path, NULL, 0);
        close(fd);
    }
    free(path);
    return good;
}

/* Nothing is lost if it is not kept. */
static void keep(const struct vmscm_blocks *b, const struct pack *pack, uint32_t n, const uint8_t *data)
{
    size_t len = length_of(pack, n);
    char *path = NULL, *tmp = NULL;
    uint8_t sum[SUM_SIZE];
    char suffix[48];
    int fd = -1;

    vmscm_put_le64(sum, vmscm_checksum_64(data, len, 0));
    snprintf(suffix, sizeof suffix, ".%ld.%lx", (long)getpid(), (unsigned long)pthread_self());
    if (path_of(&path, b, pack, n, "", NULL) || path_of(&tmp, b, pack, n, suffix, NULL) ||
        vmscm_file_open(&fd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600, NULL))
        goto out;
    if (vmscm_file_write(fd, data, len, tmp, NULL) || vmscm_file_write(fd, sum, sizeof sum, tmp, NULL) ||
        rename(tmp, path) < 0)
        unlink(tmp);
    close(fd);
out:
    free(path);
    free(tmp);
}

/* How many blocks to get from n on, which is the first that is wanted, and last that is needed. The lock is
 * held. */
static uint32_t choose_run(struct vmscm_blocks *b, const struct pack *pack, uint32_t n, uint32_t last)
{
    struct stream *stream = NULL;
    uint32_t run, count = 1;

    for (size_t i = 0; i < STREAMS && !stream; i++)
        if (b->streams[i].run && b->streams[i].next == n &&
            memcmp(b->streams[i].name, pack->name, sizeof pack->name) == 0)
            stream = &b->streams[i];
    if (stream) {
        run = stream->run < RUN_MAX / 2 ? 2 * stream->run : RUN_MAX;
    } else {
        stream = &b->streams[b->hand++ % STREAMS];
        memcpy(stream->name, pack->name, sizeof pack->name);
        run = 1;
    }
    stream->run = run;
    if (run < last - n + 1)
        run = last - n + 1;
    while (count < run && count < RUN_MAX && n + count < pack->count &&
        pack->states[n + count] == UNKNOWN)
        count++;
    stream->next = n + count;
    return count;
}

static void set_states(struct vmscm_blocks *b, struct pack *pack, uint32_t n, uint32_t count,
    enum state state)
{
    pthread_mutex_lock(&b->lock);
    memset(pack->states + n, state, count);
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

/* Get `count` blocks, which are marked busy, into data and keep them. */
static int get_run(struct vmscm_blocks *b, struct pack *pack, uint32_t n, uint32_t count, uint8_t *data,
    struct vmscm_error *err)
{
    uint64_t start = n * BLOCK, end = (n + (uint64_t)count) * BLOCK;
    char key[VMSCM_BLOCKS_KEY];
    int rc;

    if (end > pack->size)
        end = pack->size;
    vmscm_blocks_key(key, pack->name);
    if ((rc = vmscm_s3_get_range(b->s3, key, data, (size_t)(end - start), start, err)))
        return rc;
    for (uint32_t i = 0; i < count; i++)
        keep(b, pack, n + i, data + i * BLOCK);
    pthread_mutex_lock(&b->lock);
    b->written += end - start;
    bool much = b->written > b->limit / 16;
    if (much)
        b->written = 0;
    pthread_mutex_unlock(&b->lock);
    if (much)
        shrink(b, NULL);
    return 0;
}

/* A block of which this thread has the turn, and maybe more after it: into *data, the caller's, beginning
 * with block n. *count: how many. */
static int bring(struct vmscm_blocks *b, struct pack *pack, uint32_t n, uint32_t last, uint8_t **data,
    uint32_t *count, struct vmscm_error *err)
{
    int rc;

    *count = 1;
    if (!(*data = malloc(BLOCK + SUM_SIZE))) {
        rc = vmscm_error_nomem(err);
        goto out;
    }
    if (load(b, pack, n, *data)) {
        set_states(b, pack, n, 1, GOOD);
        return 0;
    }
    free(*data);
    pthread_mutex_lock(&b->lock);
    *count = choose_run(b, pack, n, last);
    memset(pack->states + n, BUSY, *count);
    pthread_mutex_unlock(&b->lock);
    rc = (*data = malloc(*count * BLOCK)) ? get_run(b, pack, n, *count, *data, err)
                                          : vmscm_error_nomem(err);
out:
    set_states(b, pack, n, *count, rc ? UNKNOWN : GOOD);
    if (rc) {
        free(*data);
        *data = NULL;
    }
    return rc;
}

/* Bytes of a block that was good a moment ago. */
static bool read_kept(const struct vmscm_blocks *b, const struct pack *pack, uint32_t n, void *out,
    size_t len, uint64_t offset)
{
    char *path = NULL;
    bool done = false;
    int fd = -1;

    if (!path_of(&path, b, pack, n, "", NULL) &&
        !vmscm_file_open(&fd, path, O_RDONLY | O_NOFOLLOW, 0, NULL)) {
        done = !vmscm_file_pread(fd, out, len, offset, path, NULL);
        close(fd);
    }
    free(path);
    return done;
}

/* Wait for this thread's turn at a block. *good: it is there already. */
static int enter(struct vmscm_blocks *b, struct pack **pack, const uint8_t *name, uint64_t size,
    uint32_t n, bool *good, struct vmscm_error *err)
{
    int rc;

    pthread_mutex_lock(&b->lock);
    if (!(rc = get_pack(pack, b, name, size, err)) && (*pack)->size != size)
        rc = vmscm_error_set(err, VMSCM_EDAMAGED, "a pack has two sizes");
    else if (!rc && (*pack)->gone)
        rc = vmscm_error_set(err, VMSCM_ENOTFOUND, "%s: a pack is gone", vmscm_s3_identity(b->s3));
    while (!rc && (*pack)->states[n] == BUSY)
        pthread_cond_wait(&b->changed, &b->lock);
    *good = !rc && (*pack)->states[n] == GOOD;
    if (!rc && !*good)
        (*pack)->states[n] = BUSY;
    pthread_mutex_unlock(&b->lock);
    return rc;
}

int vmscm_blocks_read(void *blocks, const uint8_t name[VMSCM_MIDX_NAME_SIZE], uint64_t size,
    void *out, size_t len, uint64_t offset, struct vmscm_error *err)
{
    struct vmscm_blocks *b = blocks;
    uint8_t *at = out;
    int rc = 0;

    if (offset > size || len > size - offset)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "beyond the end of a pack");
    while (len && !rc) {
        uint32_t n = (uint32_t)(offset / BLOCK), last = (uint32_t)((offset + len - 1) / BLOCK), count;
        size_t from = (size_t)(offset % BLOCK), take = len;
        struct pack *pack = NULL;
        uint8_t *data = NULL;
        bool good;
        if ((rc = enter(b, &pack, name, size, n, &good, err)))
            break;
        if (good) {
            if (take > BLOCK - from)
                take = (size_t)BLOCK - from;
            if (!read_kept(b, pack, n, at, take, from)) {
                /* It was let go of, or never could be kept. */
                set_states(b, pack, n, 1, UNKNOWN);
                continue;
            }
        } else if (!(rc = bring(b, pack, n, last, &data, &count, err))) {
            if (take > count * BLOCK - from)
                take = (size_t)(count * BLOCK - from);
            memcpy(at, data + from, take);
        } else if (rc == VMSCM_ENOTFOUND) {
            miss(b, pack);
        }
        free(data);
        at += take;
        offset += take;
        len -= take;
    }
    return rc;
}
