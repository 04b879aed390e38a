/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/record.h"
#include "base/str.h"
#include "history/ident.h"
#include "history/pruned.h"
#include "history/reflist.h"
#include "history/refs.h"
#include "machine/json.h"
#include "repo/kept.h"
#include "repo/newtree.h"
#include "repo/snapshot.h"
#include "repo/whole.h"
#include "sys/lockfile.h"

#include <stdlib.h>
#include <string.h>

#define RACES 1000 /* lost to others who check the same machine in */

struct clash {
    const char *name;
    struct vmscm_error *err;
};

static int found_clash(void *data, const char *ref, const char *id)
{
    struct clash *clash = data;

    (void)id;
    return vmscm_error_set(clash->err, VMSCM_EEXIST, "%s: there is a machine %s", clash->name,
        ref + strlen(VMSCM_HANDLE_HEADS));
}

/* A ref is a file: "a" and "a/b" cannot both be, which is better known before all is read. */
static int check_clash(struct vmscm_record *c, struct vmscm_error *err)
{
    struct clash clash = {c->name, err};
    char *path = NULL, id[VMSCM_GITDB_ID];
    int rc = vmscm_str_printf(&path, err, "%s/", c->ref);

    if (rc)
        return rc;
    rc = vmscm_reflist_walk(c->repo->git, path, found_clash, &clash, err);
    for (char *p = path + strlen(VMSCM_HANDLE_HEADS); !rc && (p = strchr(p, '/')) && p[1]; p++) {
        *p = '\0';
        if (vmscm_refs_read(id, c->repo->git, path, NULL) != VMSCM_ENOTFOUND)
            rc = found_clash(&clash, path, NULL);
        *p = '/';
    }
    free(path);
    return rc;
}

static int refuse_base(const struct vmscm_record *c, struct vmscm_error *err)
{
    const char *expected = c->options->expected_base;

    if (!*expected)
        return vmscm_error_set(err, VMSCM_EEXIST, "%s: there is such a machine already", c->name);
    if (!c->tip[0])
        vmscm_error_set(err, VMSCM_ECONFLICT, "%s: the machine is no longer there", c->name);
    else
        vmscm_error_set(err, VMSCM_ECONFLICT,
            "%s: has moved on to %.12s since %.12s was checked out", c->name, c->tip, expected);
    return vmscm_error_hint(err,
        "--onto NEW-MACHINE keeps both; --force-parent makes this the successor of the tip");
}

/* Whether the tip may be what this very check-in made of its base: it was killed before it could say
 * so. If what is read then is what the tip has, that is so, and else nothing is recorded. */
static bool recorded_before(const struct vmscm_record *c)
{
    const char *expected = c->options->expected_base;
    const char *base = *expected ? expected : c->options->parent;
    const char *message = c->options->message ? c->options->message : "";
    struct vmscm_signature author = {0}, committer = {0};
    struct vmscm_gitdb_info tip = {0};
    bool same = false;

    if (!c->tip[0] || !base)
        return false;
    if (!vmscm_gitdb_read_commit(&tip, c->repo->git, c->tip, NULL) &&
        !vmscm_handle_who(&author, &committer, c->repo, NULL)) {
        size_t len = strlen(tip.message);
        same = tip.parent_count == 1 && strcmp(tip.parents[0], base) == 0 &&
            strcmp(tip.committer.email, committer.email) == 0 &&
            strncmp(tip.message, message, len) == 0 &&
            message[len + strspn(message + len, " \t\r\n")] == '\0';
    }
    vmscm_gitdb_info_release(&tip);
    vmscm_ident_release(&author);
    vmscm_ident_release(&committer);
    return same;
}

int vmscm_record_base(struct vmscm_record *c, struct vmscm_error *err)
{
    const char *expected = c->options->expected_base;
    int rc = vmscm_refs_read(c->tip, c->repo->git, c->ref, err);

    if (rc == VMSCM_ENOTFOUND) {
        c->tip[0] = '\0';
        vmscm_error_clear(err);
        rc = check_clash(c, err);
    }
    if (rc)
        return rc;
    if (expected && strcmp(expected, c->tip) != 0 && !(c->again = recorded_before(c)))
        return refuse_base(c, err);
    const char *parent = c->options->parent && !c->again ? c->options->parent : c->tip;
    memcpy(c->parent, parent, strlen(parent) < sizeof c->parent ? strlen(parent) + 1 : 0);
    return 0;
}

static int build_tree(struct vmscm_newtree *tree, struct vmscm_record *c, struct vmscm_error *err)
{
    struct vmscm_buf bytes = VMSCM_BUF_INIT;
    char *path = NULL;
    int rc = vmscm_json_encode(&bytes, c->machine, err);

    if (rc)
        goto out;
    if ((rc = vmscm_newtree_add(tree, strdup(VMSCM_HANDLE_MACHINE_FILE), &bytes, err)))
        goto out;
    for (size_t i = 0; i < c->count; i++) {
        if ((rc = vmscm_map_encode(&bytes, &c->disks[i].map, err)) ||
            (rc = vmscm_str_printf(
                 &path, err, VMSCM_HANDLE_DISK_DIR "/%s", c->machine->disks[i].id)) ||
            (rc = vmscm_newtree_add(tree, path, &bytes, err)))
            goto out;
    }
    if (c->options->config) {
        if ((rc = vmscm_buf_append(&bytes, c->xml.data, c->xml.len, err)) ||
            (rc = vmscm_newtree_add(
                 tree, strdup(VMSCM_HANDLE_CONFIG_DIR "/domain.xml"), &bytes, err)))
            goto out;
    } else if (c->intake) {
        for (size_t i = 0; i < c->intake->file_count; i++) {
            const struct vmscm_intake_file *file = &c->intake->files[i];
            if ((rc = vmscm_buf_append(&bytes, file->data, file->len, err)) ||
                (rc = vmscm_str_printf(
                     &path, err, VMSCM_HANDLE_CONFIG_DIR "/%s", file->path)) ||
                (rc = vmscm_newtree_add(tree, path, &bytes, err)))
                goto out;
        }
    } else if (c->parent[0]) {
        rc = vmscm_newtree_keep_config(tree, c->repo, c->parent, err);
    }
out:
    vmscm_buf_release(&bytes);
    return rc;
}

static int conflict(const struct vmscm_record *c, struct vmscm_error *err)
{
    vmscm_error_set(
        err, VMSCM_ECONFLICT, "%s: someone else checked in at the same time", c->name);
    return vmscm_error_hint(err, "check in again; what was stored is not stored twice");
}

/* Parts of a revision that gc may not know any more cannot be built on. */
static int check_known(struct vmscm_record *c, struct vmscm_error *err)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->known[i].usable && !vmscm_known_is_kept(&c->known[i], c->repo, c->tip))
            return vmscm_error_set(err, VMSCM_EBUSY,
                "disk %s: its checkout's revision %.12s is in no machine's history, or was pruned",
                c->disks[i].name, c->known[i].revision);
    return 0;
}

/* The same for what the new revision names as its parents; the commit lock is held. */
static int check_parents(struct vmscm_record *c, struct vmscm_error *err)
{
    char now[VMSCM_GITDB_ID] = "";
    int rc = vmscm_refs_read(now, c->repo->git, c->ref, err);

    if (rc && rc != VMSCM_ENOTFOUND)
        return rc;
    if (rc)
        vmscm_error_clear(err);
    /* What a new one is refused for is told when its ref is set. */
    if (strcmp(now, c->tip) != 0)
        return c->tip[0] ? conflict(c, err) : 0;
    return c->parent[0] && strcmp(c->parent, c->tip) != 0
        ? vmscm_kept_check(c->repo, c->parent, c->tip[0] ? c->ref : NULL, err)
        : 0;
}

/* The commit may be one that was pruned: the parent where nothing differs, or one made with the same
 * date once before. All of its data is there now. */
static int take_back(struct vmscm_record *c, const char *id, const struct vmscm_signature *who,
    struct vmscm_error *err)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;
    int rc = vmscm_snapshot_kept(c->repo, id, &why);

    /* While notes cannot be read gc removes nothing, and what is checked in is not turned away. */
    if (!rc || rc == VMSCM_EDAMAGED)
        return 0;
    if (rc != VMSCM_ENOTFOUND)
        return vmscm_error_copy(err, &why);
    return vmscm_pruned_remove(c->repo->git, &id, 1, who, err);
}

/* Whether the parent may be one that was pruned, which cannot be read. When it can be again, gc takes what is
 * promised now. So nothing is called unchanged then: a new commit is one that no note is of. */
static bool is_doubtful(const struct vmscm_record *c)
{
    if (vmscm_snapshot_kept(c->repo, c->parent, NULL) != VMSCM_EDAMAGED)
        return false;
    vmscm_handle_note(c->events,
        "what was pruned cannot be read: recorded as a new revision, though nothing differs");
    return true;
}

/* That nothing relied on is gone, or is somewhere else by now: gc moved it. VMSCM_EBUSY: it is not.
 * The commit lock is held, so nothing more goes. */
static int confirm(struct vmscm_record *c, struct vmscm_store *store, struct vmscm_error *err)
{
    struct vmscm_whole whole = {.promises = c->promises};
    struct vmscm_error gone = VMSCM_ERROR_INIT, why = VMSCM_ERROR_INIT;
    bool changed;
    int rc = vmscm_store_confirm(store, &gone);

    if (rc != VMSCM_EBUSY)
        return rc ? vmscm_error_copy(err, &gone) : 0;
    rc = vmscm_store_reload(store, &changed, err);
    for (size_t i = 0; i < c->count && !rc; i++)
        if ((rc = vmscm_whole_check(&whole, store, &c->disks[i].map, &why)))
            vmscm_error_copy(err, why.code == VMSCM_EDAMAGED ? &gone : &why);
    vmscm_whole_release(&whole);
    if (rc == VMSCM_EDAMAGED)
        return VMSCM_EBUSY;
    return rc ? rc : vmscm_store_confirm(store, err);
}

/* Write the commit and move the ref. VMSCM_EBUSY: something relied on is gone. The commit lock is
 * held from before the first git object: until the ref is set, gc cannot know that it is needed. */
static int record(
    struct vmscm_record *c, struct vmscm_checkin_result *result, struct vmscm_error *err)
{
    struct vmscm_signature author = {0}, committer = {0};
    struct vmscm_newtree tree = {0};
    const char *parents[2] = {c->parent, c->tip};
    size_t parent_count = c->parent[0] ? 1 : 0;
    char id[VMSCM_GITDB_ID];
    struct vmscm_store *store;
    int lock = -1, rc;

    if (parent_count && c->tip[0] && strcmp(c->parent, c->tip) != 0)
        parent_count = 2;
    if ((rc = vmscm_handle_store(&store, c->repo, err)) ||
        (rc = vmscm_handle_who(&author, &committer, c->repo, err)) ||
        (rc = vmscm_handle_commit_lock(&lock, c->repo, err)) || (rc = check_parents(c, err)) ||
        (rc = check_known(c, err)) || (rc = confirm(c, store, err)) ||
        (rc = build_tree(&tree, c, err)))
        goto out;
    result->unchanged = parent_count == 1 && vmscm_newtree_is(&tree, c->repo, c->parent) &&
        (c->again || !is_doubtful(c));
    if (c->again && !result->unchanged) {
        rc = refuse_base(c, err);
        goto out;
    }
    if (result->unchanged)
        memcpy(id, c->parent, sizeof id);
    else if ((rc = vmscm_gitdb_commit(id, c->repo->git, tree.files.items, tree.files.len, parents,
                  parent_count, &author, &committer,
                  c->options->message ? c->options->message : "", err)))
        goto out;
    if ((rc = take_back(c, id, &committer, err)))
        goto out;
    if (strcmp(id, c->tip) != 0) {
        rc = vmscm_refs_update(c->repo->git, c->ref, c->tip, id, &committer,
            c->tip[0] ? "checkin" : "checkin: new machine", err);
        /* Who wanted a new machine keeps the message that there is one. */
        if (rc == VMSCM_ECONFLICT ||
            (rc == VMSCM_EEXIST && !(c->options->expected_base && !*c->options->expected_base)))
            rc = conflict(c, err);
    } else {
        /* Who set it may have died before it was durable. */
        rc = vmscm_refs_sync(c->repo->git, c->ref, err);
    }
    memcpy(result->id, id, sizeof id);
out:
    vmscm_lockfile_release(&lock);
    vmscm_newtree_release(&tree);
    vmscm_ident_release(&author);
    vmscm_ident_release(&committer);
    return rc;
}

int vmscm_record_on_tip(struct vmscm_record *c, struct vmscm_checkin_result *result,
    struct vmscm_error *err)
{
    int rc = record(c, result, err);

    for (int n = 0; rc == VMSCM_ECONFLICT && n < RACES; n++) {
        if (c->options->expected_base || c->options->parent)
            break;
        if (!(rc = vmscm_record_base(c, err)))
            rc = record(c, result, err);
    }
    return rc;
}
