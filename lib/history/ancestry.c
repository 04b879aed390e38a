/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/ancestry.h"
#include "base/vec.h"
#include "history/oidset.h"
#include "history/rawobject.h"

#include <stdlib.h>
#include <string.h>

struct step {
    git_oid commit;
    git_oid child; /* whose parent it is; zeros: it is where the walk began */
};

struct vmscm_ancestry {
    struct vmscm_oidset seen;
    VMSCM_VEC(struct step) todo;
};

int vmscm_ancestry_new(struct vmscm_ancestry **out, struct vmscm_error *err)
{
    if (!(*out = calloc(1, sizeof **out)))
        return vmscm_error_nomem(err);
    return 0;
}

void vmscm_ancestry_free(struct vmscm_ancestry *ancestry)
{
    if (!ancestry)
        return;
    vmscm_oidset_release(&ancestry->seen);
    vmscm_vec_release(&ancestry->todo);
    free(ancestry);
}

static int push(struct vmscm_ancestry *a, const git_oid *commit, const git_oid *child,
    struct vmscm_error *err)
{
    struct step *slot;
    bool added;
    int rc = vmscm_oidset_add(&a->seen, &added, commit, err);

    if (rc || !added)
        return rc;
    if (vmscm_vec_add(&a->todo, &slot, err))
        return VMSCM_ENOMEM;
    slot->commit = *commit;
    if (child)
        slot->child = *child;
    return 0;
}

/* Follow tags to what they are on. */
static int peel(git_oid *oid, git_object_t *type, struct vmscm_gitdb *db, struct vmscm_error *err)
{
    char id[VMSCM_GITDB_ID];

    for (;;) {
        git_odb_object *object;
        git_oid tag = *oid;
        int rc = vmscm_rawobject_type(type, db, &tag, err);
        if (rc || *type != GIT_OBJECT_TAG ||
            (rc = vmscm_rawobject_read(&object, db, &tag, GIT_OBJECT_TAG, err)))
            return rc;
        const char *text = git_odb_object_data(object);
        if (!vmscm_rawobject_take_id(oid, "object", &text, text + git_odb_object_size(object)))
            rc = vmscm_error_set(err, VMSCM_EDAMAGED, "tag %s: does not say what it is on",
                git_oid_tostr(id, sizeof id, &tag));
        git_odb_object_free(object);
        if (rc)
            return rc;
    }
}

static int push_parents(struct vmscm_ancestry *a, const git_oid *commit,
    const git_odb_object *object, struct vmscm_error *err)
{
    const char *text = git_odb_object_data((git_odb_object *)object);
    const char *end = text + git_odb_object_size((git_odb_object *)object);
    char id[VMSCM_GITDB_ID];
    git_oid oid;
    int rc = 0;

    if (!vmscm_rawobject_take_id(&oid, "tree", &text, end))
        return vmscm_error_set(err, VMSCM_EDAMAGED, "commit %s: has no tree",
            git_oid_tostr(id, sizeof id, commit));
    while (!rc && vmscm_rawobject_take_id(&oid, "parent", &text, end))
        rc = push(a, &oid, commit, err);
    if (!rc && (end - text < 7 || memcmp(text, "author ", 7) != 0))
        rc = vmscm_error_set(err, VMSCM_EDAMAGED, "commit %s: its parents cannot be read",
            git_oid_tostr(id, sizeof id, commit));
    return rc;
}

int vmscm_ancestry_walk(struct vmscm_ancestry *ancestry, struct vmscm_gitdb *db, const char *id,
    int (*each)(void *data, const char *commit), void *data, struct vmscm_error *err)
{
    char commit[VMSCM_GITDB_ID];
    git_object_t type;
    git_oid oid, from;
    bool added;
    int rc = vmscm_git_oid(&oid, id, err);

    from = oid;
    if (rc || vmscm_oidset_has(&ancestry->seen, &oid))
        return rc;
    if (!(rc = peel(&oid, &type, db, err)) && type == GIT_OBJECT_COMMIT)
        rc = push(ancestry, &oid, NULL, err);
    while (!rc && ancestry->todo.len) {
        struct step step = ancestry->todo.items[--ancestry->todo.len];
        git_odb_object *object;
        if ((rc = vmscm_rawobject_read(&object, db, &step.commit, GIT_OBJECT_COMMIT, err))) {
            if (!git_oid_is_zero(&step.child))
                vmscm_error_prefix(err, "parent of commit %s",
                    git_oid_tostr(commit, sizeof commit, &step.child));
            break;
        }
        if (!(rc = each(data, git_oid_tostr(commit, sizeof commit, &step.commit))))
            rc = push_parents(ancestry, &step.commit, object, err);
        git_odb_object_free(object);
    }
    ancestry->todo.len = 0;
    /* A tag's own id, too: it is not followed again. */
    return rc ? rc : vmscm_oidset_add(&ancestry->seen, &added, &from, err);
}

/* A walk that has found what it looks for ends with this. */
#define FOUND 1

static int is_it(void *data, const char *commit)
{
    return strcmp(commit, data) == 0 ? FOUND : 0;
}

int vmscm_ancestry_leads(bool *leads, struct vmscm_gitdb *db, const char *from, const char *to,
    struct vmscm_error *err)
{
    struct vmscm_ancestry *ancestry = NULL;
    char wanted[VMSCM_GITDB_ID] = "";
    int rc = vmscm_ancestry_new(&ancestry, err);

    if (rc)
        return rc;
    memcpy(wanted, to, strnlen(to, sizeof wanted - 1));
    rc = vmscm_ancestry_walk(ancestry, db, from, is_it, wanted, err);
    *leads = rc == FOUND;
    vmscm_ancestry_free(ancestry);
    return rc == FOUND ? 0 : rc;
}
