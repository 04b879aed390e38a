/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fetch, pull, clone, and looking at a remote. */
#include "base/str.h"
#include "history/reflist.h"
#include "remote/fetching.h"
#include "remote/pathway.h"
#include "repo/refnames.h"
#include "remote/session.h"
#include "sys/file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <vmscm/remote.h>

#define ORIGIN "origin"
#define UNFINISHED "remote." ORIGIN ".unfinished" /* a clone that was not completed */

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

#define MIRROR "remote.%s.mirror"

/* Whether all here is to be as that remote has it. */
static int is_mirror(bool *yes, struct vmscm_repo *repo, const char *remote, struct vmscm_error *err)
{
    int64_t value = 0;
    char *key = NULL;
    int rc = vmscm_str_printf(&key, err, MIRROR, remote);

    if (!rc)
        rc = vmscm_gitconfig_get_int(&value, repo->config, key, 0, err);
    *yes = value != 0;
    free(key);
    return rc;
}

/* The transfer itself; the session is closed. */
static int run(struct vmscm_fetching *f, struct vmscm_session *session,
    struct vmscm_remote_result *result, struct vmscm_error *err)
{
    struct vmscm_remote_options all = *f->options;
    bool mirror = false;
    int rc = 0;

    f->session = session;
    if (session->bundle && f->options->prune)
        return vmscm_error_set(err, VMSCM_EUSAGE,
            "%s: a bundle does not say what is gone elsewhere", session->url);
    if (!session->remote) {
        rc = vmscm_error_set(
            err, VMSCM_EUSAGE, "%s: only what a remote has is remembered", session->url);
        vmscm_error_hint(err, "vmscm remote add NAME URL first, then name it");
    } else if (!(rc = is_mirror(&mirror, f->repo, session->remote, err))) {
        if (mirror && f->what != VMSCM_FETCHING_PULL) {
            all.prune = all.tags = !session->bundle;
            f->options = &all;
            f->what = VMSCM_FETCHING_MIRROR;
        }
        rc = vmscm_fetching_run(f, err);
    }
    vmscm_session_measure(session, result);
    return rc;
}

static int fetch(struct vmscm_repo *repo, const struct vmscm_remote_options *options,
    enum vmscm_fetching_what what, const struct vmscm_events *events,
    int (*each)(void *data, const struct vmscm_remote_item *item), void *data,
    struct vmscm_remote_result *result, struct vmscm_error *err)
{
    struct vmscm_remote_result own = {0};
    struct vmscm_items items = {0};
    struct vmscm_session session = {0};
    struct vmscm_fetching f = {.repo = repo,
        .options = options,
        .events = events,
        .what = what,
        .items = &items,
        .result = &own};
    double begin = now();
    int rc = vmscm_session_open(&session, repo, options->remote, events, options->limit, err);

    if (!rc)
        rc = run(&f, &session, &own, err);
    vmscm_session_close(&session, rc ? err : NULL);
    /* What ssh said may be the reason. */
    if (rc && err && err->code)
        rc = err->code;
    own.seconds = now() - begin;
    if (!rc)
        rc = vmscm_items_tell(&items, each, data, &own, err);
    vmscm_items_release(&items);
    if (result)
        *result = own;
    return rc;
}

int vmscm_remote_fetch(struct vmscm_repo *repo, const struct vmscm_remote_options *options,
    const struct vmscm_events *events,
    int (*each)(void *data, const struct vmscm_remote_item *item), void *data,
    struct vmscm_remote_result *result, struct vmscm_error *err)
{
    return fetch(repo, options, VMSCM_FETCHING_TRACK, events, each, data, result, err);
}

int vmscm_remote_pull(struct vmscm_repo *repo, const struct vmscm_remote_options *options,
    const struct vmscm_events *events,
    int (*each)(void *data, const struct vmscm_remote_item *item), void *data,
    struct vmscm_remote_result *result, struct vmscm_error *err)
{
    return fetch(repo, options, VMSCM_FETCHING_PULL, events, each, data, result, err);
}

int vmscm_remote_show(struct vmscm_repo *repo, const char *remote,
    int (*each)(void *data, const struct vmscm_remote_ref *ref), void *data,
    struct vmscm_error *err)
{
    struct vmscm_session session = {0};
    int rc = vmscm_session_open(&session, repo, remote, NULL, 0, err);

    for (size_t i = 0; i < session.refs.len && !rc; i++) {
        struct vmscm_remote_ref ref = {.id = session.refs.items[i].commit};
        char *machine = NULL;
        if (vmscm_refnames_kind(session.refs.items[i].name, &machine, &ref.tag) !=
                VMSCM_REFNAMES_NOTE &&
            machine) {
            ref.machine = machine;
            rc = each(data, &ref);
        }
        free(machine);
    }
    vmscm_session_close(&session, rc ? err : NULL);
    return rc && err && err->code ? (int)err->code : rc;
}

static int found_ref(void *data, const char *ref, const char *id)
{
    (void)data;
    (void)ref;
    (void)id;
    return 1;
}

static int found_remote(void *data, const char *name, const char *url)
{
    return found_ref(data, name, url);
}

/* A repository is there: whether it is what an interrupted clone left. */
static int check_unfinished(struct vmscm_repo *repo, const char *path, const char *url,
    struct vmscm_error *err)
{
    char *state = NULL, *there = NULL;
    bool same = vmscm_gitconfig_get(&state, repo->config, UNFINISHED, NULL) == 0 &&
        vmscm_remote_url(&there, repo, ORIGIN, NULL) == 0 && strcmp(there, url) == 0;

    free(state);
    free(there);
    /* Killed before it said what it is, it is empty. */
    if (same || (vmscm_remote_list(repo, found_remote, NULL, NULL) == 0 &&
                    vmscm_reflist_walk(repo->git, "refs/", found_ref, NULL, NULL) == 0))
        return 0;
    return vmscm_error_set(err, VMSCM_EEXIST, "%s: there is a repository already", path);
}

/* *fresh: it was not there before. */
static int make(char **path, struct vmscm_repo **repo, bool *fresh, const char *dir, int bare,
    const char *url, struct vmscm_error *err)
{
    char *clean = NULL;
    int rc = vmscm_repo_init(path, dir, bare, err);

    *fresh = !rc;
    if (rc == VMSCM_EEXIST) {
        if (vmscm_repo_open(repo, dir, NULL))
            return rc;
        vmscm_error_clear(err);
        if ((rc = vmscm_str_dup(path, (*repo)->path, err)) ||
            (rc = check_unfinished(*repo, *path, url, err)))
            return rc;
    } else if (rc || (rc = vmscm_repo_open(repo, *path, err))) {
        return rc;
    }
    rc = vmscm_remote_url(&clean, *repo, ORIGIN, err);
    free(clean);
    if (rc != VMSCM_ENOTFOUND)
        return rc;
    vmscm_error_clear(err);
    if (!(rc = vmscm_gitconfig_set(
              (*repo)->config, VMSCM_CONFIG_REPOSITORY, UNFINISHED, "true", err)))
        rc = vmscm_remote_add(*repo, ORIGIN, url, err);
    return rc;
}

/* A path is as it is seen from here, whatever the new repository's is. */
static int absolute(char **out, const char *url, struct vmscm_error *err)
{
    char *path = NULL;
    int rc;

    if (strstr(url, "://") || *url == '~' || strchr(url, ':'))
        return vmscm_str_dup(out, url, err);
    if (!(rc = vmscm_pathway_expand(&path, url, err)))
        rc = vmscm_file_realpath(out, path, err);
    free(path);
    return rc;
}

int vmscm_remote_clone(char **path, const char *url, const char *dir, int bare,
    const struct vmscm_remote_options *options, const struct vmscm_events *events,
    int (*each)(void *data, const struct vmscm_remote_item *item), void *data,
    struct vmscm_remote_result *result, struct vmscm_error *err)
{
    struct vmscm_remote_options all = *options;
    struct vmscm_remote_result own = {0};
    struct vmscm_repo *repo = NULL;
    char *clean = NULL;
    struct stat st;
    bool fresh = false, there = stat(dir, &st) == 0;
    int rc;

    *path = NULL;
    all.remote = ORIGIN;
    all.tags = 1;
    if ((rc = absolute(&clean, url, err)) || (rc = make(path, &repo, &fresh, dir, bare, clean, err)))
        goto out;
    if (options->mirror &&
        (rc = vmscm_gitconfig_set(
             repo->config, VMSCM_CONFIG_REPOSITORY, "remote." ORIGIN ".mirror", "true", err)))
        goto out;
    /* One that was interrupted goes on as it began. */
    if (options->lazy && !repo->promisor && (rc = vmscm_handle_set_promisor(repo, ORIGIN, err)))
        goto out;
    rc = fetch(repo, &all, VMSCM_FETCHING_CLONE, events, each, data, &own, err);
    if (!rc)
        rc = vmscm_gitconfig_set(repo->config, VMSCM_CONFIG_REPOSITORY, UNFINISHED, NULL, err);
    else if (own.round_trips && err && !err->hint[0])
        vmscm_error_hint(err, "what came is kept: the same command goes on");
out:
    vmscm_repo_close(repo);
    /* Of one that there was nothing to clone for, nothing stays but a directory that was there before; a
     * bare repository had taken its place. */
    if (rc && fresh && !own.round_trips) {
        vmscm_file_remove_tree(*path, NULL);
        if (!there)
            rmdir(dir);
        else if (bare)
            mkdir(dir, st.st_mode & 07777);
    }
    if (result)
        *result = own;
    free(clean);
    if (rc) {
        free(*path);
        *path = NULL;
    }
    return rc;
}
