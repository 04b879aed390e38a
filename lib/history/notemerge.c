/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/notemerge.h"
#include "base/str.h"
#include "base/vec.h"
#include "history/ancestry.h"
#include "history/notetree.h"
#include "history/refs.h"
#include "history/treewalk.h"

#include <stdlib.h>
#include <string.h>

#define ATTEMPTS 1000

struct note {
    char digits[VMSCM_GITDB_ID];
    git_oid blob;
};

struct notes {
    VMSCM_VEC(struct note) list; /* by digits */
    struct vmscm_gitdb *suspect; /* where each blob is looked at; NULL: they are ours */
    struct vmscm_error *err;
};

static int collect(void *data, const char *path, const git_oid *blob, const git_oid *tree)
{
    struct notes *notes = data;
    char digits[VMSCM_GITDB_ID];
    struct note *note;
    size_t n = 0;
    int rc;

    (void)tree;
    if (!blob)
        return 0;
    /* Also what is no note: a tree that says it is a file would be in everybody's way. */
    if (notes->suspect &&
        (rc = vmscm_git_expect(
             NULL, notes->suspect->odb, blob, GIT_OBJECT_BLOB, VMSCM_NOTETREE_MAX, notes->err)))
        return rc;
    for (; *path && n < VMSCM_ID_HEX + 1; path++)
        if (*path != '/' && n < VMSCM_ID_HEX)
            digits[n++] = *path;
        else if (*path != '/')
            return 0;
    digits[n] = '\0';
    if (n != VMSCM_ID_HEX || strspn(digits, "0123456789abcdef") != n)
        return 0;
    if (vmscm_vec_add(&notes->list, &note, notes->err))
        return VMSCM_ENOMEM;
    memcpy(note->digits, digits, sizeof note->digits);
    note->blob = *blob;
    return 0;
}

static int by_digits(const void *a, const void *b)
{
    return memcmp(((const struct note *)a)->digits, ((const struct note *)b)->digits, VMSCM_ID_HEX);
}

static int read_notes(struct notes *notes, struct vmscm_gitdb *db, const git_oid *tree,
    struct vmscm_error *err)
{
    int rc;

    notes->err = err;
    notes->list.len = 0;
    if ((rc = vmscm_treewalk_run(db, tree, VMSCM_TREEWALK_NOTES_MAX, collect, notes, err)))
        return rc;
    if (notes->list.len)
        qsort(notes->list.items, notes->list.len, sizeof *notes->list.items, by_digits);
    return 0;
}

/* Notes that came from elsewhere: nothing about them is sure. */
static int read_other(struct notes *notes, struct vmscm_gitdb *db, const git_oid *tree,
    struct vmscm_error *err)
{
    int rc;

    notes->suspect = db;
    rc = read_notes(notes, db, tree, err);
    if (rc != VMSCM_EDAMAGED)
        return rc;
    if (err)
        err->code = VMSCM_EINPUT;
    return vmscm_error_prefix(err, "what came");
}

/* Lines sorted, to be searched. */
struct line {
    const char *text;
    size_t len;
};

static int by_text(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    size_t n = x->len < y->len ? x->len : y->len;
    int order = memcmp(x->text, y->text, n);

    return order ? order : (x->len > y->len) - (x->len < y->len);
}

/* Append those lines of theirs that ours does not have. */
static int unite(struct vmscm_buf *ours, const struct vmscm_buf *theirs, struct vmscm_error *err)
{
    VMSCM_VEC(struct line) lines = {0};
    struct line *slot, line;
    size_t before = ours->len;
    int rc = 0;

    /* What lines point into must not move. */
    if ((rc = vmscm_buf_reserve(ours, theirs->len, err)))
        return rc;
    for (size_t at = 0; at < before && !rc; at += line.len + 1) {
        line.text = (const char *)ours->data + at;
        line.len = (size_t)((const char *)memchr(line.text, '\n', before - at) - line.text);
        if (!(rc = vmscm_vec_add(&lines, &slot, err)))
            *slot = line;
    }
    if (lines.len)
        qsort(lines.items, lines.len, sizeof *lines.items, by_text);
    for (size_t at = 0; at < theirs->len && !rc; at += line.len + 1) {
        line.text = (const char *)theirs->data + at;
        line.len = (size_t)((const char *)memchr(line.text, '\n', theirs->len - at) - line.text);
        if (!lines.len || !bsearch(&line, lines.items, lines.len, sizeof line, by_text))
            rc = vmscm_buf_append(ours, line.text, line.len + 1, err);
    }
    vmscm_vec_release(&lines);
    if (!rc && ours->len > VMSCM_NOTETREE_MAX)
        rc = vmscm_error_set(err, VMSCM_EUNSUPPORTED, "note: would be over 64 MiB");
    return rc;
}

/* The tree with some notes, of which the first `skip` digits are the way here, set to other blobs. */
static int put_notes(git_oid *out, struct vmscm_gitdb *db, const git_oid *old, struct note *notes,
    size_t count, size_t skip, struct vmscm_git_objects *objects, struct vmscm_error *err)
{
    git_treebuilder *builder = NULL;
    git_tree *tree = NULL;
    int rc = 0, e = 0;

    if (old && (rc = vmscm_treewalk_lookup(&tree, db, old, err)))
        return rc;
    if ((e = git_treebuilder_new(&builder, db->repo, tree)) < 0)
        rc = vmscm_git_error(err, e, VMSCM_EIO, "merging notes");
    for (size_t i = 0, next; i < count && !rc; i = next) {
        const char *digits = notes[i].digits + skip;
        const git_tree_entry *below = vmscm_notetree_below(tree, digits);
        char pair[3] = {digits[0], digits[1], '\0'};
        git_oid oid;
        next = i + 1;
        if (vmscm_notetree_note(tree, digits) || (!below && skip)) {
            e = git_treebuilder_insert(NULL, builder, digits, &notes[i].blob, GIT_FILEMODE_BLOB);
        } else {
            while (next < count && memcmp(notes[next].digits + skip, pair, 2) == 0 &&
                !vmscm_notetree_note(tree, notes[next].digits + skip))
                next++;
            if ((rc = put_notes(&oid, db, below ? git_tree_entry_id(below) : NULL, notes + i,
                     next - i, skip + 2, objects, err)))
                break;
            e = git_treebuilder_insert(NULL, builder, pair, &oid, GIT_FILEMODE_TREE);
        }
        if (e < 0)
            rc = vmscm_git_error(err, e, VMSCM_EIO, "merging notes");
    }
    if (!rc && (e = git_treebuilder_write(out, builder)) < 0)
        rc = vmscm_git_error(err, e, VMSCM_EIO, "merging notes");
    if (!rc)
        vmscm_git_objects_add(objects, out);
    git_treebuilder_free(builder);
    git_tree_free(tree);
    return rc;
}

/* Of what the other side has on a revision, what is ours is left; *differs: something is to be put. With no
 * objects, only that is told. */
static int merge_note(struct note *out, bool *differs, struct vmscm_gitdb *db,
    const struct notes *ours, size_t *at, const struct notes *theirs, size_t *from,
    struct vmscm_git_objects *objects, struct vmscm_error *err)
{
    struct vmscm_buf mine = VMSCM_BUF_INIT, other = VMSCM_BUF_INIT;
    const struct note *first = &theirs->list.items[*from];
    size_t before;
    int rc = 0, e;

    *differs = false;
    while (*at < ours->list.len && by_digits(&ours->list.items[*at], first) < 0)
        ++*at;
    bool same = *at < ours->list.len && by_digits(&ours->list.items[*at], first) == 0 &&
        git_oid_equal(&ours->list.items[*at].blob, &first->blob);
    for (; *from < theirs->list.len && by_digits(&theirs->list.items[*from], first) == 0 && !rc;
         ++*from)
        if (!same || &theirs->list.items[*from] != first)
            rc = vmscm_notetree_text(&other, db, &theirs->list.items[*from].blob, err);
    for (size_t i = *at; other.len && i < ours->list.len &&
         by_digits(&ours->list.items[i], first) == 0 && !rc;
         i++)
        rc = vmscm_notetree_text(&mine, db, &ours->list.items[i].blob, err);
    before = mine.len;
    if (rc || !other.len || (rc = unite(&mine, &other, err)) || mine.len == before)
        goto out;
    *differs = true;
    if (!objects)
        goto out;
    *out = *first;
    if ((e = git_blob_create_from_buffer(&out->blob, db->repo, mine.data, mine.len)) < 0)
        rc = vmscm_git_error(err, e, VMSCM_EIO, "merging notes");
    else
        vmscm_git_objects_add(objects, &out->blob);
out:
    vmscm_buf_release(&mine);
    vmscm_buf_release(&other);
    return rc;
}

/* Whether what came has every line of ours, as it has where it grew from ours and nobody took any away. */
static int has_all(bool *all, struct vmscm_gitdb *db, struct notes *theirs, const git_oid *mine,
    struct vmscm_error *err)
{
    struct notes ours = {0};
    struct note note;
    size_t at = 0, from = 0;
    bool differs = false;
    int rc = read_notes(&ours, db, mine, err);

    while (from < ours.list.len && !rc && !differs)
        rc = merge_note(&note, &differs, db, theirs, &at, &ours, &from, NULL, err);
    *all = !differs;
    vmscm_vec_release(&ours.list);
    return rc;
}

/* The tree of both. */
static int merge_trees(git_oid *out, struct vmscm_gitdb *db, const git_oid *mine,
    const git_oid *other, struct vmscm_git_objects *objects, struct vmscm_error *err)
{
    struct notes ours = {0}, theirs = {0}, fresh = {0};
    struct note note, *slot;
    size_t at = 0, from = 0;
    bool differs;
    int rc;

    if ((rc = read_notes(&ours, db, mine, err)) || (rc = read_other(&theirs, db, other, err)))
        goto out;
    while (from < theirs.list.len && !rc) {
        rc = merge_note(&note, &differs, db, &ours, &at, &theirs, &from, objects, err);
        if (!rc && differs && !(rc = vmscm_vec_add(&fresh.list, &slot, err)))
            *slot = note;
    }
    *out = *mine;
    if (!rc && fresh.list.len)
        rc = put_notes(out, db, mine, fresh.list.items, fresh.list.len, 0, objects, err);
out:
    vmscm_vec_release(&ours.list);
    vmscm_vec_release(&theirs.list);
    vmscm_vec_release(&fresh.list);
    return rc;
}

static int make_commit(char *id, struct vmscm_gitdb *db, git_commit *mine, git_commit *other,
    const git_signature *by, struct vmscm_error *err)
{
    const git_commit *parents[] = {mine, other};
    struct vmscm_git_objects objects = {{false}};
    git_tree *tree = NULL;
    git_oid oid;
    int rc, e;

    if ((rc = merge_trees(
             &oid, db, git_commit_tree_id(mine), git_commit_tree_id(other), &objects, err)))
        return rc;
    if ((e = git_tree_lookup(&tree, db->repo, &oid)) < 0 ||
        (e = git_commit_create(
             &oid, db->repo, NULL, by, by, NULL, "Notes merged by vmscm\n", tree, 2, parents)) < 0) {
        rc = vmscm_git_error(err, e, VMSCM_EIO, "merging notes");
    } else {
        vmscm_git_objects_add(&objects, &oid);
        git_oid_tostr(id, VMSCM_GITDB_ID, &oid);
        rc = vmscm_git_objects_sync(&objects, db, err);
    }
    git_tree_free(tree);
    return rc;
}

/* One attempt: what the ref is to be, and what it is now ("" if it is not there). */
static int merge(char *fresh, char *old, struct vmscm_gitdb *db, const char *notes_ref,
    git_commit *other, const char *other_id, const git_signature *by, struct vmscm_error *err)
{
    struct notes theirs = {0};
    git_commit *mine = NULL;
    bool leads = false;
    int rc = vmscm_notetree_tip(&mine, old, db, notes_ref, err);

    if (rc == VMSCM_ENOTFOUND) {
        vmscm_error_clear(err);
        old[0] = '\0';
        memcpy(fresh, other_id, VMSCM_GITDB_ID);
        rc = read_other(&theirs, db, git_commit_tree_id(other), err);
        goto out;
    }
    if (rc || (rc = vmscm_ancestry_leads(&leads, db, old, other_id, err)))
        goto out;
    if (leads) {
        memcpy(fresh, old, VMSCM_GITDB_ID);
        goto out;
    }
    if ((rc = vmscm_ancestry_leads(&leads, db, other_id, old, err)) ||
        (leads &&
            ((rc = read_other(&theirs, db, git_commit_tree_id(other), err)) ||
                (rc = has_all(&leads, db, &theirs, git_commit_tree_id(mine), err)))))
        goto out;
    if (leads)
        memcpy(fresh, other_id, VMSCM_GITDB_ID);
    else
        rc = make_commit(fresh, db, mine, other, by, err);
out:
    vmscm_vec_release(&theirs.list);
    git_commit_free(mine);
    return rc;
}

/* The commit of notes that an object is or leads to, and its id. */
static int open_other(git_commit **commit, char *id, struct vmscm_gitdb *db, const char *other,
    struct vmscm_error *err)
{
    git_oid oid;
    int rc, e;

    if ((rc = vmscm_refs_peel(id, db, other, err)) || (rc = vmscm_git_oid(&oid, id, err)))
        return rc;
    if ((e = git_commit_lookup(commit, db->repo, &oid)) < 0)
        return vmscm_git_error(err, e, VMSCM_EDAMAGED, "notes %s", id);
    return 0;
}

int vmscm_notemerge_make(char *fresh, char *now, struct vmscm_gitdb *db, const char *notes_ref,
    const char *other, const struct vmscm_signature *who, struct vmscm_error *err)
{
    char id[VMSCM_GITDB_ID];
    git_signature *by = NULL;
    git_commit *commit = NULL;
    int rc;

    if (!(rc = open_other(&commit, id, db, other, err)) && !(rc = vmscm_git_signature(&by, who, err)))
        rc = merge(fresh, now, db, notes_ref, commit, id, by, err);
    git_commit_free(commit);
    git_signature_free(by);
    return rc;
}

int vmscm_notemerge_run(bool *changed, struct vmscm_gitdb *db, const char *notes_ref,
    const char *other, const struct vmscm_signature *who, struct vmscm_error *err)
{
    char fresh[VMSCM_GITDB_ID], old[VMSCM_GITDB_ID], id[VMSCM_GITDB_ID];
    git_signature *by = NULL;
    git_commit *commit = NULL;
    int rc;

    *changed = false;
    if ((rc = open_other(&commit, id, db, other, err)) || (rc = vmscm_git_signature(&by, who, err)))
        goto out;
    for (int i = 0; i < ATTEMPTS; i++) {
        if ((rc = merge(fresh, old, db, notes_ref, commit, id, by, err)) || strcmp(fresh, old) == 0)
            break;
        rc = vmscm_refs_update(db, notes_ref, old, fresh, who, "notes: merged by vmscm", err);
        *changed = !rc;
        if (rc != VMSCM_ECONFLICT && (rc != VMSCM_EEXIST || old[0]))
            break;
    }
out:
    git_commit_free(commit);
    git_signature_free(by);
    return rc;
}
