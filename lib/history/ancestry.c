/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/ancestry.h"
#include "base/str.h"
#include "base/vec.h"
#include "history/oidset.h"

#include <stdlib.h>
#include <string.h>

#define OBJECT_MAX ((size_t)16 << 20) /* bytes of a commit or tag, far above what vmscm writes */

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

static int read_object(git_odb_object **out, struct vmscm_gitdb *db, const git_oid *oid,
    git_object_t type, struct vmscm_error *err)
{
    char id[VMSCM_GITDB_ID];
    int rc = vmscm_git_expect(NULL, db->odb, oid, type, OBJECT_MAX, err), e;

    *out = NULL;
    if (rc)
        return rc;
    /* Gone since it was looked at, it is as missing as ever. */
    if ((e = git_odb_read(out, db->odb, oid)) < 0)
        return vmscm_git_error(err, e == GIT_ENOTFOUND ? GIT_EMISMATCH : e, VMSCM_EDAMAGED, "%s %s",
            git_object_type2string(type), git_oid_tostr(id, sizeof id, oid));
    return 0;
}

/* "KEYWORD ID\n" at *text, which is then passed. */
static bool take_id(git_oid *oid, const char *keyword, const char **text, const char *end)
{
    size_t n = strlen(keyword);
    char digits[GIT_OID_HEXSZ + 1] = "";

    if ((size_t)(end - *text) < n + GIT_OID_HEXSZ + 2 || memcmp(*text, keyword, n) != 0 ||
        (*text)[n] != ' ' || (*text)[n + 1 + GIT_OID_HEXSZ] != '\n')
        return false;
    memcpy(digits, *text + n + 1, GIT_OID_HEXSZ);
    if (!vmscm_str_unhex(oid->id, GIT_OID_RAWSZ, digits))
        return false;
    *text += n + GIT_OID_HEXSZ + 2;
    return true;
}

/* Follow tags to what they are on. */
static int peel(git_oid *oid, git_object_t *type, struct vmscm_gitdb *db, struct vmscm_error *err)
{
    char id[VMSCM_GITDB_ID];
    size_t len;

    for (;;) {
        git_odb_object *object;
        git_oid tag = *oid;
        int e = git_odb_read_header(&len, type, db->odb, &tag), rc;
        git_oid_tostr(id, sizeof id, &tag);
        if (e == GIT_ENOTFOUND)
            return vmscm_error_set(err, VMSCM_EDAMAGED, "object %s: missing", id);
        if (e < 0)
            return vmscm_git_error(err, e, VMSCM_EDAMAGED, "object %s", id);
        if (*type != GIT_OBJECT_TAG)
            return 0;
        if ((rc = read_object(&object, db, &tag, GIT_OBJECT_TAG, err)))
            return rc;
        const char *text = git_odb_object_data(object);
        if (!take_id(oid, "object", &text, text + git_odb_object_size(object)))
            rc = vmscm_error_set(err, VMSCM_EDAMAGED, "tag %s: does not say what it is on", id);
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

    if (!take_id(&oid, "tree", &text, end))
        return vmscm_error_set(err, VMSCM_EDAMAGED, "commit %s: has no tree",
            git_oid_tostr(id, sizeof id, commit));
    while (!rc && take_id(&oid, "parent", &text, end))
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
    git_oid oid;
    int rc = vmscm_git_oid(&oid, id, err);

    if (rc || vmscm_oidset_has(&ancestry->seen, &oid))
        return rc;
    if (!(rc = peel(&oid, &type, db, err)) && type == GIT_OBJECT_COMMIT)
        rc = push(ancestry, &oid, NULL, err);
    while (!rc && ancestry->todo.len) {
        struct step step = ancestry->todo.items[--ancestry->todo.len];
        git_odb_object *object;
        if ((rc = read_object(&object, db, &step.commit, GIT_OBJECT_COMMIT, err))) {
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
    return rc;
}
