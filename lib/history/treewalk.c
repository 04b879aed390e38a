/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/treewalk.h"
#include "base/path.h"

/* Far above what vmscm writes. */
#define DEPTH_MAX 64

int vmscm_treewalk_lookup(git_tree **out, struct vmscm_gitdb *db, const git_oid *oid,
    struct vmscm_error *err)
{
    int rc = vmscm_git_expect(NULL, db->odb, oid, GIT_OBJECT_TREE, VMSCM_TREEWALK_TREE_MAX, err), e;

    *out = NULL;
    if (rc)
        return rc;
    if ((e = git_tree_lookup(out, db->repo, oid)) < 0)
        return vmscm_git_error(err, e, VMSCM_EDAMAGED, "tree");
    return 0;
}

bool vmscm_treewalk_is_file(git_filemode_t mode)
{
    return mode == GIT_FILEMODE_BLOB || mode == GIT_FILEMODE_BLOB_EXECUTABLE;
}

/* Trees are a graph: one that repeats itself at every level can be small and yet have endlessly
 * many paths, so the entries are counted. */
struct walk {
    struct vmscm_gitdb *db;
    vmscm_treewalk_each each;
    void *data;
    size_t count, max;
    struct vmscm_buf path;
    struct vmscm_error *err;
};

static int walk_tree(struct walk *w, const git_oid *oid, unsigned depth)
{
    git_tree *tree = NULL;
    size_t base = w->path.len;
    int rc;

    if (depth > DEPTH_MAX)
        return vmscm_error_set(w->err, VMSCM_EDAMAGED, "%.200s...: nested too deeply",
            vmscm_buf_str(&w->path));
    if ((rc = w->each(w->data, vmscm_buf_str(&w->path), NULL, oid)) ||
        (rc = vmscm_treewalk_lookup(&tree, w->db, oid, w->err)))
        return rc;
    for (size_t i = 0; i < git_tree_entrycount(tree) && !rc; i++) {
        const git_tree_entry *entry = git_tree_entry_byindex(tree, i);
        git_filemode_t mode = git_tree_entry_filemode(entry);
        if ((rc = vmscm_buf_printf(&w->path, w->err, "%s%s", base ? "/" : "",
                 git_tree_entry_name(entry))))
            break;
        if (!vmscm_path_is_confined(vmscm_buf_str(&w->path)))
            rc = vmscm_error_set(w->err, VMSCM_EDAMAGED, "%.200s: not a plain relative path",
                vmscm_buf_str(&w->path));
        else if (++w->count > w->max)
            rc = vmscm_error_set(
                w->err, VMSCM_EDAMAGED, "more than %zu files and directories", w->max);
        else if (mode == GIT_FILEMODE_TREE)
            rc = walk_tree(w, git_tree_entry_id(entry), depth + 1);
        else if (vmscm_treewalk_is_file(mode))
            rc = w->each(w->data, vmscm_buf_str(&w->path), git_tree_entry_id(entry), NULL);
        else
            rc = vmscm_error_set(w->err, VMSCM_EDAMAGED, "%.200s: neither file nor directory",
                vmscm_buf_str(&w->path));
        w->path.len = base;
        w->path.data[base] = '\0';
    }
    git_tree_free(tree);
    return rc;
}

int vmscm_treewalk_run(struct vmscm_gitdb *db, const git_oid *tree, size_t max,
    vmscm_treewalk_each each, void *data, struct vmscm_error *err)
{
    struct walk walk = {db, each, data, 0, max, VMSCM_BUF_INIT, err};
    int rc = walk_tree(&walk, tree, 0);

    vmscm_buf_release(&walk.path);
    return rc;
}
