/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/novel.h"
#include "base/vec.h"
#include "history/oidset.h"
#include "history/rawobject.h"

#include <stdlib.h>
#include <string.h>

#define BLOB_MAX ((size_t)256 << 20) /* bytes; a disk map is the largest there is */

struct commit {
    char id[VMSCM_GITDB_ID];
    git_oid oid;
    git_oid tree;
};

struct step {
    git_oid oid;
    bool tree;
};

struct vmscm_novel {
    struct vmscm_gitdb *db;
    struct vmscm_oidset known; /* commits and tags */
    struct vmscm_oidset fresh; /* likewise */
    struct vmscm_oidset edge_set;
    struct vmscm_oidset trees, blobs; /* that were met; one id as both is not passed over */
    VMSCM_VEC(struct commit) commits;
    VMSCM_VEC(struct commit) edges;
    VMSCM_VEC(git_oid) tags;
    VMSCM_VEC(git_oid) todo;
    VMSCM_VEC(struct step) steps;
};

int vmscm_novel_new(struct vmscm_novel **out, struct vmscm_gitdb *db, struct vmscm_error *err)
{
    if (!(*out = calloc(1, sizeof **out)))
        return vmscm_error_nomem(err);
    (*out)->db = db;
    return 0;
}

void vmscm_novel_free(struct vmscm_novel *n)
{
    if (!n)
        return;
    vmscm_oidset_release(&n->known);
    vmscm_oidset_release(&n->fresh);
    vmscm_oidset_release(&n->edge_set);
    vmscm_oidset_release(&n->trees);
    vmscm_oidset_release(&n->blobs);
    vmscm_vec_release(&n->commits);
    vmscm_vec_release(&n->edges);
    vmscm_vec_release(&n->tags);
    vmscm_vec_release(&n->todo);
    vmscm_vec_release(&n->steps);
    free(n);
}

static int push(struct vmscm_novel *n, const git_oid *oid, struct vmscm_error *err)
{
    git_oid *slot;

    if (vmscm_vec_add(&n->todo, &slot, err))
        return VMSCM_ENOMEM;
    *slot = *oid;
    return 0;
}

/* What a tag is on; it is added to set. *again: it was there. */
static int pass_tag(struct vmscm_novel *n, git_oid *oid, struct vmscm_oidset *set, bool *again,
    struct vmscm_error *err)
{
    char id[VMSCM_GITDB_ID];
    git_odb_object *object = NULL;
    git_oid tag = *oid;
    bool added;
    int rc = vmscm_oidset_add(set, &added, &tag, err);

    *again = !added;
    if (rc || *again || (rc = vmscm_rawobject_read(&object, n->db, &tag, GIT_OBJECT_TAG, err)))
        return rc;
    const char *text = git_odb_object_data(object);
    if (!vmscm_rawobject_take_id(oid, "object", &text, text + git_odb_object_size(object)))
        rc = vmscm_error_set(err, VMSCM_EDAMAGED, "tag %s: does not say what it is on",
            git_oid_tostr(id, sizeof id, &tag));
    git_odb_object_free(object);
    return rc;
}

/* The commit's tree, and its parents onto the list of what is to be done. */
static int read_commit(struct vmscm_novel *n, git_oid *tree, const git_oid *oid,
    struct vmscm_error *err)
{
    char id[VMSCM_GITDB_ID];
    git_odb_object *object = NULL;
    git_oid parent;
    int rc = vmscm_rawobject_read(&object, n->db, oid, GIT_OBJECT_COMMIT, err);

    if (rc)
        return rc;
    const char *text = git_odb_object_data(object), *end = text + git_odb_object_size(object);
    if (!vmscm_rawobject_take_id(tree, "tree", &text, end))
        rc = vmscm_error_set(err, VMSCM_EDAMAGED, "commit %s: has no tree",
            git_oid_tostr(id, sizeof id, oid));
    while (!rc && vmscm_rawobject_take_id(&parent, "parent", &text, end))
        rc = push(n, &parent, err);
    if (!rc && (end - text < 7 || memcmp(text, "author ", 7) != 0))
        rc = vmscm_error_set(err, VMSCM_EDAMAGED, "commit %s: its parents cannot be read",
            git_oid_tostr(id, sizeof id, oid));
    git_odb_object_free(object);
    return rc;
}

int vmscm_novel_know(struct vmscm_novel *n, const char *id, struct vmscm_error *err)
{
    git_object_t type;
    git_oid oid, tree;
    bool again = false, added;
    int rc = vmscm_git_oid(&oid, id, err);

    if (rc || !git_odb_exists(n->db->odb, &oid))
        return rc;
    while (!(rc = vmscm_rawobject_type(&type, n->db, &oid, err)) && type == GIT_OBJECT_TAG)
        if ((rc = pass_tag(n, &oid, &n->known, &again, err)) || again)
            return rc;
    if (rc || type != GIT_OBJECT_COMMIT)
        return rc;
    rc = push(n, &oid, err);
    while (!rc && n->todo.len) {
        oid = n->todo.items[--n->todo.len];
        if (!(rc = vmscm_oidset_add(&n->known, &added, &oid, err)) && added)
            rc = read_commit(n, &tree, &oid, err);
    }
    n->todo.len = 0;
    return rc;
}

static int add_edge(struct vmscm_novel *n, const git_oid *oid, struct vmscm_error *err)
{
    struct commit *slot;
    size_t before = n->todo.len;
    bool added;
    int rc = vmscm_oidset_add(&n->edge_set, &added, oid, err);

    if (rc || !added)
        return rc;
    if (vmscm_vec_add(&n->edges, &slot, err))
        return VMSCM_ENOMEM;
    slot->oid = *oid;
    git_oid_tostr(slot->id, sizeof slot->id, oid);
    rc = read_commit(n, &slot->tree, oid, err);
    /* Its parents are known, too. */
    n->todo.len = before;
    return rc;
}

static int add_commit(struct vmscm_novel *n, const git_oid *oid, struct vmscm_error *err)
{
    struct commit *slot;
    bool added;
    int rc;

    if (vmscm_oidset_has(&n->known, oid))
        return add_edge(n, oid, err);
    if ((rc = vmscm_oidset_add(&n->fresh, &added, oid, err)) || !added)
        return rc;
    if (vmscm_vec_add(&n->commits, &slot, err))
        return VMSCM_ENOMEM;
    slot->oid = *oid;
    git_oid_tostr(slot->id, sizeof slot->id, oid);
    return read_commit(n, &slot->tree, oid, err);
}

int vmscm_novel_want(struct vmscm_novel *n, const char *id, struct vmscm_error *err)
{
    git_object_t type;
    git_oid oid, *slot;
    bool again = false;
    int rc = vmscm_git_oid(&oid, id, err);

    while (!rc && !(rc = vmscm_rawobject_type(&type, n->db, &oid, err)) && type == GIT_OBJECT_TAG) {
        git_oid tag = oid;
        bool known = vmscm_oidset_has(&n->known, &tag);
        if ((rc = pass_tag(n, &oid, known ? &n->known : &n->fresh, &again, err)) || again)
            return rc;
        if (vmscm_vec_add(&n->tags, &slot, err))
            return VMSCM_ENOMEM;
        *slot = tag;
    }
    if (rc)
        return rc;
    if (type != GIT_OBJECT_COMMIT)
        return vmscm_error_set(err, VMSCM_EINPUT, "%s: leads to no revision", id);
    /* A known one by itself is no edge: nothing new follows it. */
    rc = vmscm_oidset_has(&n->known, &oid) ? 0 : push(n, &oid, err);
    while (!rc && n->todo.len) {
        oid = n->todo.items[--n->todo.len];
        rc = add_commit(n, &oid, err);
    }
    n->todo.len = 0;
    return rc;
}

size_t vmscm_novel_commit_count(const struct vmscm_novel *n)
{
    return n->commits.len;
}

const char *vmscm_novel_commit(const struct vmscm_novel *n, size_t i)
{
    return n->commits.items[i].id;
}

size_t vmscm_novel_edge_count(const struct vmscm_novel *n)
{
    return n->edges.len;
}

const char *vmscm_novel_edge(const struct vmscm_novel *n, size_t i)
{
    return n->edges.items[i].id;
}

bool vmscm_novel_is_new(const struct vmscm_novel *n, const char *id)
{
    git_oid oid;

    return !vmscm_git_oid(&oid, id, NULL) && vmscm_oidset_has(&n->fresh, &oid);
}

bool vmscm_novel_is_known(const struct vmscm_novel *n, const char *id)
{
    git_oid oid;

    return !vmscm_git_oid(&oid, id, NULL) && vmscm_oidset_has(&n->known, &oid);
}

struct emission {
    bool blobs;
    int (*each)(void *data, enum vmscm_novel_type type, const void *bytes, size_t len,
        struct vmscm_error *err);
    void *data;
};

static int emit(struct vmscm_novel *n, const struct emission *e, const git_oid *oid,
    git_object_t type, git_odb_object **out, struct vmscm_error *err)
{
    git_odb_object *object = NULL;
    int rc = vmscm_rawobject_read(&object, n->db, oid, type, err);

    if (!rc && e && e->each)
        rc = e->each(e->data, (enum vmscm_novel_type)type, git_odb_object_data(object),
            git_odb_object_size(object), err);
    if (!rc && out) {
        *out = object;
        return 0;
    }
    git_odb_object_free(object);
    return rc;
}

/* A blob may be larger than other objects. */
static int emit_blob(struct vmscm_novel *n, const struct emission *e, const git_oid *oid,
    struct vmscm_error *err)
{
    git_odb_object *object = NULL;
    char id[VMSCM_GITDB_ID];
    int rc = vmscm_git_expect(NULL, n->db->odb, oid, GIT_OBJECT_BLOB, BLOB_MAX, err), code;

    if (rc || !e || !e->blobs)
        return rc;
    if ((code = git_odb_read(&object, n->db->odb, oid)) < 0)
        return vmscm_git_error(err, code == GIT_ENOTFOUND ? GIT_EMISMATCH : code, VMSCM_EDAMAGED,
            "blob %s", git_oid_tostr(id, sizeof id, oid));
    if (e->each)
        rc = e->each(e->data, VMSCM_NOVEL_BLOB, git_odb_object_data(object),
            git_odb_object_size(object), err);
    git_odb_object_free(object);
    return rc;
}

/* "MODE NAME", a zero byte, and the 20 bytes of an id, for each entry; those not met before. */
static int push_entries(struct vmscm_novel *n, const git_oid *tree, const char *p, const char *end,
    struct vmscm_error *err)
{
    char id[VMSCM_GITDB_ID];
    struct step *step;
    int rc = 0;

    while (!rc && p < end) {
        unsigned mode = 0;
        git_oid oid;
        bool added;
        for (; p < end && *p >= '0' && *p <= '7' && mode < 0100000; p++)
            mode = mode * 8 + (unsigned)(*p - '0');
        const char *stop = p < end && *p == ' ' ? memchr(p, '\0', (size_t)(end - p)) : NULL;
        if (!stop || end - stop <= GIT_OID_RAWSZ)
            return vmscm_error_set(err, VMSCM_EDAMAGED, "tree %s: its entries cannot be read",
                git_oid_tostr(id, sizeof id, tree));
        memcpy(oid.id, stop + 1, GIT_OID_RAWSZ);
        p = stop + 1 + GIT_OID_RAWSZ;
        bool is_tree = (mode & 0170000) == GIT_FILEMODE_TREE;
        if ((mode & 0170000) == GIT_FILEMODE_COMMIT ||
            (rc = vmscm_oidset_add(is_tree ? &n->trees : &n->blobs, &added, &oid, err)) || !added)
            continue;
        if (vmscm_vec_add(&n->steps, &step, err))
            return VMSCM_ENOMEM;
        *step = (struct step){oid, is_tree};
    }
    return rc;
}

/* A tree with all below it that was not met before. With no emission its blobs are only noted. */
static int walk_tree(struct vmscm_novel *n, const struct emission *e, const git_oid *tree,
    struct vmscm_error *err)
{
    struct step *slot;
    bool added;
    int rc = vmscm_oidset_add(&n->trees, &added, tree, err);

    if (rc || !added)
        return rc;
    if (vmscm_vec_add(&n->steps, &slot, err))
        return VMSCM_ENOMEM;
    *slot = (struct step){*tree, true};
    while (!rc && n->steps.len) {
        struct step step = n->steps.items[--n->steps.len];
        git_odb_object *object = NULL;
        if (!step.tree) {
            rc = e ? emit_blob(n, e, &step.oid, err) : 0;
            continue;
        }
        if ((rc = emit(n, e, &step.oid, GIT_OBJECT_TREE, &object, err)))
            break;
        const char *text = git_odb_object_data(object);
        rc = push_entries(n, &step.oid, text, text + git_odb_object_size(object), err);
        git_odb_object_free(object);
    }
    n->steps.len = 0;
    return rc;
}

int vmscm_novel_objects(struct vmscm_novel *n, bool blobs,
    int (*each)(void *data, enum vmscm_novel_type type, const void *bytes, size_t len,
        struct vmscm_error *err),
    void *data, struct vmscm_error *err)
{
    const struct emission e = {blobs, each, data};
    int rc = 0;

    vmscm_oidset_release(&n->trees);
    vmscm_oidset_release(&n->blobs);
    for (size_t i = 0; i < n->edges.len && !rc; i++)
        rc = walk_tree(n, NULL, &n->edges.items[i].tree, err);
    for (size_t i = 0; i < n->tags.len && !rc; i++)
        if (!vmscm_oidset_has(&n->known, &n->tags.items[i]))
            rc = emit(n, &e, &n->tags.items[i], GIT_OBJECT_TAG, NULL, err);
    /* Oldest first, as well as that is known: who compresses them has what is alike in a row. */
    for (size_t i = n->commits.len; i-- && !rc;)
        if (!(rc = emit(n, &e, &n->commits.items[i].oid, GIT_OBJECT_COMMIT, NULL, err)))
            rc = walk_tree(n, &e, &n->commits.items[i].tree, err);
    return rc;
}
