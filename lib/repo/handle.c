/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/handle.h"
#include "base/str.h"
#include "history/ident.h"
#include "sys/lockfile.h"
#include "sys/parallel.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_SIZE ((int64_t)10 << 30)
#define DEFAULT_JOBS_MAX 12 /* each costs a few MiB, and 128 MiB are promised */

struct extensions {
    const char *path;
    struct vmscm_error *err;
};

static int check_extension(void *data, enum vmscm_config_level level, const char *key,
    const char *value)
{
    const struct extensions *x = data;

    (void)value;
    if (level != VMSCM_CONFIG_REPOSITORY || !vmscm_str_starts(key, "extensions.") ||
        strcmp(key, VMSCM_HANDLE_LAZY) == 0)
        return 0;
    vmscm_error_set(x->err, VMSCM_EUNSUPPORTED, "%s: the repository has %s, which is not known", x->path,
        key);
    return vmscm_error_hint(x->err, "use a newer vmscm");
}

int vmscm_handle_check_version(struct vmscm_gitconfig *config, const char *path,
    struct vmscm_error *err)
{
    struct extensions x = {path, err};
    int64_t version = 0;
    int rc = vmscm_gitconfig_get_int(&version, config, "core.repositoryformatversion", 0, err);

    if (rc)
        return rc;
    if (version == 0)
        return vmscm_error_set(
            err, VMSCM_EDAMAGED, "%s/config: no core.repositoryformatversion", path);
    if (version > VMSCM_HANDLE_VERSION) {
        vmscm_error_set(err, VMSCM_EUNSUPPORTED,
            "%s: repository format %lld is newer than this vmscm knows (%d)", path,
            (long long)version, VMSCM_HANDLE_VERSION);
        return vmscm_error_hint(err, "use a newer vmscm");
    }
    if (version < 1)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED, "%s: repository format %lld is not known",
            path, (long long)version);
    return version == 1 ? 0 : vmscm_gitconfig_list(config, check_extension, &x, err);
}

int vmscm_handle_read_promisor(struct vmscm_repo *repo, struct vmscm_error *err)
{
    int64_t version = 0;
    int rc = vmscm_gitconfig_get_int(
        &version, repo->config, "core.repositoryformatversion", 0, err);

    if (rc || version < 2)
        return rc;
    rc = vmscm_gitconfig_get(&repo->promisor, repo->config, VMSCM_HANDLE_LAZY, err);
    if (rc != VMSCM_ENOTFOUND)
        return rc;
    vmscm_error_clear(err);
    return 0;
}

/* The version goes last: an older vmscm refuses the repository from then on. */
int vmscm_handle_set_promisor(struct vmscm_repo *repo, const char *remote, struct vmscm_error *err)
{
    int rc;

    if ((rc = vmscm_gitconfig_set(
             repo->config, VMSCM_CONFIG_REPOSITORY, VMSCM_HANDLE_LAZY, remote, err)) ||
        (rc = vmscm_gitconfig_set(repo->config, VMSCM_CONFIG_REPOSITORY,
             "core.repositoryformatversion", "2", err)))
        return rc;
    free(repo->promisor);
    return vmscm_str_dup(&repo->promisor, remote, err);
}

static int set_elsewhere(struct vmscm_repo *repo, struct vmscm_error *err)
{
    int64_t size = 0;
    int rc = vmscm_gitconfig_get_int(&size, repo->config, "cache.size", CACHE_SIZE, err);

    repo->elsewhere.name = repo->promisor;
    repo->elsewhere.cache_size = size > 0 ? (uint64_t)size : 0;
    return rc ? rc : vmscm_elsewhere_set(repo->store, &repo->elsewhere, err);
}

int vmscm_handle_attach(struct vmscm_repo *repo, const struct vmscm_elsewhere *elsewhere,
    void (*detach)(void *data), struct vmscm_error *err)
{
    if (repo->detach)
        repo->detach(repo->elsewhere.data);
    repo->elsewhere = *elsewhere;
    repo->detach = detach;
    return repo->store ? set_elsewhere(repo, err) : 0;
}

int vmscm_handle_store(struct vmscm_store **out, struct vmscm_repo *repo, struct vmscm_error *err)
{
    int rc = 0;

    if (!repo->store && repo->far)
        rc = repo->far->prepare(repo->far->data, err);
    if (!repo->store && !rc && !(rc = vmscm_store_open(&repo->store, repo->path, err))) {
        if (repo->far)
            vmscm_store_read_from(repo->store, repo->far->packs);
        if (repo->promisor && (rc = set_elsewhere(repo, err))) {
            vmscm_store_close(repo->store);
            repo->store = NULL;
        }
    }
    *out = repo->store;
    return rc;
}

int vmscm_handle_check_near(const struct vmscm_repo *repo, struct vmscm_error *err)
{
    if (!repo->far)
        return 0;
    vmscm_error_set(err, VMSCM_EREFUSED, "%.400s: is not changed or checked in place", repo->far->url);
    return vmscm_error_hint(err, "clone it, work there, and push");
}

const char *vmscm_handle_name(const struct vmscm_repo *repo)
{
    return repo->far ? repo->far->url : repo->path;
}

int vmscm_handle_who(struct vmscm_signature *author, struct vmscm_signature *committer,
    struct vmscm_repo *repo, struct vmscm_error *err)
{
    struct vmscm_signature self = {0};
    int rc = vmscm_ident_default(&self, repo->config, err);

    if (rc)
        return rc;
    if (repo->has_when) {
        self.time = repo->when;
        self.offset = repo->when_offset;
    }
    rc = vmscm_ident_dup(author, repo->author.name ? &repo->author : &self, err);
    if (!rc) {
        author->time = self.time;
        author->offset = self.offset;
        if (committer)
            *committer = self;
        else
            vmscm_ident_release(&self);
        return 0;
    }
    vmscm_ident_release(&self);
    return rc;
}

int vmscm_handle_head(char **ref, const char *machine, struct vmscm_error *err)
{
    return vmscm_str_printf(ref, err, VMSCM_HANDLE_HEADS "%s", machine);
}

int vmscm_handle_tag(char **ref, const char *machine, const char *tag, struct vmscm_error *err)
{
    return vmscm_str_printf(ref, err, VMSCM_HANDLE_TAGS "%s/%s", machine, tag ? tag : "");
}

int vmscm_handle_jobs(unsigned *jobs, struct vmscm_repo *repo, unsigned asked,
    struct vmscm_error *err)
{
    int64_t configured = 0;
    unsigned cores = vmscm_parallel_cores();
    int rc = asked ? 0 : vmscm_gitconfig_get_int(&configured, repo->config, "core.jobs", 0, err);

    if (rc)
        return rc;
    if (!asked && configured > 0)
        asked = configured > VMSCM_PARALLEL_MAX ? VMSCM_PARALLEL_MAX : (unsigned)configured;
    if (!asked)
        asked = cores > DEFAULT_JOBS_MAX ? DEFAULT_JOBS_MAX : cores;
    *jobs = asked > VMSCM_PARALLEL_MAX ? VMSCM_PARALLEL_MAX : asked;
    return 0;
}

static int commit_lock(int *fd, struct vmscm_repo *repo, enum vmscm_lockfile_mode mode,
    struct vmscm_error *err)
{
    char *path = NULL;
    int rc = repo->far && repo->far->writable ? 0 : vmscm_handle_check_near(repo, err);

    if (!rc && !(rc = vmscm_str_printf(&path, err, "%s/locks/commit", repo->path)) &&
        !(rc = vmscm_lockfile_acquire(fd, path, mode, err)) &&
        (rc = vmscm_gitdb_reload(repo->git, err)))
        vmscm_lockfile_release(fd);
    free(path);
    return rc;
}

int vmscm_handle_commit_lock(int *fd, struct vmscm_repo *repo, struct vmscm_error *err)
{
    return commit_lock(fd, repo, VMSCM_LOCK_SHARED, err);
}

int vmscm_handle_commit_lock_alone(int *fd, struct vmscm_repo *repo, struct vmscm_error *err)
{
    return commit_lock(fd, repo, VMSCM_LOCK_EXCLUSIVE, err);
}

static void tell(void (*how)(void *, const char *), void *data, const char *fmt, va_list ap)
{
    char text[1024];

    if (how && vsnprintf(text, sizeof text, fmt, ap) >= 0)
        how(data, text);
}

void vmscm_handle_warn(const struct vmscm_events *events, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    tell(events ? events->warning : NULL, events ? events->data : NULL, fmt, ap);
    va_end(ap);
}

void vmscm_handle_note(const struct vmscm_events *events, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    tell(events ? events->note : NULL, events ? events->data : NULL, fmt, ap);
    va_end(ap);
}

int vmscm_handle_canceled(const struct vmscm_events *events, struct vmscm_error *err)
{
    if (events && events->canceled && events->canceled(events->data))
        return vmscm_error_set(err, VMSCM_ECANCELED, "interrupted");
    return 0;
}
