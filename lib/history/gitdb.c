/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/path.h"
#include "base/str.h"
#include "history/gitpacks.h"
#include "history/looseodb.h"
#include "history/treewalk.h"
#include "sys/file.h"

#include <git2/sys/repository.h>
#include <stdlib.h>
#include <string.h>

/*
 * What vmscm keeps is decided by vmscm: plain git's own housekeeping must neither expire reflogs
 * nor drop an object that a check-in wrote a moment ago and no ref names yet.
 */
static const char initial_config[] = "[core]\n"
                                     "\trepositoryformatversion = 0\n"
                                     "\tfilemode = true\n"
                                     "\tbare = true\n"
                                     "\tlogAllRefUpdates = always\n"
                                     "[gc]\n"
                                     "\tauto = 0\n"
                                     "\tpruneExpire = never\n"
                                     "\treflogExpire = never\n"
                                     "\treflogExpireUnreachable = never\n";

/* The layout is gitrepository-layout(5). HEAD comes last: git takes a directory without one for no
 * repository, so an interrupted init is not taken for a whole one. */
int vmscm_gitdb_init(const char *path, struct vmscm_error *err)
{
    static const char *const dirs[] = {"objects/info", "objects/pack", "refs/heads", "refs/tags",
        "objects", "refs", "info", "."};
    static const char head[] = "ref: refs/heads/main\n";
    char *name = NULL;
    int rc = 0;

    if ((rc = vmscm_path_join(&name, path, "HEAD", err)))
        goto out;
    if (vmscm_file_exists(name)) {
        rc = vmscm_error_set(err, VMSCM_EEXIST, "%s: already a git repository", path);
        goto out;
    }
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
        free(name);
        if ((rc = vmscm_path_join(&name, path, dirs[i], err)) ||
            (rc = vmscm_file_mkdirs(name, err)) || (rc = vmscm_file_sync_dir(name, err)))
            goto out;
    }
    free(name);
    if ((rc = vmscm_path_join(&name, path, "config", err)) ||
        (rc = vmscm_file_replace(name, initial_config, strlen(initial_config), 0666, err)))
        goto out;
    free(name);
    if ((rc = vmscm_path_join(&name, path, "HEAD", err)) ||
        (rc = vmscm_file_replace(name, head, strlen(head), 0666, err)))
        goto out;
    free(name);
    if (!(rc = vmscm_path_dirname(&name, path, err)))
        rc = vmscm_file_sync_dir(name, err);
out:
    free(name);
    return rc;
}

/* The repository's own file only: a broken or odd ~/.gitconfig must not change how vmscm stores. */
static int use_own_config(struct vmscm_gitdb *db, struct vmscm_error *err)
{
    git_config *config = NULL;
    char *file = NULL;
    int rc, e;

    if ((rc = vmscm_path_join(&file, db->path, "config", err)))
        return rc;
    if ((e = git_config_open_ondisk(&config, file)) < 0)
        rc = vmscm_git_error(err, e, VMSCM_EDAMAGED, "%s", file);
    else if ((e = git_repository_set_config(db->repo, config)) < 0)
        rc = vmscm_git_error(err, e, VMSCM_EDAMAGED, "%s", file);
    git_config_free(config);
    free(file);
    return rc;
}

static int open_objects(struct vmscm_gitdb *db, struct vmscm_error *err)
{
    char *objects = NULL;
    int rc = use_own_config(db, err), e;

    if (rc || (rc = vmscm_path_join(&objects, db->path, "objects", err)) ||
        (rc = vmscm_gitpacks_check(objects, err)))
        goto out;
    if ((e = git_repository_odb(&db->odb, db->repo)) < 0)
        rc = vmscm_git_error(err, e, VMSCM_EDAMAGED, "%s: objects", db->path);
    else
        rc = vmscm_looseodb_guard(db->odb, objects, err);
out:
    free(objects);
    return rc;
}

int vmscm_gitdb_reload(struct vmscm_gitdb *db, struct vmscm_error *err)
{
    int e;

    git_odb_free(db->odb);
    db->odb = NULL;
    if ((e = git_repository__cleanup(db->repo)) < 0)
        return vmscm_git_error(err, e, VMSCM_EIO, "%s", db->path);
    return open_objects(db, err);
}

int vmscm_gitdb_open(struct vmscm_gitdb **out, const char *path, const char *locks_dir,
    struct vmscm_error *err)
{
    struct vmscm_gitdb *db = NULL;
    int rc, e;

    *out = NULL;
    if ((rc = vmscm_git_start(err)))
        return rc;
    if (!(db = calloc(1, sizeof *db))) {
        vmscm_git_stop();
        return vmscm_error_nomem(err);
    }
    if ((rc = vmscm_file_realpath(&db->path, path, err)) ||
        (rc = vmscm_path_join(&db->refs_lock, locks_dir, "refs", err)))
        goto out;
    if ((e = git_repository_open_bare(&db->repo, db->path)) < 0) {
        rc = vmscm_git_error(err, e, VMSCM_EDAMAGED, "%s: not a git repository", path);
        goto out;
    }
    if ((rc = open_objects(db, err)))
        goto out;
    *out = db;
    db = NULL;
out:
    vmscm_gitdb_close(db);
    return rc;
}

void vmscm_gitdb_close(struct vmscm_gitdb *db)
{
    if (!db)
        return;
    git_odb_free(db->odb);
    git_repository_free(db->repo);
    free(db->path);
    free(db->refs_lock);
    free(db);
    vmscm_git_stop();
}

/* Order by path, '/' before every other byte, so that "a" is followed by all of "a/...". */
static int compare_files(const void *pa, const void *pb)
{
    const struct vmscm_gitdb_file *const *a = pa, *const *b = pb;
    const unsigned char *x = (const unsigned char *)(*a)->path;
    const unsigned char *y = (const unsigned char *)(*b)->path;

    while (*x && *x == *y)
        x++, y++;
    int cx = *x == '/' ? 1 : *x ? *x + 1 : 0, cy = *y == '/' ? 1 : *y ? *y + 1 : 0;
    return cx - cy;
}

static int check_files(const struct vmscm_gitdb_file *const *files, size_t count,
    struct vmscm_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const char *path = files[i]->path;
        if (!vmscm_path_is_confined(path))
            return vmscm_error_set(err, VMSCM_EUSAGE, "%.200s: not a plain relative path", path);
        if (i == 0)
            continue;
        const char *before = files[i - 1]->path;
        size_t len = strlen(before);
        if (strncmp(before, path, len) == 0 && (path[len] == '\0' || path[len] == '/'))
            return vmscm_error_set(err, VMSCM_EUSAGE, "%.200s: %s", path,
                path[len] ? "a file where a directory should be" : "there are two of that name");
    }
    return 0;
}

/* Write the tree of files[0..count), whose paths all share their first skip bytes. The depth is
 * bounded by the longest confined path. */
static int write_tree(git_oid *out, struct vmscm_gitdb *db,
    const struct vmscm_gitdb_file *const *files, size_t count, size_t skip,
    struct vmscm_git_objects *objects, struct vmscm_error *err)
{
    git_treebuilder *builder = NULL;
    char *name = NULL;
    git_oid oid;
    int rc = 0, e;

    if ((e = git_treebuilder_new(&builder, db->repo, NULL)) < 0)
        return vmscm_git_error(err, e, VMSCM_EIO, "making a tree");
    for (size_t i = 0, next; i < count; i = next) {
        const char *path = files[i]->path + skip;
        size_t len = strcspn(path, "/");
        git_filemode_t mode = path[len] ? GIT_FILEMODE_TREE : GIT_FILEMODE_BLOB;
        next = i + 1;
        if (mode == GIT_FILEMODE_TREE) {
            while (next < count && strncmp(files[next]->path + skip, path, len + 1) == 0)
                next++;
            if ((rc = write_tree(&oid, db, files + i, next - i, skip + len + 1, objects, err)))
                goto out;
        } else if ((e = git_blob_create_from_buffer(
                        &oid, db->repo, files[i]->data, files[i]->len)) < 0) {
            rc = vmscm_git_error(err, e, VMSCM_EIO, "%.200s: storing", files[i]->path);
            goto out;
        }
        vmscm_git_objects_add(objects, &oid);
        if ((rc = vmscm_str_printf(&name, err, "%.*s", (int)len, path)))
            goto out;
        if ((e = git_treebuilder_insert(NULL, builder, name, &oid, mode)) < 0) {
            rc = vmscm_git_error(err, e, VMSCM_EUSAGE, "%.200s", files[i]->path);
            goto out;
        }
        free(name);
        name = NULL;
    }
    if ((e = git_treebuilder_write(out, builder)) < 0) {
        rc = vmscm_git_error(err, e, VMSCM_EIO, "storing a tree");
        goto out;
    }
    vmscm_git_objects_add(objects, out);
out:
    free(name);
    git_treebuilder_free(builder);
    return rc;
}

static int write_commit(git_oid *out, struct vmscm_gitdb *db, const git_oid *tree_id,
    const char *const *parents, size_t parent_count, const git_signature *author,
    const git_signature *committer, const char *message, struct vmscm_error *err)
{
    const git_commit **list = NULL;
    git_commit *commit;
    git_tree *tree = NULL;
    git_oid oid;
    size_t n = 0;
    int rc = 0, e;

    if (!(list = calloc(parent_count + 1, sizeof *list)))
        return vmscm_error_nomem(err);
    for (; n < parent_count; n++) {
        if ((rc = vmscm_git_oid(&oid, parents[n], err)))
            goto out;
        if ((e = git_commit_lookup(&commit, db->repo, &oid)) < 0) {
            rc = vmscm_git_error(err, e, VMSCM_EDAMAGED, "parent %s", parents[n]);
            goto out;
        }
        list[n] = commit;
    }
    if ((e = git_tree_lookup(&tree, db->repo, tree_id)) < 0 ||
        (e = git_commit_create(out, db->repo, NULL, author, committer, NULL, message, tree,
             parent_count, list)) < 0)
        rc = vmscm_git_error(err, e, VMSCM_EIO, "storing a commit");
out:
    while (n)
        git_commit_free((git_commit *)list[--n]);
    free(list);
    git_tree_free(tree);
    return rc;
}

int vmscm_gitdb_commit(char *id, struct vmscm_gitdb *db, const struct vmscm_gitdb_file *files,
    size_t file_count, const char *const *parents, size_t parent_count,
    const struct vmscm_signature *author, const struct vmscm_signature *committer,
    const char *message, struct vmscm_error *err)
{
    const struct vmscm_gitdb_file **sorted = NULL;
    git_signature *by = NULL, *through = NULL;
    struct vmscm_git_objects objects = {{false}};
    char *text = NULL;
    git_oid tree, commit;
    int rc;

    if ((rc = vmscm_git_signature(&by, author, err)) ||
        (rc = vmscm_git_signature(&through, committer, err)) ||
        (rc = vmscm_git_message(&text, message, err)))
        goto out;
    if (!(sorted = calloc(file_count + 1, sizeof *sorted))) {
        rc = vmscm_error_nomem(err);
        goto out;
    }
    for (size_t i = 0; i < file_count; i++)
        sorted[i] = &files[i];
    qsort(sorted, file_count, sizeof *sorted, compare_files);
    if ((rc = check_files(sorted, file_count, err)) ||
        (rc = write_tree(&tree, db, sorted, file_count, 0, &objects, err)) ||
        (rc = write_commit(
             &commit, db, &tree, parents, parent_count, by, through, text, err)))
        goto out;
    vmscm_git_objects_add(&objects, &commit);
    if ((rc = vmscm_git_objects_sync(&objects, db, err)))
        goto out;
    git_oid_tostr(id, VMSCM_GITDB_ID, &commit);
out:
    git_signature_free(by);
    git_signature_free(through);
    free(text);
    free(sorted);
    return rc;
}

static int lookup_commit(git_commit **out, struct vmscm_gitdb *db, const char *id,
    struct vmscm_error *err)
{
    git_oid oid;
    int rc, e;

    *out = NULL;
    if ((rc = vmscm_git_oid(&oid, id, err)))
        return rc;
    if (!git_odb_exists(db->odb, &oid))
        return vmscm_error_set(err, VMSCM_ENOTFOUND, "%s: no such revision", id);
    if ((rc = vmscm_git_expect(NULL, db->odb, &oid, GIT_OBJECT_COMMIT, VMSCM_GIT_COMMIT_MAX, err)))
        return rc;
    if ((e = git_commit_lookup(out, db->repo, &oid)) < 0)
        return vmscm_git_error(err, e, VMSCM_EDAMAGED, "commit %s", id);
    return 0;
}

int vmscm_gitdb_read_commit(struct vmscm_gitdb_info *out, struct vmscm_gitdb *db, const char *id,
    struct vmscm_error *err)
{
    struct vmscm_gitdb_info info = {0};
    git_commit *commit = NULL;
    int rc;

    memset(out, 0, sizeof *out);
    if ((rc = lookup_commit(&commit, db, id, err)))
        return rc;
    git_oid_tostr(info.id, sizeof info.id, git_commit_id(commit));
    git_oid_tostr(info.tree, sizeof info.tree, git_commit_tree_id(commit));
    if ((rc = vmscm_git_signature_copy(&info.author, git_commit_author(commit), err)) ||
        (rc = vmscm_git_signature_copy(&info.committer, git_commit_committer(commit), err)) ||
        (rc = vmscm_str_dup(&info.message, git_commit_message(commit), err)))
        goto out;
    for (size_t n = strlen(info.message); n && info.message[n - 1] == '\n';)
        info.message[--n] = '\0';
    info.parent_count = git_commit_parentcount(commit);
    if (!(info.parents = calloc(info.parent_count + 1, sizeof *info.parents))) {
        rc = vmscm_error_nomem(err);
        goto out;
    }
    for (size_t i = 0; i < info.parent_count; i++)
        git_oid_tostr(info.parents[i], sizeof info.parents[i],
            git_commit_parent_id(commit, (unsigned)i));
    *out = info;
    memset(&info, 0, sizeof info);
out:
    git_commit_free(commit);
    vmscm_gitdb_info_release(&info);
    return rc;
}

void vmscm_gitdb_info_release(struct vmscm_gitdb_info *info)
{
    free(info->message);
    free((char *)info->author.name);
    free((char *)info->author.email);
    free((char *)info->committer.name);
    free((char *)info->committer.email);
    free(info->parents);
    memset(info, 0, sizeof *info);
}

/* The object at path ("" is the root) of a commit's tree. Every tree on the way must be whole. */
static int find_path(git_oid *oid, git_filemode_t *mode, struct vmscm_gitdb *db, const char *id,
    const char *path, struct vmscm_error *err)
{
    git_commit *commit = NULL;
    git_tree *tree = NULL;
    char *name = NULL;
    int rc;

    if (*path && !vmscm_path_is_confined(path))
        return vmscm_error_set(
            err, VMSCM_ENOTFOUND, "%.200s: not in revision %.12s", path, id);
    if ((rc = lookup_commit(&commit, db, id, err)))
        return rc;
    *oid = *git_commit_tree_id(commit);
    *mode = GIT_FILEMODE_TREE;
    for (const char *p = path; *p;) {
        size_t len = strcspn(p, "/");
        const git_tree_entry *entry = NULL;
        if (*mode == GIT_FILEMODE_TREE) {
            git_tree_free(tree);
            if ((rc = vmscm_treewalk_lookup(&tree, db, oid, err)) ||
                (rc = vmscm_str_printf(&name, err, "%.*s", (int)len, p)))
                goto out;
            entry = git_tree_entry_byname(tree, name);
            free(name);
            name = NULL;
        }
        if (!entry) {
            rc = vmscm_error_set(
                err, VMSCM_ENOTFOUND, "%.200s: not in revision %.12s", path, id);
            goto out;
        }
        *oid = *git_tree_entry_id(entry);
        *mode = git_tree_entry_filemode(entry);
        p += len;
        p += *p == '/';
    }
out:
    git_tree_free(tree);
    git_commit_free(commit);
    return rc;
}

int vmscm_gitdb_read_file(struct vmscm_buf *buf, struct vmscm_gitdb *db, const char *id,
    const char *path, size_t max, struct vmscm_error *err)
{
    git_odb_object *object = NULL;
    git_filemode_t mode;
    git_oid oid;
    int rc, e;

    if ((rc = find_path(&oid, &mode, db, id, path, err)))
        return rc;
    if (!vmscm_treewalk_is_file(mode))
        return vmscm_error_set(
            err, VMSCM_ENOTFOUND, "%.200s: not a file in revision %.12s", path, id);
    if ((rc = vmscm_git_expect(NULL, db->odb, &oid, GIT_OBJECT_BLOB, max, err))) {
        vmscm_error_prefix(err, "revision %.12s: %.200s", id, path);
        return rc;
    }
    if ((e = git_odb_read(&object, db->odb, &oid)) < 0)
        return vmscm_git_error(err, e, VMSCM_EDAMAGED, "revision %.12s: %.200s", id, path);
    if (git_odb_object_size(object) > max)
        rc = vmscm_error_set(err, VMSCM_EDAMAGED, "revision %.12s: %.200s: longer than it says",
            id, path);
    else
        rc = vmscm_buf_append(buf, git_odb_object_data(object), git_odb_object_size(object), err);
    git_odb_object_free(object);
    return rc;
}

int vmscm_gitdb_find_tree(char *tree, struct vmscm_gitdb *db, const char *id, const char *path,
    struct vmscm_error *err)
{
    git_filemode_t mode;
    git_oid oid;
    int rc = find_path(&oid, &mode, db, id, path, err);

    if (!rc && mode != GIT_FILEMODE_TREE)
        rc = vmscm_error_set(
            err, VMSCM_ENOTFOUND, "%.200s: not a directory in revision %.12s", path, id);
    if (!rc)
        git_oid_tostr(tree, VMSCM_GITDB_ID, &oid);
    return rc;
}

struct files {
    struct vmscm_gitdb *db;
    int (*each)(void *data, const char *path, const char *blob, uint64_t size);
    void *data;
    struct vmscm_error *err;
};

static int one_file(void *data, const char *path, const git_oid *blob, const git_oid *tree)
{
    const struct files *f = data;
    git_odb_object *object = NULL;
    char id[VMSCM_GITDB_ID];
    int rc, e;

    (void)tree;
    if (!blob)
        return 0;
    if ((rc = vmscm_git_expect(
             NULL, f->db->odb, blob, GIT_OBJECT_BLOB, VMSCM_GIT_BLOB_MAX, f->err)))
        return rc;
    git_oid_tostr(id, sizeof id, blob);
    /* Its header's length alone is covered by no hash. */
    if ((e = git_odb_read(&object, f->db->odb, blob)) < 0)
        return vmscm_git_error(f->err, e, VMSCM_EDAMAGED, "%s", id);
    size_t size = git_odb_object_size(object);
    git_odb_object_free(object);
    return f->each(f->data, path, id, size);
}

int vmscm_gitdb_walk_files(struct vmscm_gitdb *db, const char *id, const char *dir,
    int (*each)(void *data, const char *path, const char *blob, uint64_t size), void *data,
    struct vmscm_error *err)
{
    struct files files = {db, each, data, err};
    git_filemode_t mode;
    git_oid oid;
    int rc;

    if ((rc = find_path(&oid, &mode, db, id, dir, err)))
        return rc;
    if (mode != GIT_FILEMODE_TREE)
        return vmscm_error_set(
            err, VMSCM_ENOTFOUND, "%.200s: not a directory in revision %.12s", dir, id);
    return vmscm_treewalk_run(db, &oid, VMSCM_TREEWALK_REVISION_MAX, one_file, &files, err);
}
