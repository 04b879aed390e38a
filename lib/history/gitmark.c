/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/gitmark.h"
#include "history/rawobject.h"

#include <string.h>

struct vmscm_gitmark_step {
    git_oid oid;
    git_oid user; /* what needs it; zeros: a root */
    git_object_t type;
};

static int push(struct vmscm_gitmark *m, const git_oid *oid, git_object_t type, const char *name,
    const git_oid *user, struct vmscm_error *err)
{
    char id[VMSCM_GITDB_ID];
    struct vmscm_gitmark_step *step;
    bool added;
    int rc = vmscm_oidset_add(&m->marked, &added, oid, err);

    if (rc || !added || (rc = m->fresh(m->data, oid, name, err)))
        return rc;
    if (type == GIT_OBJECT_BLOB)
        return git_odb_exists(m->db->odb, oid)
            ? 0
            : vmscm_error_set(err, VMSCM_EDAMAGED, "blob %s: missing",
                  git_oid_tostr(id, sizeof id, oid));
    if (vmscm_vec_add(&m->todo, &step, err))
        return VMSCM_ENOMEM;
    *step = (struct vmscm_gitmark_step){*oid, {{0}}, type};
    if (user)
        step->user = *user;
    return 0;
}

/* "MODE NAME", a zero byte, and the 20 bytes of an id, for each entry. */
static int push_entries(struct vmscm_gitmark *m, const git_oid *tree, const char *p,
    const char *end, struct vmscm_error *err)
{
    int rc = 0;

    while (!rc && p < end) {
        unsigned mode = 0;
        git_oid oid;
        for (; p < end && *p >= '0' && *p <= '7' && mode < 0100000; p++)
            mode = mode * 8 + (unsigned)(*p - '0');
        const char *name = p + 1, *stop = p < end && *p == ' ' ? memchr(p, '\0', (size_t)(end - p))
                                                                : NULL;
        if (!stop || end - stop <= GIT_OID_RAWSZ)
            return vmscm_error_set(err, VMSCM_EDAMAGED, "its entries cannot be read");
        memcpy(oid.id, stop + 1, GIT_OID_RAWSZ);
        p = stop + 1 + GIT_OID_RAWSZ;
        /* A submodule's commit is in another repository. */
        if ((mode & 0170000) != GIT_FILEMODE_COMMIT)
            rc = push(m, &oid,
                (mode & 0170000) == GIT_FILEMODE_TREE ? GIT_OBJECT_TREE : GIT_OBJECT_BLOB, name,
                tree, err);
    }
    return rc;
}

static int push_parts(struct vmscm_gitmark *m, const struct vmscm_gitmark_step *step,
    git_odb_object *object, struct vmscm_error *err)
{
    const char *text = git_odb_object_data(object), *end = text + git_odb_object_size(object);
    git_object_t type;
    git_oid oid;
    int rc;

    if (step->type == GIT_OBJECT_TREE)
        return push_entries(m, &step->oid, text, end, err);
    if (step->type == GIT_OBJECT_TAG) {
        if (!vmscm_rawobject_take_id(&oid, "object", &text, end))
            return vmscm_error_set(err, VMSCM_EDAMAGED, "does not say what it is on");
        rc = vmscm_rawobject_type(&type, m->db, &oid, err);
        return rc ? rc : push(m, &oid, type, "", &step->oid, err);
    }
    if (!vmscm_rawobject_take_id(&oid, "tree", &text, end))
        return vmscm_error_set(err, VMSCM_EDAMAGED, "has no tree");
    rc = push(m, &oid, GIT_OBJECT_TREE, "", &step->oid, err);
    while (!rc && vmscm_rawobject_take_id(&oid, "parent", &text, end))
        rc = push(m, &oid, GIT_OBJECT_COMMIT, "", &step->oid, err);
    if (!rc && (end - text < 7 || memcmp(text, "author ", 7) != 0))
        rc = vmscm_error_set(err, VMSCM_EDAMAGED, "its parents cannot be read");
    return rc;
}

static int mark_root(struct vmscm_gitmark *m, const char *id, struct vmscm_error *err)
{
    char hex[VMSCM_GITDB_ID];
    git_object_t type;
    git_oid oid;
    int rc = vmscm_git_oid(&oid, id, err);

    if (rc || vmscm_oidset_has(&m->marked, &oid) ||
        (rc = vmscm_rawobject_type(&type, m->db, &oid, err)) ||
        (rc = push(m, &oid, type, "", NULL, err)))
        return rc;
    while (m->todo.len) {
        struct vmscm_gitmark_step step = m->todo.items[--m->todo.len];
        git_odb_object *object;
        if ((rc = vmscm_rawobject_read(&object, m->db, &step.oid, step.type, err))) {
            if (rc == VMSCM_EDAMAGED && !git_oid_is_zero(&step.user))
                vmscm_error_prefix(err, "%s", git_oid_tostr(hex, sizeof hex, &step.user));
            break;
        }
        rc = push_parts(m, &step, object, err);
        git_odb_object_free(object);
        if (rc == VMSCM_EDAMAGED)
            vmscm_error_prefix(err, "%s %s", git_object_type2string(step.type),
                git_oid_tostr(hex, sizeof hex, &step.oid));
        if (rc)
            break;
    }
    return rc;
}

int vmscm_gitmark_roots(struct vmscm_gitmark *mark, const struct vmscm_roots *roots,
    struct vmscm_error *err)
{
    int rc = 0;

    for (size_t i = 0; i < roots->count && !rc; i++)
        if ((rc = mark_root(mark, roots->entries[i].id, err)) == VMSCM_EDAMAGED)
            vmscm_error_prefix(err, "%s", roots->entries[i].name);
    return rc;
}

void vmscm_gitmark_release(struct vmscm_gitmark *mark)
{
    vmscm_oidset_release(&mark->marked);
    vmscm_vec_release(&mark->todo);
}
