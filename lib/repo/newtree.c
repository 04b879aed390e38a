/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/newtree.h"
#include "base/str.h"

#include <string.h>

void vmscm_newtree_release(struct vmscm_newtree *tree)
{
    for (size_t i = 0; i < tree->owned.len; i++)
        free(tree->owned.items[i]);
    vmscm_vec_release(&tree->owned);
    vmscm_vec_release(&tree->files);
}

int vmscm_newtree_add(struct vmscm_newtree *tree, char *path, struct vmscm_buf *contents,
    struct vmscm_error *err)
{
    struct vmscm_gitdb_file *file;
    char **slot;
    size_t len = contents->len;
    char *data = vmscm_buf_steal(contents);

    if (!path || !data || vmscm_vec_add(&tree->owned, &slot, err)) {
        free(path);
        free(data);
        return vmscm_error_nomem(err);
    }
    *slot = path;
    if (vmscm_vec_add(&tree->owned, &slot, err)) {
        free(data);
        return VMSCM_ENOMEM;
    }
    *slot = data;
    if (vmscm_vec_add(&tree->files, &file, err))
        return VMSCM_ENOMEM;
    *file = (struct vmscm_gitdb_file){path, data, len};
    return 0;
}

struct keep {
    struct vmscm_newtree *tree;
    struct vmscm_repo *repo;
    const char *id;
    struct vmscm_error *err;
};

static int keep_config(void *data, const char *path, const char *blob, uint64_t size)
{
    struct keep *keep = data;
    struct vmscm_buf contents = VMSCM_BUF_INIT;
    char *full = NULL;
    int rc;

    (void)blob;
    (void)size;
    if ((rc = vmscm_str_printf(&full, keep->err, VMSCM_HANDLE_CONFIG_DIR "/%s", path)) ||
        (rc = vmscm_gitdb_read_file(&contents, keep->repo->git, keep->id, full,
             VMSCM_HANDLE_CONFIG_FILE_MAX, keep->err))) {
        free(full);
        vmscm_buf_release(&contents);
        return rc;
    }
    return vmscm_newtree_add(keep->tree, full, &contents, keep->err);
}

int vmscm_newtree_keep_config(struct vmscm_newtree *tree, struct vmscm_repo *repo, const char *id,
    struct vmscm_error *err)
{
    struct keep keep = {tree, repo, id, err};
    int rc =
        vmscm_gitdb_walk_files(repo->git, id, VMSCM_HANDLE_CONFIG_DIR, keep_config, &keep, err);

    if (rc == VMSCM_ENOTFOUND) {
        vmscm_error_clear(err);
        rc = 0;
    }
    return rc;
}

struct same_walk {
    const struct vmscm_newtree *tree;
    struct vmscm_repo *repo;
    const char *id;
    size_t seen;
    bool differs;
};

static int compare_file(void *data, const char *path, const char *blob, uint64_t size)
{
    struct same_walk *w = data;
    struct vmscm_buf bytes = VMSCM_BUF_INIT;

    (void)blob;
    w->seen++;
    w->differs = true;
    for (size_t i = 0; i < w->tree->files.len; i++) {
        const struct vmscm_gitdb_file *f = &w->tree->files.items[i];
        if (strcmp(f->path, path) != 0 || f->len != size)
            continue;
        if (!vmscm_gitdb_read_file(&bytes, w->repo->git, w->id, path, f->len, NULL))
            w->differs = bytes.len != f->len || memcmp(bytes.data, f->data, f->len) != 0;
        break;
    }
    vmscm_buf_release(&bytes);
    return w->differs;
}

bool vmscm_newtree_is(const struct vmscm_newtree *tree, struct vmscm_repo *repo, const char *id)
{
    struct same_walk walk = {.tree = tree, .repo = repo, .id = id};
    int rc = vmscm_gitdb_walk_files(repo->git, id, "", compare_file, &walk, NULL);

    return !rc && !walk.differs && walk.seen == tree->files.len;
}
