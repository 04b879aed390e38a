/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/gitmend.h"
#include "base/str.h"
#include "base/vec.h"
#include "history/git.h"
#include "history/gitloose.h"
#include "history/looseodb.h"
#include "history/oidset.h"
#include "history/reflist.h"
#include "history/reflog.h"
#include "sys/file.h"

#include <git2/sys/repository.h>
#include <stdlib.h>
#include <string.h>

#define OBJECT_MAX ((size_t)300 << 20) /* bytes; a disk map has less */
#define FILE_MAX ((size_t)310 << 20)   /* of an object's file */

/* An object to look at: of this type, or of any. */
struct todo {
    git_oid oid;
    git_object_t type;
};

struct mend {
    const struct vmscm_gitmend *what;
    struct vmscm_gitdb *db;
    char *objects;        /* the directory */
    git_odb *odb;         /* all there is; opened here, so that it says what is on the disk */
    git_repository *repo; /* the same, for parsing */
    git_odb *loose;       /* files alone: what is written goes there, whatever else has it */
    VMSCM_VEC(struct todo) todo;
    struct vmscm_oidset seen;
    struct vmscm_error *err; /* for callbacks */
};

static int push(struct mend *m, const git_oid *oid, git_object_t type, struct vmscm_error *err)
{
    struct todo *slot;
    bool added;
    int rc = vmscm_oidset_add(&m->seen, &added, oid, err);

    if (rc || !added)
        return rc;
    if ((rc = vmscm_vec_add(&m->todo, &slot, err)))
        return rc;
    *slot = (struct todo){*oid, type};
    return 0;
}

static int push_id(struct mend *m, const char *id)
{
    git_oid oid;
    int rc = vmscm_git_oid(&oid, id, m->err);

    return rc ? rc : push(m, &oid, GIT_OBJECT_ANY, m->err);
}

static int on_ref(void *data, const char *ref, const char *id)
{
    (void)ref;
    return id ? push_id(data, id) : 0;
}

static int on_reflog(void *data, const char *ref)
{
    struct mend *m = data;
    struct vmscm_reflog log;
    int rc = vmscm_reflog_read(&log, m->db, ref, m->err);

    for (size_t i = 0; i < log.count && !rc; i++) {
        if (!vmscm_reflog_is_zero(log.entries[i].before))
            rc = push_id(m, log.entries[i].before);
        if (!rc && !vmscm_reflog_is_zero(log.entries[i].after))
            rc = push_id(m, log.entries[i].after);
    }
    vmscm_reflog_release(&log);
    return rc;
}

/* Read an object, which libgit2 hashes; NULL if it cannot be had whole. */
static int read_object(git_odb_object **out, git_odb *odb, const git_oid *oid, git_object_t type,
    struct vmscm_error *err)
{
    git_object_t found;
    size_t len;

    *out = NULL;
    if (git_odb_read_header(&len, &found, odb, oid) < 0 || len > OBJECT_MAX ||
        (type != GIT_OBJECT_ANY && found != type))
        return 0;
    int e = git_odb_read(out, odb, oid);
    if (e < 0 && vmscm_git_error(NULL, e, VMSCM_EDAMAGED, "object") == VMSCM_ENOMEM)
        return vmscm_error_nomem(err);
    return 0;
}

/* Move the file of an object that cannot be read from it. One that cannot be read at all stays: that says
 * nothing about what is in it. */
static int move_away(struct mend *m, const char *id, struct vmscm_error *err)
{
    struct vmscm_buf bytes = VMSCM_BUF_INIT;
    struct vmscm_error why = VMSCM_ERROR_INIT;
    char *file = NULL, *path = NULL, name[VMSCM_GITDB_ID + 4] = "git-";
    int rc;

    memcpy(name + 4, id, VMSCM_GITDB_ID);
    if ((rc = vmscm_str_printf(&file, err, "objects/%.2s/%s", id, id + 2)) ||
        (rc = vmscm_str_printf(&path, err, "%s/%s", m->db->path, file)))
        goto out;
    rc = vmscm_file_read(&bytes, path, FILE_MAX, &why);
    if (rc == VMSCM_ENOMEM)
        vmscm_error_copy(err, &why);
    else if (rc)
        rc = 0;
    else
        rc = m->what->set_aside(m->what->data, file, name, false, "damaged", err);
out:
    vmscm_buf_release(&bytes);
    free(file);
    free(path);
    return rc;
}

/* Take an object from the first source that has it whole. */
static int restore(struct mend *m, const struct todo *todo, struct vmscm_error *err)
{
    char id[VMSCM_GITDB_ID];
    git_odb_object *object = NULL;
    size_t source = 0;
    int rc;

    git_oid_tostr(id, sizeof id, &todo->oid);
    /* Where it is gone, a check-in that needs the same object writes it. */
    if ((rc = move_away(m, id, err)))
        return rc;
    for (; source < m->what->source_count && !object; source++)
        if (m->what->sources[source] &&
            (rc = read_object(
                 &object, m->what->sources[source]->odb, &todo->oid, todo->type, err)))
            return rc;
    if (!object)
        return 0;
    if (!(rc = vmscm_gitloose_write(m->loose, m->db->path, object, err)))
        m->what->restored(m->what->data, git_object_type2string(git_odb_object_type(object)), id,
            source - 1);
    git_odb_object_free(object);
    return rc;
}

/* What an object leads to. One that has its hash and yet makes no sense leads nowhere. */
static int follow(struct mend *m, const git_oid *oid, git_object_t type, struct vmscm_error *err)
{
    git_object *object = NULL;
    int rc = 0;

    if (type == GIT_OBJECT_BLOB || git_object_lookup(&object, m->repo, oid, type) < 0)
        return 0;
    if (type == GIT_OBJECT_TAG) {
        const git_tag *tag = (git_tag *)object;
        rc = push(m, git_tag_target_id(tag), git_tag_target_type(tag), err);
    } else if (type == GIT_OBJECT_TREE) {
        const git_tree *tree = (git_tree *)object;
        for (size_t i = 0; i < git_tree_entrycount(tree) && !rc; i++) {
            const git_tree_entry *entry = git_tree_entry_byindex(tree, i);
            if (git_tree_entry_type(entry) != GIT_OBJECT_COMMIT)
                rc = push(m, git_tree_entry_id(entry), git_tree_entry_type(entry), err);
        }
    } else if (type == GIT_OBJECT_COMMIT) {
        const git_commit *commit = (git_commit *)object;
        rc = push(m, git_commit_tree_id(commit), GIT_OBJECT_TREE, err);
        for (unsigned i = 0; i < git_commit_parentcount(commit) && !rc; i++)
            rc = push(m, git_commit_parent_id(commit, i), GIT_OBJECT_COMMIT, err);
    }
    git_object_free(object);
    return rc;
}

static int visit(struct mend *m, const struct todo *todo, struct vmscm_error *err)
{
    git_odb_object *object = NULL;
    int rc = read_object(&object, m->odb, &todo->oid, todo->type, err);

    if (!rc && !object && !(rc = restore(m, todo, err)))
        rc = read_object(&object, m->odb, &todo->oid, todo->type, err);
    if (!rc && object)
        rc = follow(m, &todo->oid, git_odb_object_type(object), err);
    git_odb_object_free(object);
    return rc;
}

static int open_all(struct mend *m, struct vmscm_error *err)
{
    int e;

    if ((e = git_odb_open(&m->odb, m->objects)) < 0 ||
        (e = git_repository_wrap_odb(&m->repo, m->odb)) < 0)
        return vmscm_git_error(err, e, VMSCM_EIO, "%s", m->objects);
    return vmscm_looseodb_guard(m->odb, m->objects, err);
}

int vmscm_gitmend_run(const struct vmscm_gitmend *what, struct vmscm_gitdb *db,
    struct vmscm_error *err)
{
    struct mend m = {.what = what, .db = db, .err = err};
    int rc;

    if ((rc = vmscm_str_printf(&m.objects, err, "%s/objects", db->path)) ||
        (rc = vmscm_gitloose_open(&m.loose, db->path, err)) || (rc = open_all(&m, err)) ||
        (rc = vmscm_reflist_walk(db, "refs/", on_ref, &m, err)) ||
        (rc = vmscm_reflog_list(db, on_reflog, &m, err)))
        goto out;
    while (m.todo.len && !rc) {
        struct todo todo = m.todo.items[--m.todo.len];
        if (!(rc = what->canceled(what->data, err)))
            rc = visit(&m, &todo, err);
    }
out:
    vmscm_vec_release(&m.todo);
    vmscm_oidset_release(&m.seen);
    git_repository_free(m.repo);
    git_odb_free(m.odb);
    git_odb_free(m.loose);
    free(m.objects);
    return rc;
}
