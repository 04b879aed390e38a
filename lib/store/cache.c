/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/cache.h"
#include "base/path.h"
#include "base/str.h"
#include "store/packwriter.h"
#include "sys/file.h"
#include "sys/lockfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#define DIR_NAME "cache"

struct vmscm_cache {
    char *dir;
    struct vmscm_store *store;
};

static int make_dirs(const char *dir, struct vmscm_error *err)
{
    static const char *const subs[] = {"locks", "tmp", "packs"};
    char *path = NULL;
    int rc = 0;

    for (size_t i = 0; i < sizeof subs / sizeof subs[0] && !rc; i++) {
        if (!(rc = vmscm_path_join(&path, dir, subs[i], err)) && !vmscm_file_exists(path))
            rc = vmscm_file_mkdirs(path, err);
        free(path);
        path = NULL;
    }
    return rc;
}

int vmscm_cache_open(struct vmscm_cache **out, const char *repo_dir, bool make,
    struct vmscm_error *err)
{
    struct vmscm_cache *cache = calloc(1, sizeof *cache);
    char *packs = NULL;
    int rc;

    *out = NULL;
    if (!cache)
        return vmscm_error_nomem(err);
    if ((rc = vmscm_path_join(&cache->dir, repo_dir, DIR_NAME, err)) ||
        (rc = vmscm_path_join(&packs, cache->dir, "packs", err)) ||
        (make && (rc = make_dirs(cache->dir, err))))
        goto out;
    if (!vmscm_file_exists(packs))
        goto out;
    if ((rc = vmscm_store_open(&cache->store, cache->dir, err)))
        goto out;
    *out = cache;
    cache = NULL;
out:
    free(packs);
    vmscm_cache_close(cache);
    return rc;
}

void vmscm_cache_close(struct vmscm_cache *cache)
{
    if (!cache)
        return;
    vmscm_store_close(cache->store);
    free(cache->dir);
    free(cache);
}

struct vmscm_store *vmscm_cache_store(struct vmscm_cache *cache)
{
    return cache->store;
}

const char *vmscm_cache_dir(const struct vmscm_cache *cache)
{
    return cache->dir;
}

void vmscm_cache_release(struct vmscm_cache_holds *hold)
{
    for (size_t i = 0; i < hold->packs.len; i++)
        close(hold->packs.items[i].fd);
    vmscm_vec_release(&hold->packs);
    hold->last = 0;
}

static int path_of(char **path, const struct vmscm_cache *cache,
    const struct vmscm_packfile *pack, struct vmscm_error *err)
{
    char file[VMSCM_PACKFILE_NAME];

    vmscm_packfile_format_name(file, pack->name);
    return vmscm_str_printf(path, err, "%s/packs/%s", cache->dir, file);
}

int vmscm_cache_hold(struct vmscm_cache_holds *hold, bool *there, struct vmscm_cache *cache,
    const struct vmscm_packfile *pack, struct vmscm_error *err)
{
    struct vmscm_cache_held *slot;
    char *path = NULL;
    struct stat st;
    int fd, rc;

    *there = true;
    if (hold->last < hold->packs.len && hold->packs.items[hold->last].pack == pack)
        return 0;
    for (size_t i = 0; i < hold->packs.len; i++)
        if (hold->packs.items[i].pack == pack) {
            hold->last = i;
            return 0;
        }
    if ((rc = path_of(&path, cache, pack, err)))
        return rc;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    /* Who evicts locks it first, then removes it. */
    *there = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) == 0 && fstat(fd, &st) == 0 && st.st_nlink > 0;
    if (*there)
        futimens(fd, NULL);
    if (!*there || hold->packs.len >= VMSCM_CACHE_HOLDS_MAX)
        goto out;
    if ((rc = vmscm_vec_add(&hold->packs, &slot, err)))
        goto out;
    *slot = (struct vmscm_cache_held){pack, fd};
    hold->last = hold->packs.len - 1;
    fd = -1;
out:
    if (fd >= 0)
        close(fd);
    free(path);
    return rc;
}

bool vmscm_cache_drop(struct vmscm_cache *cache, const struct vmscm_packfile *pack)
{
    struct vmscm_error ignored = VMSCM_ERROR_INIT;
    char *path = NULL;
    bool changed, gone;

    gone = !path_of(&path, cache, pack, NULL) && (unlink(path) == 0 || errno == ENOENT);
    free(path);
    return gone && !vmscm_store_reload(cache->store, &changed, &ignored);
}

struct candidate {
    uint8_t name[VMSCM_MIDX_NAME_SIZE];
    uint64_t bytes;
    struct timespec used;
};

struct listing {
    VMSCM_VEC(struct candidate) items;
    uint64_t bytes;
};

static int list(struct listing *l, const char *dir, struct vmscm_error *err)
{
    struct candidate *slot, found;
    struct stat st;
    char *packs = NULL;
    DIR *d = NULL;
    int rc = vmscm_path_join(&packs, dir, "packs", err);

    if (!rc && !(d = opendir(packs)) && errno != ENOENT)
        rc = vmscm_error_errno(err, errno, "%s", packs);
    for (struct dirent *e; d && !rc && (e = readdir(d));) {
        if (!vmscm_packfile_parse_name(found.name, e->d_name) ||
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        found.bytes = (uint64_t)st.st_size;
        found.used = st.st_mtim;
        if (!(rc = vmscm_vec_add(&l->items, &slot, err))) {
            *slot = found;
            l->bytes += found.bytes;
        }
    }
    if (d)
        closedir(d);
    free(packs);
    return rc;
}

static int by_use(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    if (x->used.tv_sec != y->used.tv_sec)
        return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    if (x->used.tv_nsec != y->used.tv_nsec)
        return x->used.tv_nsec < y->used.tv_nsec ? -1 : 1;
    return memcmp(x->name, y->name, sizeof x->name);
}

/* *gone: it was removed. */
static int remove_unheld(bool *gone, const char *dir, const char *file, struct vmscm_error *err)
{
    char *path = NULL;
    int fd, rc = vmscm_str_printf(&path, err, "%s/packs/%s", dir, file);

    *gone = false;
    if (rc)
        return rc;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    *gone = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && unlink(path) == 0;
    if (fd >= 0)
        close(fd);
    free(path);
    return 0;
}

static void remove_damaged(void *data, const char *file, const struct vmscm_error *why)
{
    uint8_t name[VMSCM_MIDX_NAME_SIZE];
    bool gone;

    (void)why;
    if (vmscm_packfile_parse_name(name, file))
        remove_unheld(&gone, data, file, NULL);
}

int vmscm_cache_evict(struct vmscm_cache *cache, uint64_t size, struct vmscm_error *err)
{
    struct listing l = {.bytes = 0};
    char *path = NULL, file[VMSCM_PACKFILE_NAME];
    bool gone, any = false, changed;
    int lock = -1, rc;

    if ((rc = vmscm_path_join(&path, cache->dir, "locks/evict", err)))
        goto out;
    if ((rc = vmscm_lockfile_try(&lock, path, VMSCM_LOCK_EXCLUSIVE, err))) {
        if (rc == VMSCM_EBUSY) {
            vmscm_error_clear(err);
            rc = 0;
        }
        goto out;
    }
    vmscm_store_damage(cache->store, remove_damaged, cache->dir);
    if ((rc = list(&l, cache->dir, err)) || l.bytes <= size)
        goto out;
    /* Also what writers that were killed left. */
    if ((rc = vmscm_packwriter_sweep(cache->dir, err)))
        goto out;
    qsort(l.items.items, l.items.len, sizeof *l.items.items, by_use);
    for (size_t i = 0; i < l.items.len && l.bytes > size && !rc; i++) {
        vmscm_packfile_format_name(file, l.items.items[i].name);
        if (!(rc = remove_unheld(&gone, cache->dir, file, err)) && gone) {
            l.bytes -= l.items.items[i].bytes;
            any = true;
        }
    }
    if (!rc && any)
        rc = vmscm_store_reload(cache->store, &changed, err);
    if (any)
        vmscm_store_close_gone(cache->store);
out:
    vmscm_lockfile_release(&lock);
    vmscm_vec_release(&l.items);
    free(path);
    return rc;
}

int vmscm_cache_measure(const char *repo_dir, uint64_t *packs, uint64_t *bytes,
    struct vmscm_error *err)
{
    struct listing l = {.bytes = 0};
    char *dir = NULL;
    int rc = vmscm_path_join(&dir, repo_dir, DIR_NAME, err);

    if (!rc)
        rc = list(&l, dir, err);
    *packs = l.items.len;
    *bytes = l.bytes;
    vmscm_vec_release(&l.items);
    free(dir);
    return rc;
}
