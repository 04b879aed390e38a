/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/notetree.h"
#include "history/refs.h"
#include "history/treewalk.h"

#include <stdio.h>
#include <string.h>

#define ATTEMPTS 1000

const git_tree_entry *vmscm_notetree_note(const git_tree *tree, const char *digits)
{
    const git_tree_entry *entry = tree ? git_tree_entry_byname(tree, digits) : NULL;
    return entry && vmscm_treewalk_is_file(git_tree_entry_filemode(entry)) ? entry : NULL;
}

const git_tree_entry *vmscm_notetree_below(const git_tree *tree, const char *digits)
{
    const git_tree_entry *entry;
    char pair[3] = {digits[0], digits[1], '\0'};

    if (!tree || strlen(digits) <= 2)
        return NULL;
    entry = git_tree_entry_byname(tree, pair);
    return entry && git_tree_entry_type(entry) == GIT_OBJECT_TREE ? entry : NULL;
}

int vmscm_notetree_tip(git_commit **tip, char *id, struct vmscm_gitdb *db, const char *notes_ref,
    struct vmscm_error *err)
{
    git_oid oid;
    int rc = vmscm_refs_read_commit(id, db, notes_ref, err), e;

    *tip = NULL;
    if (rc || (rc = vmscm_git_oid(&oid, id, err)))
        return rc;
    if ((e = git_commit_lookup(tip, db->repo, &oid)) < 0)
        return vmscm_git_error(err, e, VMSCM_EDAMAGED, "%s", notes_ref);
    return 0;
}

/* A commit of the new tree on the tip (NULL: there is none). */
static int commit_tree(char *id, struct vmscm_gitdb *db, git_commit *tip, const git_oid *tree_id,
    const char *what, const git_signature *by, struct vmscm_git_objects *objects,
    struct vmscm_error *err)
{
    const git_commit *parents[] = {tip};
    git_tree *tree = NULL;
    char message[64];
    git_oid oid;
    int rc, e;

    snprintf(message, sizeof message, "Notes %s by vmscm\n", what);
    if ((e = git_tree_lookup(&tree, db->repo, tree_id)) < 0 ||
        (e = git_commit_create(&oid, db->repo, NULL, by, by, NULL, message, tree, tip ? 1 : 0,
             parents)) < 0) {
        rc = vmscm_git_error(err, e, VMSCM_EIO, "storing a note");
        goto out;
    }
    vmscm_git_objects_add(objects, &oid);
    rc = vmscm_git_objects_sync(objects, db, err);
    git_oid_tostr(id, VMSCM_GITDB_ID, &oid);
out:
    git_tree_free(tree);
    return rc;
}

int vmscm_notetree_change(struct vmscm_gitdb *db, const char *notes_ref, const char *what,
    const struct vmscm_signature *who, vmscm_notetree_make make, void *data,
    struct vmscm_error *err)
{
    char old[VMSCM_GITDB_ID], fresh[VMSCM_GITDB_ID], why[64];
    git_signature *by = NULL;
    git_commit *tip = NULL;
    int rc;

    snprintf(why, sizeof why, "notes: %s by vmscm", what);
    if ((rc = vmscm_git_signature(&by, who, err)))
        return rc;
    /* Whoever gets in between has changed a note, so someone always gets on. */
    for (int i = 0; i < ATTEMPTS; i++) {
        struct vmscm_git_objects objects = {{false}};
        const git_oid *before;
        git_oid tree;
        git_commit_free(tip);
        rc = vmscm_notetree_tip(&tip, old, db, notes_ref, err);
        if (rc == VMSCM_ENOTFOUND) {
            old[0] = '\0';
            vmscm_error_clear(err);
        } else if (rc) {
            break;
        }
        before = tip ? git_commit_tree_id(tip) : NULL;
        if ((rc = make(&tree, db, before, data, &objects, err)) ||
            (before && git_oid_equal(before, &tree)) ||
            (rc = commit_tree(fresh, db, tip, &tree, what, by, &objects, err)))
            break;
        rc = vmscm_refs_update(db, notes_ref, old, fresh, who, why, err);
        if (rc != VMSCM_ECONFLICT && (rc != VMSCM_EEXIST || old[0]))
            break;
    }
    git_commit_free(tip);
    git_signature_free(by);
    return rc;
}

int vmscm_notetree_text(struct vmscm_buf *buf, struct vmscm_gitdb *db, const git_oid *blob,
    struct vmscm_error *err)
{
    git_odb_object *object = NULL;
    int rc = vmscm_git_expect(NULL, db->odb, blob, GIT_OBJECT_BLOB, VMSCM_NOTETREE_MAX, err), e;

    if (rc)
        return rc;
    if ((e = git_odb_read(&object, db->odb, blob)) < 0)
        return vmscm_git_error(err, e, VMSCM_EDAMAGED, "note");
    rc = vmscm_buf_append(buf, git_odb_object_data(object), git_odb_object_size(object), err);
    if (!rc && buf->len && buf->data[buf->len - 1] != '\n')
        rc = vmscm_buf_puts(buf, "\n", err);
    git_odb_object_free(object);
    return rc;
}
