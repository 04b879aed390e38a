/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/gitverify.h"
#include "base/path.h"
#include "history/git.h"
#include "history/looseodb.h"
#include "history/treewalk.h"

#include <stdlib.h>

struct verification {
    git_odb *odb;
    git_oid last; /* blob that was found whole: many revisions can have one note */
    struct vmscm_error *err;
};

/* Read an object from disk; libgit2 compares its hash with its name. */
static int read_object(struct verification *v, const git_oid *oid, git_object_t type, size_t max)
{
    git_odb_object *object = NULL;
    char id[VMSCM_GITDB_ID];
    int rc = vmscm_git_expect(NULL, v->odb, oid, type, max, v->err), e;

    if (rc)
        return rc;
    git_oid_tostr(id, sizeof id, oid);
    if ((e = git_odb_read(&object, v->odb, oid)) < 0)
        return vmscm_git_error(
            v->err, e, VMSCM_EDAMAGED, "%s %s", git_object_type2string(type), id);
    if (git_odb_object_type(object) != type)
        rc = vmscm_error_set(v->err, VMSCM_EDAMAGED, "%s: not a %s", id,
            git_object_type2string(type));
    git_odb_object_free(object);
    return rc;
}

static int read_entry(void *data, const char *path, const git_oid *blob, const git_oid *tree)
{
    struct verification *v = data;
    int rc;

    if (blob && git_oid_equal(blob, &v->last))
        return 0;
    rc = blob ? read_object(v, blob, GIT_OBJECT_BLOB, VMSCM_GIT_BLOB_MAX)
              : read_object(v, tree, GIT_OBJECT_TREE, VMSCM_TREEWALK_TREE_MAX);
    if (!rc && blob)
        v->last = *blob;
    if (rc && *path)
        vmscm_error_prefix(v->err, "%.200s", path);
    return rc;
}

static int verify(struct vmscm_gitdb *db, const char *id, size_t max, struct vmscm_error *err)
{
    struct verification v = {NULL, {{0}}, err};
    git_commit *commit = NULL;
    char *objects = NULL;
    git_oid oid;
    int rc, e;

    if ((rc = vmscm_git_oid(&oid, id, err)) ||
        (rc = vmscm_path_join(&objects, db->path, "objects", err)))
        return rc;
    /* A database of its own: what the open one has cached says nothing about the disk. */
    if ((e = git_odb_open(&v.odb, objects)) < 0) {
        rc = vmscm_git_error(err, e, VMSCM_EIO, "%s", objects);
        goto out;
    }
    if ((rc = vmscm_looseodb_guard(v.odb, objects, err)))
        goto out;
    if (!git_odb_exists(v.odb, &oid)) {
        rc = vmscm_error_set(err, VMSCM_ENOTFOUND, "%s: no such revision", id);
        goto out;
    }
    if ((rc = read_object(&v, &oid, GIT_OBJECT_COMMIT, VMSCM_GIT_COMMIT_MAX)))
        goto out;
    if ((e = git_commit_lookup(&commit, db->repo, &oid)) < 0) {
        rc = vmscm_git_error(err, e, VMSCM_EDAMAGED, "commit %s", id);
        goto out;
    }
    rc = vmscm_treewalk_run(db, git_commit_tree_id(commit), max, read_entry, &v, err);
out:
    git_commit_free(commit);
    git_odb_free(v.odb);
    free(objects);
    return rc;
}

int vmscm_gitverify_revision(struct vmscm_gitdb *db, const char *id, struct vmscm_error *err)
{
    return verify(db, id, VMSCM_TREEWALK_REVISION_MAX, err);
}

int vmscm_gitverify_notes(struct vmscm_gitdb *db, const char *id, struct vmscm_error *err)
{
    return verify(db, id, VMSCM_TREEWALK_NOTES_MAX, err);
}
