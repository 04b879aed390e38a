/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/roots.h"
#include "base/str.h"
#include "base/vec.h"
#include "history/ancestry.h"
#include "history/git.h"
#include "history/reflist.h"
#include "history/reflog.h"
#include "history/refs.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NOTES "refs/notes/"

struct collect {
    struct vmscm_gitdb *db;
    VMSCM_VEC(struct vmscm_roots_entry) entries;
    VMSCM_VEC(char *) names;
    bool reflog;
    struct vmscm_error *err;
};

/* The name that the ids added next go by. */
static int set_name(struct collect *c, const char *name, bool reflog)
{
    char **slot;

    c->reflog = reflog;
    if (vmscm_vec_add(&c->names, &slot, c->err))
        return VMSCM_ENOMEM;
    return vmscm_str_printf(slot, c->err, "%s%s", name, reflog ? "@reflog" : "");
}

static int add(struct collect *c, const char *id)
{
    const char *name = c->names.items[c->names.len - 1];
    struct vmscm_roots_entry *entry;

    if (vmscm_vec_add(&c->entries, &entry, c->err))
        return VMSCM_ENOMEM;
    entry->name = name;
    memcpy(entry->id, id, sizeof entry->id);
    entry->notes = vmscm_str_starts(name, NOTES);
    return 0;
}

static int add_ref(void *data, const char *ref, const char *id)
{
    struct collect *c = data;
    int rc;

    if (!id) {
        rc = vmscm_error_set(c->err, VMSCM_EDAMAGED, "%s: cannot be read", ref);
        vmscm_error_hint(c->err, "its reflog, git/logs/%s, tells what it was; vmscm fsck tells more",
            ref);
        return rc;
    }
    return (rc = set_name(c, ref, false)) ? rc : add(c, id);
}

/* HEAD is on a branch, which may not be there, unless plain git detached it. */
static int add_head(struct collect *c)
{
    char id[VMSCM_GITDB_ID];
    git_oid oid;
    int e = git_reference_name_to_id(&oid, c->db->repo, "HEAD"), rc;

    if (e == GIT_ENOTFOUND)
        return 0;
    if (e < 0) {
        rc = vmscm_git_error(c->err, e, VMSCM_EDAMAGED, "HEAD");
        vmscm_error_hint(c->err, "git/HEAD should be \"ref: refs/heads/main\"");
        return rc;
    }
    git_oid_tostr(id, sizeof id, &oid);
    return (rc = set_name(c, "HEAD", false)) ? rc : add(c, id);
}

/* Most lines begin with the id that the one before ended with. */
static int add_line(void *data, const char *before, const char *after)
{
    struct collect *c = data;
    const char *name = c->names.items[c->names.len - 1];
    const struct vmscm_roots_entry *last =
        c->entries.len ? &c->entries.items[c->entries.len - 1] : NULL;
    int rc = 0;

    if (!vmscm_reflog_is_zero(before) &&
        !(last && last->name == name && strcmp(last->id, before) == 0))
        rc = add(c, before);
    return rc || vmscm_reflog_is_zero(after) ? rc : add(c, after);
}

static int add_reflog(void *data, const char *ref)
{
    struct collect *c = data;
    int rc;

    /* libgit2 writes down there what it does to the machine that HEAD happens to name. */
    if (strcmp(ref, "HEAD") == 0)
        return 0;
    rc = set_name(c, ref, true);

    if (!rc && (rc = vmscm_reflog_scan(c->db, ref, add_line, c, c->err)) == VMSCM_EDAMAGED)
        vmscm_error_hint(c->err,
            "what a reflog does not name may be lost to gc; mend the line, or remove it if the "
            "revision that it named does not matter");
    return rc;
}

static int refuse_worktrees(struct collect *c)
{
    char *path = NULL;
    DIR *d = NULL;
    int rc = vmscm_str_printf(&path, c->err, "%s/worktrees", c->db->path);

    if (rc)
        return rc;
    if (!(d = opendir(path))) {
        if (errno != ENOENT)
            rc = vmscm_error_errno(c->err, errno, "%s", path);
        goto out;
    }
    for (struct dirent *e; !rc && (errno = 0, e = readdir(d));)
        if (e->d_name[0] != '.') {
            rc = vmscm_error_set(
                c->err, VMSCM_EUNSUPPORTED, "%s: there are worktrees of plain git", path);
            vmscm_error_hint(c->err, "git worktree remove, in %.300s, removes them", c->db->path);
        }
    if (!rc && errno)
        rc = vmscm_error_errno(c->err, errno, "%s", path);
out:
    if (d)
        closedir(d);
    free(path);
    return rc;
}

/* What says least: a note, HEAD, which is on another, a reflog. */
static int rank(const struct vmscm_roots_entry *entry)
{
    return (entry->notes ? 8 : 0) + (vmscm_str_starts(entry->name, "HEAD") ? 4 : 0) +
        (vmscm_str_ends(entry->name, "@reflog") ? 2 : 0);
}

/* By id, then the name that says most. */
static int compare(const void *a, const void *b)
{
    const struct vmscm_roots_entry *x = a, *y = b;
    int order = strcmp(x->id, y->id);

    if (order || (order = rank(x) - rank(y)))
        return order;
    return strcmp(x->name, y->name);
}

static int check_exist(const struct collect *c)
{
    git_oid oid;
    int rc;

    for (size_t i = 0; i < c->entries.len; i++) {
        const struct vmscm_roots_entry *entry = &c->entries.items[i];
        if ((rc = vmscm_git_oid(&oid, entry->id, c->err)))
            return rc;
        if (git_odb_exists(c->db->odb, &oid))
            continue;
        rc = vmscm_error_set(
            c->err, VMSCM_EDAMAGED, "%s: object %s is missing", entry->name, entry->id);
        vmscm_error_hint(c->err, "vmscm fsck tells what else is; nothing is removed until it is "
                                 "there again, or nothing names it");
        return rc;
    }
    return 0;
}

int vmscm_roots_read(struct vmscm_roots *out, struct vmscm_gitdb *db, struct vmscm_error *err)
{
    struct collect c = {.db = db, .err = err};
    size_t kept = 0;
    int rc;

    if ((rc = vmscm_gitdb_reload(db, err)) || (rc = refuse_worktrees(&c)) ||
        (rc = vmscm_reflist_walk(db, "refs/", add_ref, &c, err)) ||
        (rc = add_head(&c)) || (rc = vmscm_reflog_list(db, add_reflog, &c, err)))
        goto out;
    if (c.entries.len)
        qsort(c.entries.items, c.entries.len, sizeof *c.entries.items, compare);
    for (size_t i = 0; i < c.entries.len; i++)
        if (!kept || strcmp(c.entries.items[kept - 1].id, c.entries.items[i].id) != 0)
            c.entries.items[kept++] = c.entries.items[i];
    c.entries.len = kept;
    rc = check_exist(&c);
out:
    *out = (struct vmscm_roots){
        c.entries.items, c.entries.len, c.names.items, c.names.len};
    if (rc)
        vmscm_roots_release(out);
    return rc;
}

struct reach {
    const char *wanted;
    bool reached;
};

static int is_wanted(void *data, const char *commit)
{
    struct reach *reach = data;

    reach->reached = strcmp(commit, reach->wanted) == 0;
    return reach->reached;
}

int vmscm_roots_reach(bool *reached, struct vmscm_gitdb *db, const char *commit, const char *first,
    struct vmscm_error *err)
{
    struct reach reach = {commit, false};
    struct vmscm_ancestry *ancestry = NULL;
    struct vmscm_roots roots = {0};
    char tip[VMSCM_GITDB_ID];
    int rc;

    if ((rc = vmscm_ancestry_new(&ancestry, err)) ||
        (first && vmscm_refs_read(tip, db, first, NULL) == 0 &&
            (rc = vmscm_ancestry_walk(ancestry, db, tip, is_wanted, &reach, err))) ||
        (rc = vmscm_roots_read(&roots, db, err)))
        goto out;
    for (size_t i = 0; i < roots.count && !rc; i++)
        if (!roots.entries[i].notes)
            rc = vmscm_ancestry_walk(
                ancestry, db, roots.entries[i].id, is_wanted, &reach, err);
out:
    vmscm_ancestry_free(ancestry);
    vmscm_roots_release(&roots);
    *reached = reach.reached;
    return reach.reached ? 0 : rc;
}

int vmscm_roots_add(struct vmscm_roots *roots, const char *name, const char *id,
    struct vmscm_error *err)
{
    struct vmscm_roots_entry *entries;
    size_t at = 0;
    int order = 1;

    while (at < roots->count && (order = strcmp(roots->entries[at].id, id)) < 0)
        at++;
    if (at < roots->count && order == 0) {
        roots->entries[at].notes = false;
        return 0;
    }
    if (!(entries = reallocarray(roots->entries, roots->count + 1, sizeof *entries)))
        return vmscm_error_nomem(err);
    roots->entries = entries;
    memmove(&entries[at + 1], &entries[at], (roots->count - at) * sizeof *entries);
    entries[at] = (struct vmscm_roots_entry){.name = name};
    memcpy(entries[at].id, id, sizeof entries[at].id);
    roots->count++;
    return 0;
}

void vmscm_roots_release(struct vmscm_roots *roots)
{
    for (size_t i = 0; i < roots->name_count; i++)
        free(roots->names[i]);
    free(roots->names);
    free(roots->entries);
    *roots = (struct vmscm_roots){0};
}
