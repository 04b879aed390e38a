/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <vmscm/repo.h>

#include "base/path.h"
#include "base/str.h"
#include "history/ident.h"
#include "history/pruned.h"
#include "repo/handle.h"
#include "repo/names.h"
#include "repo/workfile.h"
#include "sys/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DOT_NAME ".vmscm"

static const char *const directories[] = {"packs", "tmp", "quarantine", "trash", "leases", "locks"};

static bool is_dir(const char *dir, const char *name)
{
    char *path = NULL;
    struct stat st;
    bool yes = !vmscm_path_join(&path, dir, name, NULL) && stat(path, &st) == 0 &&
        S_ISDIR(st.st_mode);

    free(path);
    return yes;
}

static bool is_repository(const char *dir)
{
    return is_dir(dir, "git") && is_dir(dir, "packs");
}

/* All of a repository in directory dir, which exists and is empty. */
static int fill(const char *dir, struct vmscm_error *err)
{
    static const char config[] = "[core]\n\trepositoryformatversion = 1\n";
    char *path = NULL;
    int rc = 0;

    for (size_t i = 0; i < sizeof directories / sizeof directories[0] && !rc; i++) {
        if (!(rc = vmscm_path_join(&path, dir, directories[i], err)) && mkdir(path, 0777) < 0)
            rc = vmscm_error_errno(err, errno, "%s", path);
        free(path);
        path = NULL;
    }
    if (!rc && !(rc = vmscm_path_join(&path, dir, "config", err)))
        rc = vmscm_file_replace(path, config, sizeof config - 1, 0666, err);
    free(path);
    path = NULL;
    if (!rc && !(rc = vmscm_path_join(&path, dir, "git", err)))
        rc = vmscm_gitdb_init(path, err);
    free(path);
    return rc ? rc : vmscm_file_sync_dir(dir, err);
}

int vmscm_repo_init(char **path, const char *dir, int bare, struct vmscm_error *err)
{
    char *base = NULL, *target = NULL, *parent = NULL, *tmp = NULL;
    int lock = -1, rc;

    /* A bare repository's own directory must not be there yet, or be empty; the parent of either
     * kind is made as needed. */
    if (bare) {
        if ((rc = vmscm_path_dirname(&parent, dir, err)) || (rc = vmscm_file_mkdirs(parent, err)) ||
            (rc = vmscm_file_realpath(&base, parent, err)) ||
            (rc = vmscm_path_join(&target, base, vmscm_path_basename(dir), err)))
            goto out;
    } else if ((rc = vmscm_file_mkdirs(dir, err)) || (rc = vmscm_file_realpath(&base, dir, err)) ||
        (rc = vmscm_path_join(&target, base, DOT_NAME, err))) {
        goto out;
    }
    if (is_repository(target)) {
        rc = vmscm_error_set(err, VMSCM_EEXIST, "%s: there is a repository already", target);
        goto out;
    }
    /* Made aside and renamed, so that there is never half a repository. */
    vmscm_file_sweep(target);
    if ((rc = vmscm_file_mkdir_beside(&lock, &tmp, target, err))) {
        vmscm_error_prefix(err, "making a repository");
        goto out;
    }
    if (!(rc = fill(tmp, err)) && rename(tmp, target) < 0) {
        if (errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR)
            rc = vmscm_error_set(
                err, VMSCM_EEXIST, "%s: exists and is not a repository", target);
        else
            rc = vmscm_error_errno(err, errno, "%s", target);
    }
    if (rc) {
        vmscm_file_remove_tree(tmp, NULL);
        goto out;
    }
    if (!(rc = vmscm_file_sync_dir(base, err))) {
        *path = target;
        target = NULL;
    }
out:
    if (lock >= 0)
        close(lock);
    free(tmp);
    free(parent);
    free(target);
    free(base);
    return rc;
}

/* What serves dir itself, not those above it: VMSCM_ENOTFOUND if nothing. */
static int discover_at(char **path, const char *dir, struct vmscm_error *err)
{
    struct vmscm_workfile work = {0};
    char *dot = NULL;
    int rc;

    if (is_repository(dir))
        return vmscm_str_dup(path, dir, err);
    if ((rc = vmscm_path_join(&dot, dir, DOT_NAME, err)))
        return rc;
    if (is_repository(dot)) {
        *path = dot;
        return 0;
    }
    free(dot);
    rc = vmscm_workfile_read(&work, dir, err);
    /* One that was interrupted is gone on with from inside, too. */
    if (rc == VMSCM_ENOTFOUND && (rc = vmscm_workfile_read_partial(&work, dir, err)))
        rc = VMSCM_ENOTFOUND;
    if (rc)
        return rc;
    rc = vmscm_str_dup(path, work.repository, err);
    vmscm_workfile_release(&work);
    return rc;
}

int vmscm_repo_discover(char **path, const char *start, struct vmscm_error *err)
{
    char *dir = NULL;
    int rc = vmscm_file_realpath(&dir, start, err);

    if (rc)
        return rc;
    for (;;) {
        rc = discover_at(path, dir, err);
        if (rc != VMSCM_ENOTFOUND || strcmp(dir, "/") == 0)
            break;
        char *up = NULL;
        if ((rc = vmscm_path_dirname(&up, dir, err)))
            break;
        free(dir);
        dir = up;
    }
    free(dir);
    if (rc == VMSCM_ENOTFOUND) {
        vmscm_error_set(err, rc, "%s: no repository here or in any directory above", start);
        vmscm_error_hint(err, "vmscm init makes one; -C DIR or VMSCM_DIR names another");
    }
    return rc;
}

/* One that is only a part of another is nothing by itself. */
static int check_whole(struct vmscm_gitconfig *config, const char *path, struct vmscm_error *err)
{
    char *of = NULL;
    int rc = vmscm_gitconfig_get(&of, config, VMSCM_HANDLE_CACHE_OF, err);

    if (rc == VMSCM_ENOTFOUND) {
        vmscm_error_clear(err);
        return 0;
    }
    if (!rc) {
        rc = vmscm_error_set(err, VMSCM_EREFUSED, "%.300s: is what is kept here of %.300s", path, of);
        vmscm_error_hint(err, "name that one by its URL, as with vmscm -C s3://BUCKET/PREFIX");
    }
    free(of);
    return rc;
}

int vmscm_repo_open(struct vmscm_repo **out, const char *path, struct vmscm_error *err)
{
    return vmscm_repo_open_far(out, path, NULL, err);
}

int vmscm_repo_open_far(struct vmscm_repo **out, const char *path, struct vmscm_handle_far *far,
    struct vmscm_error *err)
{
    struct vmscm_repo *repo = calloc(1, sizeof *repo);
    char *real = NULL, *git = NULL, *locks = NULL, *config = NULL;
    int rc;

    if (!repo)
        return vmscm_error_nomem(err);
    if ((rc = vmscm_file_realpath(&real, path, err)))
        goto out;
    if (is_repository(real))
        rc = vmscm_str_dup(&repo->path, real, err);
    else
        rc = vmscm_path_join(&repo->path, real, DOT_NAME, err);
    if (rc)
        goto out;
    if (!is_repository(repo->path)) {
        rc = access(real, R_OK | X_OK) < 0
            ? vmscm_error_errno(err, errno, "%s", real)
            : vmscm_error_set(err, VMSCM_ENOTFOUND, "%s: not a repository", path);
        goto out;
    }
    if (access(repo->path, R_OK | X_OK) < 0) {
        rc = vmscm_error_errno(err, errno, "%s", repo->path);
        goto out;
    }
    if ((rc = vmscm_path_join(&config, repo->path, "config", err)) ||
        (rc = vmscm_path_join(&git, repo->path, "git", err)) ||
        (rc = vmscm_path_join(&locks, repo->path, "locks", err)) ||
        (rc = vmscm_gitconfig_open(&repo->config, config, err)) ||
        (rc = vmscm_handle_check_version(repo->config, repo->path, err)) ||
        (!far && (rc = check_whole(repo->config, path, err))) ||
        (rc = vmscm_handle_read_promisor(repo, err)))
        goto out;
    rc = vmscm_gitdb_open(&repo->git, git, locks, err);
out:
    free(config);
    free(locks);
    free(git);
    free(real);
    if (rc) {
        vmscm_repo_close(repo);
    } else {
        repo->far = far;
        *out = repo;
    }
    return rc;
}

void vmscm_repo_close(struct vmscm_repo *repo)
{
    if (!repo)
        return;
    vmscm_store_close(repo->store);
    if (repo->detach)
        repo->detach(repo->elsewhere.data);
    vmscm_names_free(repo->names);
    vmscm_pruned_free(repo->pruned);
    vmscm_gitdb_close(repo->git);
    vmscm_gitconfig_close(repo->config);
    vmscm_ident_release(&repo->author);
    free(repo->promisor);
    free(repo->path);
    if (repo->far)
        repo->far->close(repo->far->data);
    free(repo);
}

const char *vmscm_repo_path(const struct vmscm_repo *repo)
{
    return repo->path;
}

void vmscm_free(void *memory)
{
    free(memory);
}

/* Runs with the repository's configuration, or with the user's alone. */
static int with_config(struct vmscm_gitconfig **config, struct vmscm_gitconfig **own,
    struct vmscm_repo *repo, struct vmscm_error *err)
{
    int rc = repo ? 0 : vmscm_gitconfig_open(own, NULL, err);

    *config = repo ? repo->config : *own;
    return rc;
}

int vmscm_repo_config_get(char **value, struct vmscm_repo *repo, const char *key,
    struct vmscm_error *err)
{
    struct vmscm_gitconfig *config, *own = NULL;
    int rc = with_config(&config, &own, repo, err);

    if (!rc)
        rc = vmscm_gitconfig_get(value, config, key, err);
    vmscm_gitconfig_close(own);
    return rc;
}

int vmscm_repo_config_set(struct vmscm_repo *repo, enum vmscm_config_level level,
    const char *key, const char *value, struct vmscm_error *err)
{
    struct vmscm_gitconfig *config, *own = NULL;
    int rc = with_config(&config, &own, repo, err);

    if (!rc && !repo && level == VMSCM_CONFIG_REPOSITORY)
        rc = vmscm_error_set(err, VMSCM_EUSAGE, "no repository to configure");
    if (!rc)
        rc = vmscm_gitconfig_set(config, level, key, value, err);
    vmscm_gitconfig_close(own);
    return rc;
}

int vmscm_repo_config_list(struct vmscm_repo *repo,
    int (*each)(void *data, enum vmscm_config_level level, const char *key, const char *value),
    void *data, struct vmscm_error *err)
{
    struct vmscm_gitconfig *config, *own = NULL;
    int rc = with_config(&config, &own, repo, err);

    if (!rc)
        rc = vmscm_gitconfig_list(config, each, data, err);
    vmscm_gitconfig_close(own);
    return rc;
}
