/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/store.h"
#include "base/path.h"
#include "base/str.h"
#include "store/elsewhere.h"
#include "store/filepool.h"
#include "store/midxwriter.h"
#include "store/packlist.h"
#include "store/packset.h"
#include "sys/file.h"
#include "sys/lockfile.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LOOSE_MIN 8              /* packs without a multi-pack index that make one worth while */
#define LOOSE_MAX 16             /* and that make it so before all is written */
#define BATCH (2u << 20)         /* entries of such packs that one index takes in, or a few more */
#define ENTRIES_MAX (64u << 20)  /* of an index: writing one takes seconds */
#define ENTRIES_QUICK (4u << 20) /* while others wait */

struct vmscm_store {
    char *repo_dir;
    /* Guards the set; its packs live until the store is closed. */
    pthread_rwlock_t lock;
    struct vmscm_packset set;
    struct vmscm_packset trash; /* looked at when something is nowhere else */
    struct vmscm_filepool files;
    struct vmscm_partial *partial;
    const struct vmscm_packsource *source; /* NULL: packs' files have their bytes */
};

int vmscm_store_open(struct vmscm_store **out, const char *repo_dir, struct vmscm_error *err)
{
    struct vmscm_store *store = calloc(1, sizeof *store);
    bool changed;
    int rc;

    if (!store)
        return vmscm_error_nomem(err);
    pthread_rwlock_init(&store->lock, NULL);
    vmscm_filepool_init(&store->files);
    if ((rc = vmscm_str_dup(&store->repo_dir, repo_dir, err)) ||
        (rc = vmscm_path_join(&store->set.dir, repo_dir, "packs", err)) ||
        (rc = vmscm_path_join(&store->trash.dir, repo_dir, "trash", err)) ||
        (rc = vmscm_packset_load(&store->set, &changed, err))) {
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
    vmscm_elsewhere_free(store->partial);
    vmscm_packset_release(&store->set);
    vmscm_packset_release(&store->trash);
    vmscm_filepool_release(&store->files);
    pthread_rwlock_destroy(&store->lock);
    free(store->repo_dir);
    free(store);
}

void vmscm_store_damage(struct vmscm_store *store,
    void (*each)(void *data, const char *file, const struct vmscm_error *why), void *data)
{
    char file[NAME_MAX + 1];
    struct vmscm_error why;
    bool more = true;

    /* Told without the lock: who is told may use the store. */
    for (size_t i = 0; more; i++) {
        pthread_rwlock_rdlock(&store->lock);
        if ((more = i < store->set.damage.len)) {
            snprintf(file, sizeof file, "%s", store->set.damage.items[i].file);
            why = store->set.damage.items[i].why;
        }
        pthread_rwlock_unlock(&store->lock);
        if (more)
            each(data, file, &why);
    }
}

int vmscm_store_reload(struct vmscm_store *store, bool *changed, struct vmscm_error *err)
{
    pthread_rwlock_wrlock(&store->lock);
    int rc = vmscm_packset_load(&store->set, changed, err);
    pthread_rwlock_unlock(&store->lock);
    return rc;
}

int vmscm_store_pin(struct vmscm_store *store, struct vmscm_packfile *pack,
    struct vmscm_error *err)
{
    int rc;

    pthread_rwlock_wrlock(&store->lock);
    if (pack->gone)
        rc = vmscm_error_set(err, VMSCM_ENOTFOUND, "a pack is gone");
    else if (!(rc = vmscm_packset_map(&store->set, pack, err)))
        pack->pins++;
    pthread_rwlock_unlock(&store->lock);
    return rc;
}

void vmscm_store_unpin(struct vmscm_store *store, struct vmscm_packfile *pack)
{
    pthread_rwlock_wrlock(&store->lock);
    pack->pins--;
    pthread_rwlock_unlock(&store->lock);
}

int vmscm_store_list(struct vmscm_store *store, struct vmscm_packfile ***out, size_t *count,
    struct vmscm_error *err)
{
    pthread_rwlock_rdlock(&store->lock);
    *count = store->set.packs.len;
    if ((*out = calloc(*count + 1, sizeof **out)) && *count)
        memcpy(*out, store->set.packs.items, *count * sizeof **out);
    pthread_rwlock_unlock(&store->lock);
    return *out ? 0 : vmscm_error_nomem(err);
}

int vmscm_store_examine(struct vmscm_store *store, struct vmscm_error *err)
{
    struct vmscm_packfile **packs = NULL;
    size_t count;
    int rc = vmscm_store_list(store, &packs, &count, err);

    for (size_t i = 0; !rc && i < count; i++) {
        struct vmscm_error why = VMSCM_ERROR_INIT;
        if (!vmscm_store_pin(store, packs[i], &why))
            vmscm_store_unpin(store, packs[i]);
        else if (why.code == VMSCM_ENOMEM)
            rc = vmscm_error_copy(err, &why);
    }
    free(packs);
    return rc;
}

/* Whether a pack has the id. If its index is not mapped: it is mapped, if the caller is alone, else
 * *needed is set. */
static bool has(struct vmscm_store *store, struct vmscm_packfile *pack,
    struct vmscm_pack_entry *entry, const struct vmscm_id *id, bool *needed)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;

    if (!pack || pack->gone)
        return false;
    if (!pack->index) {
        if (needed) {
            *needed = true;
            return false;
        }
        if (vmscm_packset_map(&store->set, pack, &why))
            return false;
    }
    if (!vmscm_packfile_find(pack, entry, id))
        return false;
    if (pack->covered)
        vmscm_packcache_note(&store->set.cache, pack);
    return true;
}

/* The nth place of an id: in packs without a multi-pack index first, then by these. What they say is
 * only where to look: it counts if the pack's own index says so too. *nth: what is left of it when
 * NULL is returned. needed: see has(). */
static struct vmscm_packfile *search(struct vmscm_store *store, struct vmscm_pack_entry *entry,
    const struct vmscm_id *id, size_t *nth, bool *needed)
{
    uint32_t number;

    for (size_t i = 0; i < store->set.loose.len; i++)
        if (has(store, store->set.loose.items[i], entry, id, needed) && (*nth)-- == 0)
            return store->set.loose.items[i];
    for (size_t i = 0; i < store->set.midxs.len; i++) {
        struct vmscm_midxfile *midx = store->set.midxs.items[i];
        for (size_t n = 0; vmscm_midxfile_find(midx, &number, id, n); n++) {
            if (has(store, midx->packs[number], entry, id, needed) && (*nth)-- == 0)
                return midx->packs[number];
            if (needed && *needed)
                return NULL;
        }
    }
    return NULL;
}

/* When all else failed: the packs of multi-pack indexes that are damaged, one by one. */
static struct vmscm_packfile *search_hard(struct vmscm_store *store,
    struct vmscm_pack_entry *entry, const struct vmscm_id *id, size_t nth)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;

    for (size_t i = 0; i < store->set.midxs.len; i++) {
        struct vmscm_midxfile *midx = store->set.midxs.items[i];
        if (!vmscm_midxfile_check(midx, &why))
            continue;
        for (uint32_t n = 0; n < midx->header.pack_count; n++)
            if (has(store, midx->packs[n], entry, id, NULL) && nth-- == 0)
                return midx->packs[n];
    }
    return NULL;
}

static struct vmscm_packfile *find_first(struct vmscm_store *store, struct vmscm_pack_entry *entry,
    const struct vmscm_id *id, bool use)
{
    struct vmscm_packfile *pack;
    bool needed = false;
    size_t nth = 0;

    pthread_rwlock_rdlock(&store->lock);
    if (!(pack = vmscm_packcache_find(&store->set.cache, entry, id)))
        pack = search(store, entry, id, &nth, &needed);
    if (pack && use && !atomic_load_explicit(&pack->used, memory_order_relaxed))
        atomic_store(&pack->used, true);
    pthread_rwlock_unlock(&store->lock);
    if (pack || !needed)
        return pack;
    nth = 0;
    pthread_rwlock_wrlock(&store->lock);
    if ((pack = search(store, entry, id, &nth, NULL)) && use)
        atomic_store(&pack->used, true);
    pthread_rwlock_unlock(&store->lock);
    return pack;
}

bool vmscm_store_find(struct vmscm_store *store, struct vmscm_pack_entry *entry,
    const struct vmscm_id *id)
{
    return find_first(store, entry, id, true) != NULL;
}

struct vmscm_packfile *vmscm_store_locate(struct vmscm_store *store,
    struct vmscm_pack_entry *entry, const struct vmscm_id *id, size_t nth)
{
    struct vmscm_packfile *pack = NULL;

    if (nth == 0 && (pack = find_first(store, entry, id, false)))
        return pack;
    /* All places in one order, which begins anew: the first may come twice. */
    nth -= nth > 0;
    pthread_rwlock_wrlock(&store->lock);
    if (!(pack = search(store, entry, id, &nth, NULL)))
        pack = search_hard(store, entry, id, nth);
    pthread_rwlock_unlock(&store->lock);
    return pack;
}

struct vmscm_packfile *vmscm_store_locate_trash(struct vmscm_store *store,
    struct vmscm_pack_entry *entry, const struct vmscm_id *id, size_t nth)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;
    struct vmscm_packfile *pack = NULL;
    bool changed;

    pthread_rwlock_wrlock(&store->lock);
    if (nth == 0)
        vmscm_packset_load(&store->trash, &changed, &why);
    for (size_t i = 0; i < store->trash.loose.len && !pack; i++)
        if (vmscm_packfile_find(store->trash.loose.items[i], entry, id) && nth-- == 0)
            pack = store->trash.loose.items[i];
    pthread_rwlock_unlock(&store->lock);
    return pack;
}

/* Whether the packs that were relied on are there. */
static int all_there(const struct vmscm_store *store, bool *yes, struct vmscm_error *err)
{
    struct stat st;

    *yes = true;
    for (size_t i = 0; i < store->set.all.len && *yes; i++) {
        const struct vmscm_packfile *pack = store->set.all.items[i];
        if (!pack->used)
            continue;
        *yes = !pack->gone && lstat(pack->path, &st) == 0;
        if (!*yes && !pack->gone && errno != ENOENT)
            return vmscm_error_errno(err, errno, "%s", pack->path);
    }
    return 0;
}

int vmscm_store_confirm(struct vmscm_store *store, struct vmscm_error *err)
{
    bool changed, yes;
    int rc;

    pthread_rwlock_wrlock(&store->lock);
    if ((rc = all_there(store, &yes, err)) || yes || (rc = vmscm_packset_load(&store->set, &changed, err)))
        goto out;
    /* Told once: the caller looks anew, and then relies on what is there. */
    for (size_t i = 0; i < store->set.all.len; i++) {
        struct vmscm_packfile *pack = store->set.all.items[i];
        if (!pack->gone || !pack->used)
            continue;
        if (!rc)
            rc = vmscm_error_set(
                err, VMSCM_EBUSY, "%s: removed while it was relied on", pack->path);
        pack->used = false;
    }
out:
    pthread_rwlock_unlock(&store->lock);
    return rc ? rc : vmscm_file_sync_dir(store->set.dir, err);
}

/* Indexes that a writer who died did not finish: whoever holds the lock is the only writer. */
static int remove_half_written(struct vmscm_store *store, struct vmscm_error *err)
{
    struct vmscm_packlist list = {0};
    int rc = vmscm_packlist_read(&list, store->set.dir, err);

    for (size_t i = 0; i < list.indexes.len && !rc; i++) {
        char *path = NULL;
        if (!vmscm_midxfile_is_unfinished(list.indexes.items[i]))
            continue;
        if (!(rc = vmscm_path_join(&path, store->set.dir, list.indexes.items[i], err)))
            unlink(path);
        free(path);
    }
    vmscm_packlist_release(&list);
    return rc;
}

/* One index over packs without one, if they are enough, and in place of some that are there. *again:
 * something was done, and there may be more to do. Called with the lock held for writing, and
 * locks/midx. */
static int reindex_some(struct vmscm_store *store, uint64_t max, bool *again,
    struct vmscm_error *err)
{
    struct vmscm_packset *set = &store->set;
    struct vmscm_midxfile **old = calloc(set->midxs.len + 1, sizeof *old);
    size_t packs = 0, taken, before = set->loose.len;
    uint64_t entries = 0;
    bool changed, bad = false;
    int rc = 0;

    *again = false;
    if (!old)
        return vmscm_error_nomem(err);
    while (before >= LOOSE_MIN && packs < before && entries < BATCH)
        entries += set->loose.items[packs++]->trailer.entry_count;
    if (set->midxs.len)
        memcpy(old, set->midxs.items, set->midxs.len * sizeof *old);
    taken = vmscm_midxwriter_choose(old, set->midxs.len, entries, max);
    /* One alone may list mostly packs that are gone. */
    if (!packs && taken < 2 && !(taken == 1 && old[0]->present <= old[0]->header.pack_count / 2))
        goto out;
    /* What is wrong in one must not become right in another. */
    for (size_t i = 0; i < taken && !rc; i++)
        rc = vmscm_midxfile_check(old[i], err);
    if (!rc)
        rc = vmscm_midxwriter_write(set->dir, set->loose.items, packs, old, taken, err);
    for (size_t i = 0; i < taken; i++) {
        bool is_bad = old[i]->state == VMSCM_MIDXFILE_BAD;
        bad = bad || is_bad;
        if ((!rc || is_bad) && unlink(old[i]->path) < 0 && errno != ENOENT) {
            rc = vmscm_error_errno(err, errno, "%s", old[i]->path);
            goto out;
        }
    }
    if ((!rc || bad) && !(rc = vmscm_packset_load(set, &changed, err)))
        *again = !packs || bad || set->loose.len < before;
out:
    free(old);
    return rc;
}

/* Whether an index is worth while, as far as is known without another look. */
static bool is_due(struct vmscm_store *store)
{
    size_t count = store->set.midxs.len;
    struct vmscm_midxfile **midxs = calloc(count + 1, sizeof *midxs);
    bool due = store->set.loose.len >= LOOSE_MIN;

    if (midxs && count && !due) {
        memcpy(midxs, store->set.midxs.items, count * sizeof *midxs);
        due = vmscm_midxwriter_choose(midxs, count, 0, ENTRIES_MAX) > 0;
    }
    free(midxs);
    return due;
}

/* The right to write multi-pack indexes; *lock is -1 if another process has it. */
static int lock_indexes(int *lock, struct vmscm_store *store, struct vmscm_error *err)
{
    char *path = NULL;
    int rc = vmscm_str_printf(&path, err, "%s/locks/midx", store->repo_dir);

    if (!rc && (rc = vmscm_lockfile_try(lock, path, VMSCM_LOCK_EXCLUSIVE, err)) == VMSCM_EBUSY) {
        vmscm_error_clear(err);
        rc = 0;
    }
    free(path);
    return rc;
}

static int reindex(struct vmscm_store *store, bool quick, struct vmscm_error *err)
{
    bool changed, again;
    int lock = -1, rc;

    pthread_rwlock_rdlock(&store->lock);
    again = is_due(store);
    pthread_rwlock_unlock(&store->lock);
    if (!again)
        return 0;
    if ((rc = lock_indexes(&lock, store, err)) || lock < 0)
        return rc;
    pthread_rwlock_wrlock(&store->lock);
    if (!(rc = remove_half_written(store, err)))
        rc = vmscm_packset_load(&store->set, &changed, err);
    while (!rc && again) {
        rc = reindex_some(store, quick ? ENTRIES_QUICK : ENTRIES_MAX, &again, err);
        again = again && !quick;
    }
    pthread_rwlock_unlock(&store->lock);
    vmscm_lockfile_release(&lock);
    return rc;
}

int vmscm_store_sweep(struct vmscm_store *store, struct vmscm_error *err)
{
    int lock = -1, rc = lock_indexes(&lock, store, err);

    if (!rc && lock >= 0)
        rc = remove_half_written(store, err);
    vmscm_lockfile_release(&lock);
    return rc;
}

int vmscm_store_reindex(struct vmscm_store *store, struct vmscm_error *err)
{
    return reindex(store, false, err);
}

int vmscm_store_add(struct vmscm_store *store, const char *file, struct vmscm_error *err)
{
    struct vmscm_error ignored = VMSCM_ERROR_INIT;
    struct vmscm_packfile *pack = NULL;
    uint8_t name[VMSCM_MIDX_NAME_SIZE];
    bool many;
    int rc;

    if (!vmscm_packfile_parse_name(name, file))
        return vmscm_error_set(err, VMSCM_EUSAGE, "%s: not a pack's name", file);
    pthread_rwlock_wrlock(&store->lock);
    rc = vmscm_packset_add(&store->set, &pack, name, err);
    if (!rc)
        pack->used = true;
    many = store->set.loose.len >= LOOSE_MAX;
    pthread_rwlock_unlock(&store->lock);
    /* Each is searched for whatever else comes. It is only about speed. */
    if (!rc && many)
        reindex(store, true, &ignored);
    return rc;
}

int vmscm_store_bytes(struct vmscm_store *store, const struct vmscm_packfile *pack,
    uint64_t *bytes, struct vmscm_error *err)
{
    char file[VMSCM_PACKFILE_NAME], *path = NULL;
    struct stat st;
    int rc;

    vmscm_packfile_format_name(file, pack->name);
    if ((rc = vmscm_path_join(&path, store->set.dir, file, err)))
        return rc;
    if (lstat(path, &st) < 0)
        rc = vmscm_error_errno(err, errno, "%s", path);
    else
        *bytes = (uint64_t)st.st_size;
    free(path);
    return rc;
}

void vmscm_store_read_from(struct vmscm_store *store, const struct vmscm_packsource *source)
{
    store->source = source;
}

int vmscm_store_pread(struct vmscm_store *store, struct vmscm_packfile *pack, void *data,
    size_t len, uint64_t offset, struct vmscm_error *err)
{
    if (store->source)
        return store->source->read(
            store->source->data, pack->name, pack->file_size, data, len, offset, err);
    return vmscm_filepool_pread(&store->files, pack, data, len, offset, err);
}

void vmscm_store_close_gone(struct vmscm_store *store)
{
    struct vmscm_error ignored = VMSCM_ERROR_INIT;
    bool changed;

    pthread_rwlock_wrlock(&store->lock);
    if (store->trash.packs.len)
        vmscm_packset_load(&store->trash, &changed, &ignored);
    vmscm_filepool_close_gone(&store->files);
    pthread_rwlock_unlock(&store->lock);
}

int vmscm_store_pread_once(struct vmscm_store *store, struct vmscm_packfile *pack,
    const uint8_t **data, uint8_t *memory, size_t len, uint64_t offset, struct vmscm_error *err)
{
    if (store->source) {
        *data = memory;
        return vmscm_store_pread(store, pack, memory, len, offset, err);
    }
    return vmscm_filepool_pread_once(&store->files, pack, data, memory, len, offset, err);
}

size_t vmscm_store_pack_count(const struct vmscm_store *store)
{
    return store->set.packs.len;
}

struct vmscm_packfile *vmscm_store_pack(const struct vmscm_store *store, size_t n)
{
    return store->set.packs.items[n];
}

size_t vmscm_store_midx_count(const struct vmscm_store *store)
{
    return store->set.midxs.len;
}

struct vmscm_midxfile *vmscm_store_midx(const struct vmscm_store *store, size_t n)
{
    return store->set.midxs.items[n];
}

struct vmscm_partial *vmscm_store_partial(const struct vmscm_store *store)
{
    return store->partial;
}

void vmscm_store_set_partial(struct vmscm_store *store, struct vmscm_partial *partial)
{
    vmscm_elsewhere_free(store->partial);
    store->partial = partial;
}

const char *vmscm_store_dir(const struct vmscm_store *store)
{
    return store->repo_dir;
}
