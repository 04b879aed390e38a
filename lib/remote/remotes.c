/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "remote/remotes.h"
#include "base/path.h"
#include "base/str.h"
#include "base/vec.h"
#include "history/ident.h"
#include "history/reflist.h"
#include "history/refs.h"
#include "history/revspec.h"
#include "repo/refnames.h"
#include "remote/url.h"
#include "repo/handle.h"
#include "sys/file.h"
#include "sys/lockfile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vmscm/remote.h>

#define SECTION "remote."
#define URL_KEY ".url"

static int check_name(const char *name, struct vmscm_error *err)
{
    /* It becomes a part of refs' names, and of a revision as it is written. */
    if (vmscm_revspec_check_tag(name, NULL))
        return vmscm_error_set(
            err, VMSCM_EUSAGE, "%.200s: not a name of a remote", *name ? name : "\"\"");
    return 0;
}

/* A URL as it is kept: a path does not depend on where one is. *out is the caller's. */
static int clean_url(char **out, const char *text, struct vmscm_error *err)
{
    struct vmscm_url url;
    char *here = NULL;
    int rc = vmscm_url_parse(&url, text, err);

    if (rc)
        return rc;
    if (url.kind != VMSCM_URL_PATH || vmscm_str_starts(text, "file://") || *text == '/' ||
        *text == '~') {
        rc = vmscm_str_dup(out, text, err);
    } else if (vmscm_file_realpath(out, text, NULL)) {
        here = getcwd(NULL, 0);
        rc = here ? vmscm_path_join(out, here, text, err)
                  : vmscm_error_errno(err, errno, "the current directory");
    }
    free(here);
    vmscm_url_release(&url);
    return rc;
}

static int key_of(char **key, const char *name, const char *last, struct vmscm_error *err)
{
    return vmscm_str_printf(key, err, SECTION "%s%s", name, last);
}

static int not_found(const char *name, struct vmscm_error *err)
{
    vmscm_error_set(err, VMSCM_ENOTFOUND, "%.200s: no such remote", name);
    return vmscm_error_hint(err, "vmscm remote lists them; vmscm remote add makes one");
}

int vmscm_remote_url(char **url, struct vmscm_repo *repo, const char *name, struct vmscm_error *err)
{
    char *key = NULL;
    int rc;

    *url = NULL;
    if (!(rc = check_name(name, err)) && !(rc = key_of(&key, name, URL_KEY, err)) &&
        (rc = vmscm_gitconfig_get(url, repo->config, key, err)) == VMSCM_ENOTFOUND)
        rc = not_found(name, err);
    free(key);
    return rc;
}

static int set(struct vmscm_repo *repo, const char *name, const char *last, const char *value,
    struct vmscm_error *err)
{
    char *key = NULL;
    int rc = key_of(&key, name, last, err);

    if (!rc)
        rc = vmscm_gitconfig_set(repo->config, VMSCM_CONFIG_REPOSITORY, key, value, err);
    free(key);
    return rc;
}

int vmscm_remote_add(struct vmscm_repo *repo, const char *name, const char *url,
    struct vmscm_error *err)
{
    char *there = NULL, *clean = NULL;
    int rc;

    if ((rc = check_name(name, err)) || (rc = clean_url(&clean, url, err)))
        return rc;
    if (!(rc = vmscm_remote_url(&there, repo, name, err)))
        rc = vmscm_error_set(err, VMSCM_EEXIST, "%s: there is a remote of that name", name);
    if (rc == VMSCM_ENOTFOUND) {
        vmscm_error_clear(err);
        rc = set(repo, name, URL_KEY, clean, err);
    }
    free(there);
    free(clean);
    return rc;
}

int vmscm_remote_set_url(struct vmscm_repo *repo, const char *name, const char *url,
    struct vmscm_error *err)
{
    char *there = NULL, *clean = NULL;
    int rc;

    if (!(rc = clean_url(&clean, url, err)) && !(rc = vmscm_remote_url(&there, repo, name, err)))
        rc = set(repo, name, URL_KEY, clean, err);
    free(there);
    free(clean);
    return rc;
}

struct remote {
    char *name, *url;
};

struct remotes {
    VMSCM_VEC(struct remote) list;
    struct vmscm_error *err;
};

/* The repository's own come last, and count. */
static int add_remote(void *data, enum vmscm_config_level level, const char *key, const char *value)
{
    struct remotes *remotes = data;
    struct remote *slot = NULL;
    size_t len = strlen(key);
    char *name = NULL;
    int rc;

    (void)level;
    if (!vmscm_str_starts(key, SECTION) || !vmscm_str_ends(key, URL_KEY) ||
        len <= strlen(SECTION URL_KEY))
        return 0;
    if ((rc = vmscm_str_printf(&name, remotes->err, "%.*s", (int)(len - strlen(SECTION URL_KEY)),
             key + strlen(SECTION))))
        return rc;
    for (size_t i = 0; i < remotes->list.len; i++)
        if (strcmp(remotes->list.items[i].name, name) == 0)
            slot = &remotes->list.items[i];
    if (slot) {
        free(name);
        free(slot->url);
        slot->url = NULL;
    } else if ((rc = vmscm_vec_add(&remotes->list, &slot, remotes->err))) {
        free(name);
        return rc;
    } else {
        slot->name = name;
    }
    return vmscm_str_dup(&slot->url, value, remotes->err);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct remote *)a)->name, ((const struct remote *)b)->name);
}

static int read_remotes(struct remotes *remotes, struct vmscm_repo *repo, struct vmscm_error *err)
{
    int rc;

    remotes->err = err;
    if ((rc = vmscm_gitconfig_list(repo->config, add_remote, remotes, err)))
        return rc;
    if (remotes->list.len)
        qsort(remotes->list.items, remotes->list.len, sizeof *remotes->list.items, by_name);
    return 0;
}

static void release_remotes(struct remotes *remotes)
{
    for (size_t i = 0; i < remotes->list.len; i++) {
        free(remotes->list.items[i].name);
        free(remotes->list.items[i].url);
    }
    vmscm_vec_release(&remotes->list);
}

int vmscm_remote_list(struct vmscm_repo *repo,
    int (*each)(void *data, const char *name, const char *url), void *data,
    struct vmscm_error *err)
{
    struct remotes remotes = {0};
    int rc = read_remotes(&remotes, repo, err);

    for (size_t i = 0; i < remotes.list.len && !rc; i++)
        rc = each(data, remotes.list.items[i].name, remotes.list.items[i].url);
    release_remotes(&remotes);
    return rc;
}

int vmscm_remotes_resolve(char **name, char **url, struct vmscm_repo *repo, const char *word,
    struct vmscm_error *err)
{
    struct remotes remotes = {0};
    int rc = read_remotes(&remotes, repo, err);

    if (rc)
        goto out;
    if (word && vmscm_url_is(word)) {
        rc = vmscm_str_dup(url, word, err);
        goto out;
    }
    for (size_t i = 0; i < remotes.list.len; i++) {
        const struct remote *remote = &remotes.list.items[i];
        if (word ? strcmp(remote->name, word) != 0
                 : remotes.list.len > 1 && strcmp(remote->name, "origin") != 0)
            continue;
        if (!(rc = check_name(remote->name, err)) && !(rc = vmscm_str_dup(name, remote->name, err)))
            rc = vmscm_str_dup(url, remote->url, err);
        goto out;
    }
    if (word) {
        rc = not_found(word, err);
    } else {
        rc = vmscm_error_set(err, VMSCM_ENOTFOUND, "%s",
            remotes.list.len ? "there are several remotes: none is named \"origin\""
                             : "the repository: has no remote");
        vmscm_error_hint(err, remotes.list.len ? "name one of them" : "vmscm remote add NAME URL");
    }
out:
    release_remotes(&remotes);
    return rc;
}

/* Refs of a remote that are remembered. */
struct tracked {
    VMSCM_VEC(char *) refs;
    struct vmscm_error *err;
};

static int add_ref(void *data, const char *ref, const char *id)
{
    struct tracked *tracked = data;
    char **slot;

    (void)id;
    return vmscm_vec_add(&tracked->refs, &slot, tracked->err)
        ? VMSCM_ENOMEM
        : vmscm_str_dup(slot, ref, tracked->err);
}

static const char *const rooms[] = {VMSCM_REFNAMES_TRACKED, VMSCM_REFNAMES_TAGS};

/* For each ref that is remembered of a remote: under another's name if there is one, and then not under
 * its own. */
static int move_tracked(struct vmscm_repo *repo, const char *from, const char *to,
    struct vmscm_error *err)
{
    struct vmscm_signature who = {0};
    struct tracked tracked = {.err = err};
    char *prefix = NULL, *ref = NULL;
    int lock = -1, rc;

    if ((rc = vmscm_handle_who(&who, NULL, repo, err)) ||
        (rc = vmscm_handle_commit_lock(&lock, repo, err)))
        goto out;
    for (size_t i = 0; i < 2 && !rc; i++) {
        free(prefix);
        prefix = NULL;
        for (size_t k = 0; k < tracked.refs.len; k++)
            free(tracked.refs.items[k]);
        tracked.refs.len = 0;
        if ((rc = vmscm_str_printf(&prefix, err, "%s%s/", rooms[i], from)) ||
            (rc = vmscm_reflist_walk(repo->git, prefix, add_ref, &tracked, err)))
            break;
        for (size_t k = 0; k < tracked.refs.len && !rc; k++) {
            const char *old = tracked.refs.items[k];
            free(ref);
            ref = NULL;
            if (!to)
                rc = vmscm_refs_delete(repo->git, old, NULL, err);
            else if (!(rc = vmscm_str_printf(
                           &ref, err, "%s%s/%s", rooms[i], to, old + strlen(prefix))))
                rc = vmscm_refs_rename(repo->git, old, ref, &who, "remote: renamed", err);
        }
    }
out:
    vmscm_lockfile_release(&lock);
    for (size_t k = 0; k < tracked.refs.len; k++)
        free(tracked.refs.items[k]);
    vmscm_vec_release(&tracked.refs);
    vmscm_ident_release(&who);
    free(prefix);
    free(ref);
    return rc;
}

/* Every setting of a remote: for another if there is one, and then not for itself. */
struct settings {
    struct vmscm_repo *repo;
    VMSCM_VEC(struct remote) list; /* the last part of the key, and its value */
    const char *name;
    struct vmscm_error *err;
};

static int add_setting(void *data, enum vmscm_config_level level, const char *key,
    const char *value)
{
    struct settings *s = data;
    const char *last = strrchr(key, '.');
    size_t len = strlen(SECTION) + strlen(s->name);
    struct remote *slot;

    if (level != VMSCM_CONFIG_REPOSITORY || !last || (size_t)(last - key) != len ||
        !vmscm_str_starts(key, SECTION) || strncmp(key + strlen(SECTION), s->name, strlen(s->name)) != 0)
        return 0;
    if (vmscm_vec_add(&s->list, &slot, s->err) || vmscm_str_dup(&slot->name, last, s->err))
        return VMSCM_ENOMEM;
    return vmscm_str_dup(&slot->url, value, s->err);
}

static int move_settings(struct vmscm_repo *repo, const char *from, const char *to, bool remove,
    struct vmscm_error *err)
{
    struct settings s = {.repo = repo, .name = from, .err = err};
    int rc = vmscm_gitconfig_list(repo->config, add_setting, &s, err);

    for (size_t i = 0; i < s.list.len && !rc; i++)
        if (to)
            rc = set(repo, to, s.list.items[i].name, s.list.items[i].url, err);
    for (size_t i = s.list.len; i-- && !rc && remove;)
        rc = set(repo, from, s.list.items[i].name, NULL, err);
    for (size_t i = 0; i < s.list.len; i++) {
        free(s.list.items[i].name);
        free(s.list.items[i].url);
    }
    vmscm_vec_release(&s.list);
    return rc;
}

/* Whether the repository lacks what that remote has. */
static bool is_promisor(const struct vmscm_repo *repo, const char *name)
{
    return repo->promisor && strcmp(repo->promisor, name) == 0;
}

/* The old name's settings go last: who is killed before can do it again. */
int vmscm_remote_rename(struct vmscm_repo *repo, const char *from, const char *to,
    struct vmscm_error *err)
{
    char *url = NULL, *there = NULL;
    int rc;

    if ((rc = check_name(to, err)) || (rc = vmscm_remote_url(&url, repo, from, err)))
        return rc;
    rc = strcmp(from, to) == 0 ? 0 : vmscm_remote_url(&there, repo, to, err);
    if (!rc && (!there || strcmp(there, url) != 0)) {
        rc = vmscm_error_set(err, VMSCM_EEXIST, "%s: there is a remote of that name", to);
        goto out;
    }
    if (rc == VMSCM_ENOTFOUND) {
        vmscm_error_clear(err);
        rc = 0;
    }
    if (!rc && !(rc = move_settings(repo, from, to, false, err)) &&
        !(rc = move_tracked(repo, from, to, err)) &&
        !(rc = is_promisor(repo, from) ? vmscm_handle_set_promisor(repo, to, err) : 0))
        rc = move_settings(repo, from, NULL, true, err);
out:
    free(url);
    free(there);
    return rc;
}

int vmscm_remote_remove(struct vmscm_repo *repo, const char *name, struct vmscm_error *err)
{
    char *url = NULL;
    int rc = vmscm_remote_url(&url, repo, name, err);

    if (!rc && is_promisor(repo, name)) {
        rc = vmscm_error_set(
            err, VMSCM_EREFUSED, "%s: it has what this lazy repository lacks", name);
        vmscm_error_hint(err, "vmscm remote set-url names another place that has the same");
    }
    if (!rc && !(rc = move_tracked(repo, name, NULL, err)))
        rc = move_settings(repo, name, NULL, true, err);
    free(url);
    return rc;
}

int vmscm_remote_is_url(const char *word)
{
    return vmscm_url_is(word);
}
