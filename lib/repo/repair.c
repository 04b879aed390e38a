/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Repairing a repository, one step after the other, each of which can be the last: packs and indexes
 * (repairpacks.c); history (repairgit.c); then, as long as something is found, what revisions still
 * miss, from damaged/, trash/ and sources (source.c); then a check of history.
 *
 * locks/gc is held throughout: what is found stays. Check-ins go on meanwhile.
 */
#include "base/path.h"
#include "base/str.h"
#include "codec/compress.h"
#include "repo/aside.h"
#include "repo/fsckhistory.h"
#include "repo/fsckpacks.h"
#include "repo/lost.h"
#include "repo/repairgit.h"
#include "repo/repairpacks.h"
#include "repo/source.h"
#include "store/salvage.h"
#include "sys/lockfile.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

struct sources {
    struct vmscm_source **items;
    size_t count;
};

static int open_sources(struct sources *s, const struct vmscm_repairing *r,
    const struct vmscm_repair_options *options, struct vmscm_error *err)
{
    int rc = 0;

    if (!(s->items = calloc(options->from_count + 1, sizeof *s->items)))
        return vmscm_error_nomem(err);
    for (; s->count < options->from_count && !rc; s->count += !rc)
        rc = vmscm_source_open(&s->items[s->count], options->from[s->count], r, err);
    return rc;
}

static void close_sources(struct sources *s)
{
    while (s->count)
        vmscm_source_close(s->items[--s->count]);
    free(s->items);
}

/* gc removes what nothing leads to, and that nothing leads to something may be what is repaired. */
static int lock_gc(int *fd, const char *repo, struct vmscm_error *err)
{
    char *path = NULL;
    int rc = vmscm_str_printf(&path, err, "%s/locks/gc", repo);

    if (!rc)
        rc = vmscm_lockfile_try(fd, path, VMSCM_LOCK_EXCLUSIVE, err);
    if (rc == VMSCM_EBUSY) {
        vmscm_error_set(err, rc, "%s: gc or another repair is at work on it", repo);
        vmscm_error_hint(err, "try again when it is done");
    }
    free(path);
    return rc;
}

static int find_level(int *level, struct vmscm_repo *repo, struct vmscm_error *err)
{
    int64_t configured;
    int rc = vmscm_gitconfig_get_int(
        &configured, repo->config, "core.compression", VMSCM_COMPRESS_LEVEL_DEFAULT, err);

    if (!rc)
        *level = configured < 1 || configured > VMSCM_COMPRESS_LEVEL_MAX
            ? VMSCM_COMPRESS_LEVEL_DEFAULT
            : (int)configured;
    return rc;
}

/* What revisions need and nobody has. */
static int find_lost(struct vmscm_repairing *r, struct vmscm_lost *lost, struct vmscm_error *err)
{
    struct vmscm_fsck_result ignored = {0};
    struct vmscm_findings findings = {.result = &ignored};
    struct vmscm_fsckhistory walk = {.repo = r->repo,
        .events = r->events,
        .findings = &findings,
        .bad = &r->bad,
        .lost = vmscm_lost_add,
        .data = lost};

    return vmscm_fsckhistory_run(&walk, NULL, err);
}

/* What a salvage needs to know of a repair. */
struct rescue {
    const struct vmscm_repairing *r;
    struct vmscm_lost *lost;
};

static bool is_lost(void *data, const struct vmscm_id *id)
{
    const struct rescue *rescue = data;

    return vmscm_lost_has(rescue->lost, id);
}

static int is_canceled(void *data, struct vmscm_error *err)
{
    const struct rescue *rescue = data;

    return vmscm_handle_canceled(rescue->r->events, err);
}

/* All packs of a directory of the repository that is not for packs in use. */
static int search_dir(struct vmscm_repairing *r, struct vmscm_lost *lost, const char *name,
    struct vmscm_error *err)
{
    struct rescue rescue = {r, lost};
    struct vmscm_salvage what = {.store = r->store,
        .repo_dir = r->repo->path,
        .level = r->level,
        .wanted = is_lost,
        .canceled = is_canceled,
        .data = &rescue};
    char *dir = NULL;
    DIR *d = NULL;
    int rc = vmscm_path_join(&dir, r->repo->path, name, err);

    if (rc)
        return rc;
    if (!(d = opendir(dir))) {
        rc = errno == ENOENT ? 0 : vmscm_error_errno(err, errno, "%s", dir);
        goto out;
    }
    for (struct dirent *e; !rc && (errno = 0, e = readdir(d));) {
        struct vmscm_salvage_counts counts = {0};
        char *path = NULL;
        if (!vmscm_str_starts(e->d_name, VMSCM_PACKFILE_PREFIX))
            continue;
        if (!(rc = vmscm_path_join(&path, dir, e->d_name, err)))
            rc = vmscm_salvage_pack(&what, path, &counts, err);
        if (!rc && counts.copied)
            vmscm_repairing_tell(r, path + strlen(r->repo->path) + 1,
                "%llu chunks and leaves restored from it", (unsigned long long)counts.copied);
        free(path);
    }
out:
    if (d)
        closedir(d);
    free(dir);
    return rc;
}

/* Packs that were set aside may have what could not be read for want of a base, which is there now;
 * or parts of damaged records whose ids only history knows. */
static int search_damaged(struct vmscm_repairing *r, struct vmscm_lost *lost,
    struct vmscm_error *err)
{
    int rc = search_dir(r, lost, VMSCM_ASIDE_DIR, err);

    return rc ? rc : search_dir(r, lost, "trash", err);
}

/* What the rounds of a restoration have in common. */
struct restoring {
    const struct sources *sources;
    struct vmscm_idset sought; /* ids that were looked for in a round */
    size_t missing;            /* in the round before */
    bool more;                 /* something was found, which may lead to more that is missing */
};

/* One look at what is missing, and a search for it everywhere. */
static int restore(struct vmscm_repairing *r, struct restoring *w, struct vmscm_error *err)
{
    struct vmscm_lost lost = {0};
    uint64_t before = r->result->restored, saved = 0, *value;
    bool added, changed, fresh = false;
    int rc = find_lost(r, &lost, err);

    for (size_t i = 0; i < lost.items.len && !rc; i++) {
        struct vmscm_lost_item *item = &lost.items.items[i];
        rc = vmscm_idset_get(&w->sought, &value, &added, &item->id, err);
        item->sought = !added;
        fresh = fresh || added;
    }
    w->more = false;
    if (rc || !lost.items.len || (!fresh && lost.items.len >= w->missing) ||
        (rc = search_damaged(r, &lost, err)) ||
        (rc = vmscm_lost_update(&lost, r->store, &r->bad, &saved, err)))
        goto out;
    w->missing = lost.items.len;
    for (size_t i = 0; i < w->sources->count && !rc; i++)
        rc = vmscm_source_restore(w->sources->items[i], r, &lost, err);
    if (!rc)
        rc = vmscm_store_reload(r->store, &changed, err);
    w->more = saved > 0 || r->result->restored > before;
    r->result->saved += saved;
out:
    vmscm_lost_release(&lost);
    return rc;
}

static int restore_all(struct vmscm_repairing *r, const struct sources *sources,
    struct vmscm_error *err)
{
    struct restoring w = {.sources = sources, .more = true};
    int rc = 0;

    while (!rc && w.more)
        rc = restore(r, &w, err);
    vmscm_idset_release(&w.sought);
    return rc;
}

/* What a check finds now. Every byte of the packs was read, or written, by this repair. */
static int check(struct vmscm_repairing *r,
    void (*found)(void *, const struct vmscm_fsck_finding *), struct vmscm_error *err)
{
    struct vmscm_findings findings = {
        .found = found, .data = r->data, .result = &r->result->left};
    struct vmscm_fsckhistory walk = {
        .repo = r->repo, .events = r->events, .findings = &findings, .bad = &r->bad};
    int rc;

    if ((rc = vmscm_fsckpacks_structure(r->repo, &findings, err)) ||
        (rc = vmscm_fsckhistory_run(&walk, NULL, err)) ||
        (rc = vmscm_fsckpacks_leftovers(r->repo, &findings, err)))
        return rc;
    if (findings.result->findings)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "%s: %llu finding%s left", r->repo->path,
            (unsigned long long)findings.result->findings,
            findings.result->findings == 1 ? "" : "s");
    return 0;
}

int vmscm_repair_prepare(const char *path, const struct vmscm_events *events,
    void (*done)(void *, const struct vmscm_repair_action *), void *data, uint64_t *set_aside,
    struct vmscm_error *err)
{
    struct vmscm_repair_result result = {0};
    struct vmscm_repairing r = {
        .path = path, .events = events, .done = done, .data = data, .result = &result};
    struct vmscm_gitconfig *config = NULL;
    char *file = NULL;
    int lock = -1, rc;

    if (!(rc = vmscm_path_join(&file, path, "config", err)) &&
        !(rc = vmscm_gitconfig_open(&config, file, err)) &&
        !(rc = vmscm_handle_check_version(config, path, err)) &&
        !(rc = lock_gc(&lock, path, err)))
        rc = vmscm_repairgit_packs(&r, err);
    if (set_aside)
        *set_aside = result.set_aside;
    vmscm_lockfile_release(&lock);
    vmscm_gitconfig_close(config);
    free(file);
    return rc;
}

int vmscm_repair(struct vmscm_repo *repo, const struct vmscm_repair_options *options,
    const struct vmscm_events *events, void (*done)(void *, const struct vmscm_repair_action *),
    void (*found)(void *, const struct vmscm_fsck_finding *), void *data,
    struct vmscm_repair_result *result, struct vmscm_error *err)
{
    static const struct vmscm_repair_options defaults;
    struct vmscm_repair_result own = {0};
    struct vmscm_repairing r = {.path = repo->path,
        .repo = repo,
        .events = events,
        .done = done,
        .data = data,
        .result = result ? result : &own};
    struct sources sources = {0};
    int lock = -1, rc;

    if (!options)
        options = &defaults;
    *r.result = own;
    if ((rc = vmscm_handle_check_near(repo, err)) ||
        (rc = vmscm_handle_jobs(&r.jobs, repo, options->jobs, err)) ||
        (rc = find_level(&r.level, repo, err)) ||
        (rc = vmscm_handle_store(&r.store, repo, err)) ||
        (rc = open_sources(&sources, &r, options, err)) || (rc = lock_gc(&lock, repo->path, err)) ||
        (rc = vmscm_repairpacks_run(&r, err)) ||
        (rc = vmscm_repairgit_run(&r, sources.items, sources.count, err)) ||
        (rc = restore_all(&r, &sources, err)))
        goto out;
    rc = check(&r, found, err);
out:
    vmscm_lockfile_release(&lock);
    close_sources(&sources);
    vmscm_idset_release(&r.bad);
    return rc;
}
