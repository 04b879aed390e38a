/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bucket/mirror.h"
#include "base/path.h"
#include "base/str.h"
#include "bucket/genlog.h"
#include "bucket/stubs.h"
#include "bucket/sync.h"
#include "codec/hash.h"
#include "sys/file.h"
#include "sys/lockfile.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CACHE_SIZE ((int64_t)4 << 30) /* bytes of records that are kept, unless s3.cacheSize says otherwise */
#define CACHE_MIN ((int64_t)64 << 20)
#define PATIENCE 60 /* seconds, unless transfer.timeout says otherwise */

int vmscm_mirror_path(char **out, const struct vmscm_mirror *m, const char *name, struct vmscm_error *err)
{
    return vmscm_path_join(out, m->dir, name, err);
}

int vmscm_mirror_lock(int *fd, struct vmscm_mirror *m, struct vmscm_error *err)
{
    char *path = NULL;
    int rc = vmscm_mirror_path(&path, m, "locks/far", err);

    if (!rc)
        rc = vmscm_lockfile_acquire(fd, path, VMSCM_LOCK_EXCLUSIVE, err);
    free(path);
    return rc;
}

/* $XDG_CACHE_HOME/vmscm/s3/HEX, or HEX.gc, by what the bucket and the prefix are. */
static int choose_dir(char **out, const char *identity, bool apart, struct vmscm_error *err)
{
    const char *suffix = apart ? ".gc" : "";
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    struct vmscm_hash *hash = NULL;
    char hex[VMSCM_HASH_HEX];
    struct vmscm_id id;
    int rc;

    if ((!cache || *cache != '/') && (!home || !*home))
        return vmscm_error_set(err, VMSCM_EIO, "HOME: is not set, and says where the cache is");
    if (!(rc = vmscm_hash_new(&hash, err)) &&
        !(rc = vmscm_hash_compute(hash, &id, identity, strlen(identity), err))) {
        vmscm_str_hex(hex, id.bytes, sizeof id.bytes);
        rc = cache && *cache == '/'
            ? vmscm_str_printf(out, err, "%s/vmscm/s3/%s%s", cache, hex, suffix)
            : vmscm_str_printf(out, err, "%s/.cache/vmscm/s3/%s%s", home, hex, suffix);
    }
    vmscm_hash_free(hash);
    return rc;
}

/* Made if it is not there; what a process that died over it left to be done is done. */
static int make_dir(struct vmscm_mirror *m, struct vmscm_error *err)
{
    struct vmscm_gitconfig *config = NULL;
    char *path = NULL, *file = NULL, *of = NULL;
    int rc = vmscm_repo_init(&path, m->dir, 1, err);

    if (rc == VMSCM_EEXIST) {
        vmscm_error_clear(err);
        rc = 0;
    }
    if (rc || (rc = vmscm_mirror_path(&file, m, "config", err)) ||
        (rc = vmscm_gitconfig_open(&config, file, err)))
        goto out;
    if ((rc = vmscm_gitconfig_get(&of, config, VMSCM_HANDLE_CACHE_OF, err)) == VMSCM_ENOTFOUND) {
        vmscm_error_clear(err);
        rc = vmscm_gitconfig_set(config, VMSCM_CONFIG_REPOSITORY, VMSCM_HANDLE_CACHE_OF,
            vmscm_s3_identity(m->s3), err);
    }
out:
    vmscm_gitconfig_close(config);
    free(of);
    free(file);
    vmscm_free(path);
    return rc;
}

static void close_mirror(void *data)
{
    struct vmscm_mirror *m = data;

    vmscm_generation_release_state(&m->state);
    vmscm_vec_release(&m->pending);
    vmscm_blocks_close(m->blocks);
    vmscm_s3_close(m->s3);
    free(m->dir);
    free(m->url);
    free(m);
}

static int prepare(void *data, struct vmscm_error *err)
{
    struct vmscm_mirror *m = data;
    int lock = -1, rc = vmscm_mirror_lock(&lock, m, err);
    size_t gone = 0;

    /* Another process may have gone further, and needs what is new. */
    if (!rc && !(rc = vmscm_sync_load(m, err)) && !(rc = vmscm_stubs_update(m, &gone, err)) && gone)
        rc = vmscm_sync_packs(m, err);
    vmscm_lockfile_release(&lock);
    return rc;
}

static int follow(void *data, struct vmscm_error *err)
{
    return vmscm_sync_packs(data, err);
}

static int open_blocks(struct vmscm_mirror *m, struct vmscm_error *err)
{
    int64_t size = CACHE_SIZE, patience = PATIENCE;
    char *dir = NULL;
    int rc;

    if ((rc = vmscm_gitconfig_get_int(&size, m->repo->config, "s3.cachesize", CACHE_SIZE, err)) ||
        (rc = vmscm_gitconfig_get_int(
             &patience, m->repo->config, "transfer.timeout", PATIENCE, err)) ||
        (rc = vmscm_mirror_path(&dir, m, "blocks", err)))
        return rc;
    rc = vmscm_blocks_open(
        &m->blocks, m->s3, dir, (uint64_t)(size < CACHE_MIN ? CACHE_MIN : size), err);
    if (!rc)
        vmscm_blocks_follow(m->blocks, follow, m);
    vmscm_s3_patience(m->s3, patience < 0 || patience > INT_MAX / 1000 ? 0 : (unsigned)patience);
    m->source = (struct vmscm_packsource){vmscm_blocks_read, m->blocks};
    free(dir);
    return rc;
}

static int open_one(struct vmscm_mirror **out, const char *url, const struct vmscm_events *events,
    uint64_t limit, bool apart, struct vmscm_error *err)
{
    struct vmscm_mirror *m = calloc(1, sizeof *m);
    struct vmscm_repo *repo = NULL;
    int lock = -1, rc;

    if (!m)
        return vmscm_error_nomem(err);
    m->events = events;
    m->apart = apart;
    if ((rc = vmscm_str_dup(&m->url, url, err)) ||
        (rc = vmscm_s3_open(&m->s3, url, events, limit, err)) ||
        (rc = choose_dir(&m->dir, vmscm_s3_identity(m->s3), apart, err)))
        goto out;
    m->far = (struct vmscm_handle_far){
        .url = m->url, .packs = &m->source, .prepare = prepare, .close = close_mirror, .data = m};
    if ((rc = make_dir(m, err)) || (rc = vmscm_repo_open_far(&repo, m->dir, &m->far, err)))
        goto out;
    m->repo = repo;
    if (!(rc = open_blocks(m, err)) && !(rc = vmscm_mirror_lock(&lock, m, err)))
        rc = vmscm_sync_run(m, err);
    vmscm_lockfile_release(&lock);
out:
    if (!rc)
        *out = m;
    else if (repo)
        vmscm_repo_close(repo);
    else
        close_mirror(m);
    return rc;
}

int vmscm_mirror_open(struct vmscm_mirror **out, const char *url, const struct vmscm_events *events,
    uint64_t limit, struct vmscm_error *err)
{
    return open_one(out, url, events, limit, false, err);
}

int vmscm_mirror_open_apart(struct vmscm_mirror **out, const char *url,
    const struct vmscm_events *events, struct vmscm_error *err)
{
    return open_one(out, url, events, 0, true, err);
}

int vmscm_mirror_init(const char *url, const struct vmscm_events *events, struct vmscm_error *err)
{
    struct vmscm_generation first = {.number = 1, .base = 1, .when = (int64_t)time(NULL)};
    uint8_t digest[VMSCM_GENERATION_DIGEST];
    struct vmscm_s3 *s3 = NULL;
    uint64_t number, bytes;
    int rc = vmscm_s3_open(&s3, url, events, 0, err);

    if (rc)
        return rc;
    if ((rc = vmscm_genlog_any(&number, s3, err)))
        goto out;
    if (number || (!(rc = vmscm_genlog_probe(s3, err)) &&
                      (rc = vmscm_genlog_create(&first, digest, &bytes, s3, err)) == VMSCM_ECONFLICT))
        rc = vmscm_error_set(
            err, VMSCM_EEXIST, "%s: there is a repository already", vmscm_s3_identity(s3));
out:
    vmscm_s3_close(s3);
    return rc;
}
