/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Machines as names: list, clone, rename, remove. */
#include "base/str.h"
#include "base/vec.h"
#include "history/ident.h"
#include "history/pruned.h"
#include "history/reflist.h"
#include "history/refs.h"
#include "history/revspec.h"
#include "machine/model.h"
#include "repo/kept.h"
#include "repo/snapshot.h"
#include "sys/lockfile.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <vmscm/remote.h>

struct list_walk {
    struct vmscm_repo *repo;
    const char *prefix; /* of the refs */
    const char *pattern;
    struct vmscm_pruned *pruned; /* NULL: none */
    int (*each)(void *data, const struct vmscm_machine_entry *entry);
    void *data;
};

static int list_one(void *data, const char *ref, const char *id)
{
    struct list_walk *w = data;
    struct vmscm_machine_entry entry = {.name = ref + strlen(w->prefix)};
    struct vmscm_error why = VMSCM_ERROR_INIT;
    struct vmscm_gitdb_info info = {0};
    struct vmscm_machine *machine = NULL;
    char *summary = NULL;
    int rc;

    if (w->pattern && fnmatch(w->pattern, entry.name, 0) != 0)
        return 0;
    entry.id = id;
    if (!id) {
        vmscm_error_set(&why, VMSCM_EDAMAGED, "its ref cannot be read");
    } else if (!vmscm_gitdb_read_commit(&info, w->repo->git, id, &why)) {
        entry.time = info.author.time;
        if (vmscm_str_printf(
                &summary, &why, "%.*s", (int)strcspn(info.message, "\n"), info.message) == 0)
            entry.summary = summary;
        if (!vmscm_snapshot_machine(&machine, w->repo, id, &why)) {
            entry.disk_count = machine->disk_count;
            for (size_t i = 0; i < machine->disk_count; i++)
                entry.size += machine->disks[i].size;
        }
    }
    entry.pruned = id && vmscm_pruned_has(w->pruned, id);
    entry.damage = why.code ? why.message : NULL;
    rc = w->each(w->data, &entry);
    vmscm_model_free(machine);
    vmscm_gitdb_info_release(&info);
    free(summary);
    return rc;
}

static int list_all(struct vmscm_repo *repo, const char *prefix, const char *pattern,
    int (*each)(void *data, const struct vmscm_machine_entry *entry), void *data,
    struct vmscm_error *err)
{
    struct list_walk walk = {repo, prefix, pattern, NULL, each, data};
    int rc;

    /* Where it cannot be told, fsck tells. */
    vmscm_pruned_load(&walk.pruned, repo->git, NULL);
    rc = vmscm_reflist_walk(repo->git, prefix, list_one, &walk, err);
    vmscm_pruned_free(walk.pruned);
    return rc;
}

int vmscm_revision_machines(struct vmscm_repo *repo, const char *pattern,
    int (*each)(void *data, const struct vmscm_machine_entry *entry), void *data,
    struct vmscm_error *err)
{
    return list_all(repo, VMSCM_HANDLE_HEADS, pattern, each, data, err);
}

int vmscm_remote_machines(struct vmscm_repo *repo, const char *pattern,
    int (*each)(void *data, const struct vmscm_machine_entry *entry), void *data,
    struct vmscm_error *err)
{
    return list_all(repo, VMSCM_HANDLE_TRACKED, pattern, each, data, err);
}

int vmscm_revision_clone(struct vmscm_revision *rev, const char *name, struct vmscm_error *err)
{
    struct vmscm_signature who = {0};
    char *ref = NULL, *why = NULL, *from = NULL;
    int lock = -1, rc;

    if ((rc = vmscm_revspec_check_machine(name, err)) ||
        (rc = vmscm_handle_who(&who, NULL, rev->repo, err)) ||
        (rc = vmscm_handle_head(&ref, name, err)) ||
        (rc = vmscm_str_printf(&why, err, "clone: from %s", rev->info.id)) ||
        (rev->machine_name && (rc = vmscm_handle_head(&from, rev->machine_name, err))) ||
        (rc = vmscm_handle_commit_lock(&lock, rev->repo, err)) ||
        (rc = vmscm_snapshot_kept(rev->repo, rev->info.id, err)) ||
        (rc = vmscm_kept_check(rev->repo, rev->info.id, from, err)))
        goto out;
    rc = vmscm_refs_update(rev->repo->git, ref, "", rev->info.id, &who, why, err);
out:
    vmscm_lockfile_release(&lock);
    vmscm_ident_release(&who);
    free(from);
    free(why);
    free(ref);
    return rc;
}

struct tag_list {
    VMSCM_VEC(char *) refs;
    size_t prefix; /* bytes of "refs/tags/MACHINE/" */
    struct vmscm_error *err;
};

static int collect_tag(void *data, const char *ref, const char *id)
{
    struct tag_list *list = data;
    char **slot;

    (void)id;
    /* "refs/tags/web/" also starts the tags of a machine "web/x" that no longer exists. */
    if (strchr(ref + list->prefix, '/'))
        return 0;
    return vmscm_vec_add(&list->refs, &slot, list->err) ? VMSCM_ENOMEM
                                                        : vmscm_str_dup(slot, ref, list->err);
}

static int tags_of(struct tag_list *list, struct vmscm_repo *repo, const char *machine,
    struct vmscm_error *err)
{
    char *prefix = NULL;
    int rc = vmscm_handle_tag(&prefix, machine, NULL, err);

    if (!rc) {
        list->prefix = strlen(prefix);
        list->err = err;
        rc = vmscm_reflist_walk(repo->git, prefix, collect_tag, list, err);
    }
    free(prefix);
    return rc;
}

static void tag_list_release(struct tag_list *list)
{
    for (size_t i = 0; i < list->refs.len; i++)
        free(list->refs.items[i]);
    vmscm_vec_release(&list->refs);
}

/* Where there is no machine `to` there may be tags that someone made with plain git. With one, it is
 * either taken or this rename's already. */
static int check_tags_free(const struct tag_list *tags, struct vmscm_repo *repo, const char *to,
    struct vmscm_error *err)
{
    char *ref = NULL, id[VMSCM_GITDB_ID];
    int rc = vmscm_handle_head(&ref, to, err);
    bool there = !rc && vmscm_refs_read(id, repo->git, ref, NULL) != VMSCM_ENOTFOUND;

    for (size_t i = 0; i < tags->refs.len && !rc && !there; i++) {
        const char *tag = tags->refs.items[i] + tags->prefix;
        free(ref);
        if (!(rc = vmscm_handle_tag(&ref, to, tag, err)) &&
            vmscm_refs_read(id, repo->git, ref, NULL) != VMSCM_ENOTFOUND)
            rc = vmscm_error_set(err, VMSCM_EEXIST, "%s:%s: there is such a tag", to, tag);
    }
    free(ref);
    return rc;
}

static int rename_tags(const struct tag_list *tags, struct vmscm_repo *repo, const char *to,
    const struct vmscm_signature *who, const char *why, struct vmscm_error *err)
{
    int rc = 0;

    for (size_t i = 0; i < tags->refs.len && !rc; i++) {
        char *ref = NULL;
        if (!(rc = vmscm_handle_tag(&ref, to, tags->refs.items[i] + tags->prefix, err)))
            rc = vmscm_refs_rename(repo->git, tags->refs.items[i], ref, who, why, err);
        free(ref);
    }
    return rc;
}

static int not_found(const char *name, int rc, struct vmscm_repo *repo, struct vmscm_error *err)
{
    struct vmscm_revspec spec = {0};

    if (rc != VMSCM_ENOTFOUND)
        return rc;
    /* Looking it up as a revision gives the message with the nearest names. */
    if (vmscm_revspec_resolve(&spec, repo->git, name, err) == 0) {
        vmscm_revspec_release(&spec);
        return vmscm_error_set(err, VMSCM_ENOTFOUND, "%s: not a machine's name", name);
    }
    return VMSCM_ENOTFOUND;
}

int vmscm_revision_rename(struct vmscm_repo *repo, const char *from, const char *to,
    struct vmscm_error *err)
{
    struct vmscm_signature who = {0};
    struct tag_list tags = {0};
    char *from_ref = NULL, *to_ref = NULL, *why = NULL, id[VMSCM_GITDB_ID];
    int lock = -1, rc;

    if ((rc = vmscm_revspec_check_machine(from, err)) ||
        (rc = vmscm_revspec_check_machine(to, err)) ||
        (rc = vmscm_handle_head(&from_ref, from, err)) ||
        (rc = vmscm_handle_head(&to_ref, to, err)) ||
        (rc = vmscm_str_printf(&why, err, "rename: %s to %s", from, to)) ||
        (rc = vmscm_handle_who(&who, NULL, repo, err)) ||
        (rc = vmscm_handle_commit_lock(&lock, repo, err)))
        goto out;
    if ((rc = vmscm_refs_read(id, repo->git, from_ref, err))) {
        rc = not_found(from, rc, repo, err);
        goto out;
    }
    if ((rc = tags_of(&tags, repo, from, err)) || (rc = check_tags_free(&tags, repo, to, err)))
        goto out;
    /* The old machine goes last: who finds it after a crash can rename it again. */
    if (!(rc = vmscm_refs_copy(repo->git, from_ref, to_ref, &who, why, err)) &&
        !(rc = rename_tags(&tags, repo, to, &who, why, err)))
        rc = vmscm_refs_rename(repo->git, from_ref, to_ref, &who, why, err);
out:
    vmscm_lockfile_release(&lock);
    tag_list_release(&tags);
    vmscm_ident_release(&who);
    free(why);
    free(to_ref);
    free(from_ref);
    return rc;
}

int vmscm_revision_remove(char *id, struct vmscm_repo *repo, const char *name,
    struct vmscm_error *err)
{
    struct tag_list tags = {0};
    char *ref = NULL;
    int lock = -1, rc;

    if ((rc = vmscm_revspec_check_machine(name, err)) ||
        (rc = vmscm_handle_head(&ref, name, err)) ||
        (rc = vmscm_handle_commit_lock(&lock, repo, err)))
        goto out;
    if ((rc = vmscm_refs_read(id, repo->git, ref, err))) {
        rc = not_found(name, rc, repo, err);
        goto out;
    }
    /* Tags first: a machine without tags can be removed again, tags without a machine are lost
     * to sight. */
    if ((rc = tags_of(&tags, repo, name, err)))
        goto out;
    for (size_t i = 0; i < tags.refs.len && !rc; i++)
        rc = vmscm_refs_delete(repo->git, tags.refs.items[i], NULL, err);
    if (!rc)
        rc = vmscm_refs_delete(repo->git, ref, id, err);
out:
    vmscm_lockfile_release(&lock);
    tag_list_release(&tags);
    free(ref);
    return rc;
}
