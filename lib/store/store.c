/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/store.h"
#include "base/path.h"
#include "base/str.h"
#include "base/vec.h"
#include "sys/file.h"
#include "sys/lockfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define OPEN_FILES_MAX 128
#define REINDEX_PACKS 8 /* packs without a multi-pack index that make writing one worth while */

struct damage {
    char *file;
    struct vmscm_error why;
};

struct vmscm_store {
    char *repo_dir;
    char *packs_dir;
    /* Guards the lists; the packs themselves live until the store is closed. */
    pthread_rwlock_t lock;
    VMSCM_VEC(struct vmscm_packfile *) packs; /* sorted by name */
    VMSCM_VEC(struct vmscm_packfile *) gone;  /* no longer in the directory */
    VMSCM_VEC(struct vmscm_midxfile *) midxs;
    VMSCM_VEC(struct damage) damage;
    pthread_mutex_t files_lock; /* guards fd and users of every pack */
    unsigned files_open;
    size_t files_hand; /* where the next look for a file to close starts */
};

static int compare_packs(const void *a, const void *b)
{
    return memcmp((*(struct vmscm_packfile *const *)a)->name,
        (*(struct vmscm_packfile *const *)b)->name, VMSCM_MIDX_NAME_SIZE);
}

static struct vmscm_packfile *find_pack(void *data, const uint8_t *name)
{
    struct vmscm_store *store = data;
    struct vmscm_packfile key, *p = &key, **found;

    if (!store->packs.len)
        return NULL;
    memcpy(key.name, name, VMSCM_MIDX_NAME_SIZE);
    found = bsearch(&p, store->packs.items, store->packs.len, sizeof p, compare_packs);
    return found ? *found : NULL;
}

static int add_damage(struct vmscm_store *store, const char *file, const struct vmscm_error *why,
    struct vmscm_error *err)
{
    struct damage *slot;

    if (vmscm_vec_add(&store->damage, &slot, err))
        return VMSCM_ENOMEM;
    slot->why = *why;
    return vmscm_str_dup(&slot->file, file, err);
}

static void clear_damage(struct vmscm_store *store)
{
    for (size_t i = 0; i < store->damage.len; i++)
        free(store->damage.items[i].file);
    store->damage.len = 0;
}

static void clear_midxs(struct vmscm_store *store)
{
    for (size_t i = 0; i < store->midxs.len; i++)
        vmscm_midxfile_close(store->midxs.items[i]);
    store->midxs.len = 0;
}

/* Names of the directory's files; the caller frees them. */
struct listing {
    VMSCM_VEC(char *) names;
};

static void listing_release(struct listing *list)
{
    for (size_t i = 0; i < list->names.len; i++)
        free(list->names.items[i]);
    vmscm_vec_release(&list->names);
}

static int list_dir(struct listing *list, const char *dir, struct vmscm_error *err)
{
    DIR *d = opendir(dir);
    int rc = 0;

    if (!d)
        return vmscm_error_errno(err, errno, "%s", dir);
    for (struct dirent *e; !rc && (errno = 0, e = readdir(d));) {
        char **slot;
        if (e->d_name[0] == '.')
            continue;
        rc = vmscm_vec_add(&list->names, &slot, err) ? VMSCM_ENOMEM
                                                     : vmscm_str_dup(slot, e->d_name, err);
    }
    if (!rc && errno)
        rc = vmscm_error_errno(err, errno, "%s", dir);
    closedir(d);
    return rc;
}

/* Packs first, so that the multi-pack indexes find theirs. Called with the lock held for writing. */
static int load(struct vmscm_store *store, bool *changed, struct vmscm_error *err)
{
    struct listing list = {0};
    size_t known = store->packs.len, kept = 0;
    int rc = list_dir(&list, store->packs_dir, err);

    if (rc)
        goto out;
    clear_damage(store);
    for (size_t i = 0; i < known; i++)
        store->packs.items[i]->covered = true; /* stands for "not seen" until the list is walked */
    for (size_t i = 0; i < list.names.len; i++) {
        const char *file = list.names.items[i];
        struct vmscm_packfile *pack = NULL, **slot;
        struct vmscm_error why = VMSCM_ERROR_INIT;
        uint8_t name[VMSCM_MIDX_NAME_SIZE];
        if (!vmscm_packfile_parse_name(name, file))
            continue;
        struct vmscm_packfile key, *k = &key, **found = NULL;
        memcpy(key.name, name, sizeof name);
        if (known)
            found = bsearch(&k, store->packs.items, known, sizeof k, compare_packs);
        if (found) {
            (*found)->covered = false;
            continue;
        }
        if (vmscm_packfile_open(&pack, store->packs_dir, file, &why)) {
            /* Gone since the directory was read is not damage. */
            if (why.code != VMSCM_ENOTFOUND && (rc = add_damage(store, file, &why, err)))
                goto out;
            continue;
        }
        if (vmscm_vec_add(&store->packs, &slot, err)) {
            vmscm_packfile_close(pack);
            rc = VMSCM_ENOMEM;
            goto out;
        }
        *slot = pack;
        *changed = true;
    }
    for (size_t i = 0; i < store->packs.len; i++) {
        struct vmscm_packfile *pack = store->packs.items[i], **slot;
        if (i < known && pack->covered) {
            *changed = true;
            if (vmscm_vec_add(&store->gone, &slot, err))
                rc = VMSCM_ENOMEM;
            else
                *slot = pack;
        } else {
            store->packs.items[kept++] = pack;
        }
    }
    store->packs.len = kept;
    if (rc)
        goto out;
    if (kept)
        qsort(store->packs.items, kept, sizeof *store->packs.items, compare_packs);
    clear_midxs(store);
    for (size_t i = 0; i < list.names.len && !rc; i++) {
        struct vmscm_midxfile *midx = NULL, **slot;
        struct vmscm_error why = VMSCM_ERROR_INIT;
        if (!vmscm_midxfile_is_name(list.names.items[i]))
            continue;
        if (vmscm_midxfile_open(
                &midx, store->packs_dir, list.names.items[i], find_pack, store, &why)) {
            if (why.code != VMSCM_ENOTFOUND)
                rc = add_damage(store, list.names.items[i], &why, err);
            continue;
        }
        if (vmscm_vec_add(&store->midxs, &slot, err)) {
            vmscm_midxfile_close(midx);
            rc = VMSCM_ENOMEM;
        } else {
            *slot = midx;
        }
    }
out:
    listing_release(&list);
    return rc;
}

int vmscm_store_open(struct vmscm_store **out, const char *repo_dir, struct vmscm_error *err)
{
    struct vmscm_store *store = calloc(1, sizeof *store);
    bool changed = false;
    int rc;

    if (!store)
        return vmscm_error_nomem(err);
    pthread_rwlock_init(&store->lock, NULL);
    pthread_mutex_init(&store->files_lock, NULL);
    if ((rc = vmscm_str_dup(&store->repo_dir, repo_dir, err)) ||
        (rc = vmscm_path_join(&store->packs_dir, repo_dir, "packs", err)) ||
        (rc = load(store, &changed, err))) {
        vmscm_store_close(store);
        return rc;
    }
    *out = store;
    return 0;
}

void vmscm_store_close(struct vmscm_store *store)
{
    if (!store)
        return;
    clear_midxs(store);
    clear_damage(store);
    for (size_t i = 0; i < store->packs.len; i++)
        vmscm_packfile_close(store->packs.items[i]);
    for (size_t i = 0; i < store->gone.len; i++)
        vmscm_packfile_close(store->gone.items[i]);
    vmscm_vec_release(&store->packs);
    vmscm_vec_release(&store->gone);
    vmscm_vec_release(&store->midxs);
    vmscm_vec_release(&store->damage);
    pthread_rwlock_destroy(&store->lock);
    pthread_mutex_destroy(&store->files_lock);
    free(store->packs_dir);
    free(store->repo_dir);
    free(store);
}

void vmscm_store_damage(struct vmscm_store *store,
    void (*each)(void *data, const char *file, const struct vmscm_error *why), void *data)
{
    for (size_t i = 0; i < store->damage.len; i++)
        each(data, store->damage.items[i].file, &store->damage.items[i].why);
}

int vmscm_store_reload(struct vmscm_store *store, bool *changed, struct vmscm_error *err)
{
    *changed = false;
    pthread_rwlock_wrlock(&store->lock);
    int rc = load(store, changed, err);
    pthread_rwlock_unlock(&store->lock);
    return rc;
}

int vmscm_store_add(struct vmscm_store *store, const char *file, struct vmscm_error *err)
{
    struct vmscm_packfile *pack = NULL, **slot;
    int rc = vmscm_packfile_open(&pack, store->packs_dir, file, err);

    if (rc)
        return rc;
    pack->used = true;
    pthread_rwlock_wrlock(&store->lock);
    if (vmscm_vec_add(&store->packs, &slot, err)) {
        vmscm_packfile_close(pack);
        rc = VMSCM_ENOMEM;
    } else {
        *slot = pack;
        qsort(store->packs.items, store->packs.len, sizeof *store->packs.items, compare_packs);
    }
    pthread_rwlock_unlock(&store->lock);
    return rc;
}

/*
 * The nth place where a record is said to be: multi-pack indexes first, then packs without one, and
 * then, when all of those failed the reader, every pack's own index. Called with the lock held.
 */
static struct vmscm_packfile *locate(struct vmscm_store *store, struct vmscm_pack_entry *entry,
    const struct vmscm_id *id, size_t nth)
{
    for (size_t i = 0; i < store->midxs.len; i++) {
        const struct vmscm_midxfile *midx = store->midxs.items[i];
        if (vmscm_midxfile_find(midx, entry, id) && midx->packs[entry->pack] && nth-- == 0)
            return midx->packs[entry->pack];
    }
    for (int covered = 0; covered < 2; covered++)
        for (size_t i = 0; i < store->packs.len; i++) {
            struct vmscm_packfile *pack = store->packs.items[i];
            if (pack->covered == covered && vmscm_packfile_find(pack, entry, id) && nth-- == 0)
                return pack;
        }
    return NULL;
}

/* As the first place, without the slow search of packs that an index covers. */
static struct vmscm_packfile *locate_quick(struct vmscm_store *store,
    struct vmscm_pack_entry *entry, const struct vmscm_id *id)
{
    for (size_t i = 0; i < store->midxs.len; i++) {
        const struct vmscm_midxfile *midx = store->midxs.items[i];
        if (vmscm_midxfile_find(midx, entry, id) && midx->packs[entry->pack])
            return midx->packs[entry->pack];
    }
    for (size_t i = 0; i < store->packs.len; i++) {
        struct vmscm_packfile *pack = store->packs.items[i];
        if (!pack->covered && vmscm_packfile_find(pack, entry, id))
            return pack;
    }
    return NULL;
}

struct vmscm_packfile *vmscm_store_locate(struct vmscm_store *store,
    struct vmscm_pack_entry *entry, const struct vmscm_id *id, size_t nth)
{
    pthread_rwlock_rdlock(&store->lock);
    struct vmscm_packfile *pack = locate(store, entry, id, nth);
    pthread_rwlock_unlock(&store->lock);
    return pack;
}

bool vmscm_store_find(struct vmscm_store *store, struct vmscm_pack_entry *entry,
    const struct vmscm_id *id)
{
    pthread_rwlock_rdlock(&store->lock);
    struct vmscm_packfile *pack = locate_quick(store, entry, id);
    if (pack && !atomic_load_explicit(&pack->used, memory_order_relaxed))
        atomic_store(&pack->used, true);
    pthread_rwlock_unlock(&store->lock);
    return pack != NULL;
}

int vmscm_store_confirm(struct vmscm_store *store, struct vmscm_error *err)
{
    bool changed = false;
    int rc;

    pthread_rwlock_wrlock(&store->lock);
    rc = load(store, &changed, err);
    for (size_t i = 0; i < store->gone.len && !rc; i++)
        if (store->gone.items[i]->used)
            rc = vmscm_error_set(err, VMSCM_EBUSY,
                "%s: removed while it was relied on", store->gone.items[i]->path);
    /* Told once: the caller looks anew, and then relies on what is there. */
    for (size_t i = 0; i < store->gone.len && rc == VMSCM_EBUSY; i++)
        store->gone.items[i]->used = false;
    pthread_rwlock_unlock(&store->lock);
    return rc ? rc : vmscm_file_sync_dir(store->packs_dir, err);
}

/* The packs a new index should cover: those without one, and, smallest first, those of every index
 * that has no more than twice the entries taken in so far; take[] tells which. False if it is not
 * worth while. */
static bool choose(struct vmscm_store *store, struct vmscm_packfile **chosen, size_t *count,
    bool *take)
{
    uint64_t entries = 0;

    *count = 0;
    for (size_t i = 0; i < store->packs.len; i++)
        if (!store->packs.items[i]->covered) {
            chosen[(*count)++] = store->packs.items[i];
            entries += store->packs.items[i]->trailer.entry_count;
        }
    if (*count < REINDEX_PACKS)
        return false;
    for (;;) {
        size_t best = SIZE_MAX;
        for (size_t i = 0; i < store->midxs.len; i++)
            if (!take[i] && store->midxs.items[i]->header.entry_count <= 2 * entries &&
                (best == SIZE_MAX ||
                    store->midxs.items[i]->header.entry_count <
                        store->midxs.items[best]->header.entry_count))
                best = i;
        if (best == SIZE_MAX)
            return true;
        take[best] = true;
        entries += store->midxs.items[best]->header.entry_count;
        for (uint32_t p = 0; p < store->midxs.items[best]->header.pack_count; p++)
            if (store->midxs.items[best]->packs[p])
                chosen[(*count)++] = store->midxs.items[best]->packs[p];
    }
}

/* Indexes that a writer who died did not finish: whoever holds the lock is the only writer. */
static int remove_half_written(struct vmscm_store *store, struct vmscm_error *err)
{
    struct listing list = {0};
    int rc = list_dir(&list, store->packs_dir, err);

    for (size_t i = 0; i < list.names.len && !rc; i++) {
        char *path = NULL;
        if (!vmscm_midxfile_is_unfinished(list.names.items[i]))
            continue;
        if (!(rc = vmscm_path_join(&path, store->packs_dir, list.names.items[i], err)))
            unlink(path);
        free(path);
    }
    listing_release(&list);
    return rc;
}

int vmscm_store_reindex(struct vmscm_store *store, struct vmscm_error *err)
{
    struct vmscm_packfile **chosen = NULL;
    char *lock_path = NULL;
    bool *take = NULL, changed = false;
    size_t count = 0, room;
    int lock = -1, rc;

    if ((rc = vmscm_str_printf(&lock_path, err, "%s/locks/midx", store->repo_dir)))
        return rc;
    rc = vmscm_lockfile_try(&lock, lock_path, VMSCM_LOCK_EXCLUSIVE, err);
    free(lock_path);
    if (rc == VMSCM_EBUSY) {
        vmscm_error_clear(err);
        return 0;
    }
    if (rc)
        return rc;
    pthread_rwlock_wrlock(&store->lock);
    if ((rc = remove_half_written(store, err)) || (rc = load(store, &changed, err)))
        goto out;
    room = store->packs.len;
    for (size_t i = 0; i < store->midxs.len; i++)
        room += store->midxs.items[i]->header.pack_count;
    chosen = calloc(room + 1, sizeof *chosen);
    take = calloc(store->midxs.len + 1, sizeof *take);
    if (!chosen || !take) {
        rc = vmscm_error_nomem(err);
        goto out;
    }
    if (!choose(store, chosen, &count, take))
        goto out;
    /* Two indexes may list one pack. */
    qsort(chosen, count, sizeof *chosen, compare_packs);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (!kept || chosen[kept - 1] != chosen[i])
            chosen[kept++] = chosen[i];
    if ((rc = vmscm_midxfile_write(store->packs_dir, chosen, kept, err)))
        goto out;
    for (size_t i = 0; i < store->midxs.len; i++)
        if (take[i])
            unlink(store->midxs.items[i]->path);
    rc = load(store, &changed, err);
out:
    pthread_rwlock_unlock(&store->lock);
    free(chosen);
    free(take);
    vmscm_lockfile_release(&lock);
    return rc;
}

/* Close a file nobody uses, so that another may be opened. Called with files_lock held, which comes
 * before `lock`: who looks at the directory again moves the list. */
static void close_one(struct vmscm_store *store)
{
    pthread_rwlock_rdlock(&store->lock);
    for (size_t i = 0; i < store->packs.len; i++) {
        struct vmscm_packfile *pack = store->packs.items[store->files_hand++ % store->packs.len];
        if (pack->fd >= 0 && !pack->users) {
            close(pack->fd);
            pack->fd = -1;
            store->files_open--;
            break;
        }
    }
    pthread_rwlock_unlock(&store->lock);
}

int vmscm_store_pread(struct vmscm_store *store, struct vmscm_packfile *pack, void *data,
    size_t len, uint64_t offset, struct vmscm_error *err)
{
    int rc = 0, fd;

    pthread_mutex_lock(&store->files_lock);
    if (pack->fd < 0) {
        if (store->files_open >= OPEN_FILES_MAX)
            close_one(store);
        if (!(rc = vmscm_file_open(&pack->fd, pack->path, O_RDONLY | O_NOFOLLOW, 0, err)))
            store->files_open++;
    }
    fd = pack->fd;
    pack->users += !rc;
    pthread_mutex_unlock(&store->files_lock);
    if (rc)
        return rc;
    rc = vmscm_file_pread(fd, data, len, offset, pack->path, err);
    pthread_mutex_lock(&store->files_lock);
    pack->users--;
    pthread_mutex_unlock(&store->files_lock);
    return rc;
}

size_t vmscm_store_pack_count(const struct vmscm_store *store)
{
    return store->packs.len;
}

struct vmscm_packfile *vmscm_store_pack(const struct vmscm_store *store, size_t n)
{
    return store->packs.items[n];
}

size_t vmscm_store_midx_count(const struct vmscm_store *store)
{
    return store->midxs.len;
}

const struct vmscm_midxfile *vmscm_store_midx(const struct vmscm_store *store, size_t n)
{
    return store->midxs.items[n];
}
