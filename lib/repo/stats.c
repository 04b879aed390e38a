/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Counting what a repository holds. */
#include <vmscm/gc.h>
#include <vmscm/stats.h>

#include "base/path.h"
#include "base/str.h"
#include "history/ancestry.h"
#include "history/pruned.h"
#include "history/reflist.h"
#include "machine/model.h"
#include "repo/promises.h"
#include "repo/snapshot.h"
#include "store/fetch.h"
#include "store/idset.h"
#include "store/walk.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct count {
    struct vmscm_repo *repo;
    struct vmscm_stats *out;
    struct vmscm_fetch *fetch;
    struct vmscm_pruned *pruned;
    struct vmscm_promises *promises; /* NULL: all is here */
    struct vmscm_buf bytes;
    struct vmscm_ancestry *ancestry;
    struct vmscm_idset leaves; /* bytes of data in each */
    struct vmscm_error *err;
};

/* Bytes of the files below dir. One that goes while we look is not counted. */
static int tree_bytes(uint64_t *bytes, const char *dir, struct vmscm_error *err)
{
    DIR *d = opendir(dir);
    int rc = 0;

    if (!d)
        return errno == ENOENT ? 0 : vmscm_error_errno(err, errno, "%s", dir);
    for (struct dirent *e; !rc && (e = readdir(d));) {
        char *path = NULL;
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (!(rc = vmscm_path_join(&path, dir, e->d_name, err)) && lstat(path, &st) == 0) {
            if (S_ISDIR(st.st_mode))
                rc = tree_bytes(bytes, path, err);
            else
                *bytes += (uint64_t)st.st_size;
        }
        free(path);
    }
    closedir(d);
    return rc;
}

static int sub_bytes(uint64_t *bytes, struct vmscm_repo *repo, const char *name,
    struct vmscm_error *err)
{
    char *path = NULL;
    int rc = vmscm_path_join(&path, repo->path, name, err);

    if (!rc)
        rc = tree_bytes(bytes, path, err);
    free(path);
    return rc;
}

static int count_record(void *data, const struct vmscm_packfile *pack,
    const struct vmscm_pack_entry *entry)
{
    struct vmscm_stats *out = data;

    (void)pack;
    if (entry->type == VMSCM_PACK_CHUNK) {
        out->chunks++;
        out->unique_bytes += entry->plain_len;
    } else {
        out->leaves++;
    }
    return 0;
}

static int count_store(struct count *c, struct vmscm_store *store, struct vmscm_error *err)
{
    int rc = vmscm_store_examine(store, err);

    if (rc)
        return rc;
    c->out->packs = vmscm_store_pack_count(store);
    for (size_t n = 0; n < c->out->packs; n++) {
        const struct vmscm_packfile *pack = vmscm_store_pack(store, n);
        c->out->pack_bytes += pack->file_size;
        c->out->index_bytes += pack->file_size - pack->trailer.index_offset;
    }
    for (size_t n = 0; n < vmscm_store_midx_count(store); n++)
        c->out->index_bytes += vmscm_store_midx(store, n)->header.file_size;
    return vmscm_walk_records(store, count_record, c->out, err);
}

static int leaf_data(struct count *c, const struct vmscm_id *id, uint64_t *bytes,
    struct vmscm_error *err)
{
    struct vmscm_leaf_entry *entries = NULL;
    size_t count = 0;
    uint32_t length;
    struct vmscm_pack_entry entry;
    uint64_t *value, sum = 0;
    bool added;
    int rc = vmscm_idset_get(&c->leaves, &value, &added, id, err);

    if (!rc && added && c->promises && vmscm_promises_has(c->promises, id) &&
        !vmscm_store_locate(c->repo->store, &entry, id, 0)) {
        c->out->elsewhere++;
    } else if (!rc && added) {
        if ((rc = vmscm_fetch_read_buf(
                 c->fetch, VMSCM_PACK_LEAF, id, &c->bytes, VMSCM_LEAF_SIZE_MAX, err)) ||
            (rc = vmscm_leaf_decode(
                 &entries, &count, &length, c->bytes.data, c->bytes.len, err)))
            return rc;
        for (size_t i = 0; i < count; i++)
            sum += entries[i].zero ? 0 : entries[i].length;
        free(entries);
        *value = sum;
    }
    if (!rc)
        *bytes = *value;
    return rc;
}

static int count_revision(struct count *c, const char *id, struct vmscm_error *err)
{
    struct vmscm_machine *machine = NULL;
    int rc = vmscm_snapshot_machine(&machine, c->repo, id, err);

    for (size_t d = 0; !rc && d < machine->disk_count; d++) {
        struct vmscm_map map = {0};
        c->out->guest_bytes += machine->disks[d].size;
        rc = vmscm_snapshot_map(&map, c->repo, id, &machine->disks[d], err);
        for (size_t i = 0; i < map.runs.len && !rc; i++) {
            uint64_t bytes = 0;
            if (!map.runs.items[i].zero)
                rc = leaf_data(c, &map.runs.items[i].leaf, &bytes, err);
            c->out->data_bytes += bytes * map.runs.items[i].count;
        }
        vmscm_map_release(&map);
    }
    vmscm_model_free(machine);
    return rc;
}

static int visit(void *data, const char *id)
{
    struct count *c = data;

    c->out->revisions++;
    if (!vmscm_pruned_has(c->pruned, id))
        return count_revision(c, id, c->err);
    c->out->pruned++;
    return 0;
}

static int count_ref(void *data, const char *ref, const char *id)
{
    struct count *c = data;

    if (vmscm_str_starts(ref, VMSCM_HANDLE_HEADS))
        c->out->machines++;
    else
        c->out->tags++;
    return id ? vmscm_ancestry_walk(c->ancestry, c->repo->git, id, visit, c, c->err)
              : vmscm_error_set(c->err, VMSCM_EDAMAGED, "%s: cannot be read", ref);
}

static int count_garbage(struct vmscm_stats *out, struct vmscm_repo *repo,
    struct vmscm_error *err)
{
    struct vmscm_gc_options options = {.dry_run = 1, .threshold = VMSCM_GC_DEFAULT};
    struct vmscm_gc_result result;
    struct vmscm_error why = VMSCM_ERROR_INIT;
    int rc = vmscm_gc(repo, &options, NULL, &result, &why);

    out->garbage_bytes = rc ? VMSCM_STATS_UNKNOWN : result.pack_bytes - result.needed_bytes;
    return rc == VMSCM_ENOMEM ? vmscm_error_copy(err, &why) : 0;
}

int vmscm_stats(struct vmscm_stats *out, struct vmscm_repo *repo, struct vmscm_error *err)
{
    struct count c = {.repo = repo, .out = out, .err = err};
    struct vmscm_store *store;
    int rc;

    *out = (struct vmscm_stats){0};
    if ((rc = vmscm_pruned_load(&c.pruned, repo->git, err)) ||
        (rc = vmscm_handle_store(&store, repo, err)) ||
        (rc = vmscm_fetch_new_own(&c.fetch, store, err)) ||
        (rc = vmscm_promises_open(&c.promises, repo, err)) ||
        (rc = vmscm_cache_measure(repo->path, &out->cache_packs, &out->cache_bytes, err)) ||
        (rc = vmscm_ancestry_new(&c.ancestry, err)) || (rc = count_store(&c, store, err)) ||
        (rc = vmscm_reflist_walk(repo->git, VMSCM_HANDLE_HEADS, count_ref, &c, err)) ||
        (rc = vmscm_reflist_walk(repo->git, VMSCM_HANDLE_TAGS, count_ref, &c, err)))
        goto out;
    if ((rc = sub_bytes(&out->history_bytes, repo, "git", err)))
        goto out;
    if ((rc = count_garbage(out, repo, err)))
        goto out;
    static const char *const temporary[] = {"tmp", "quarantine", "trash"};
    for (size_t i = 0; i < 3 && !rc; i++)
        rc = sub_bytes(&out->temporary_bytes, repo, temporary[i], err);
out:
    vmscm_ancestry_free(c.ancestry);
    vmscm_idset_release(&c.leaves);
    vmscm_fetch_free(c.fetch);
    vmscm_pruned_free(c.pruned);
    vmscm_promises_free(c.promises);
    vmscm_buf_release(&c.bytes);
    return rc;
}
