/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/notes.h"
#include "base/str.h"
#include "base/vec.h"
#include "history/ident.h"
#include "history/notetree.h"
#include "history/treewalk.h"
#include "machine/jsontext.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX ((size_t)1 << 20)

/* What the tree has on the commit, at every level; *found becomes true if it has anything. */
static int read_note(struct vmscm_buf *buf, bool *found, struct vmscm_gitdb *db,
    const git_oid *tree_id, const char *digits, struct vmscm_error *err)
{
    const git_tree_entry *entry;
    git_tree *tree = NULL;
    git_oid oid = *tree_id;
    int rc = 0;

    for (;; digits += 2) {
        git_tree_free(tree);
        if ((rc = vmscm_treewalk_lookup(&tree, db, &oid, err)))
            break;
        if ((entry = vmscm_notetree_note(tree, digits))) {
            *found = true;
            if ((rc = vmscm_notetree_text(buf, db, git_tree_entry_id(entry), err)))
                break;
        }
        if (!(entry = vmscm_notetree_below(tree, digits)))
            break;
        oid = *git_tree_entry_id(entry);
    }
    git_tree_free(tree);
    return rc;
}

/* The tree (old_id: NULL if there is none yet) with a line added to the commit's note. */
static int write_note(git_oid *out, struct vmscm_gitdb *db, const git_oid *old_id,
    const char *digits, const char *line, struct vmscm_git_objects *objects,
    struct vmscm_error *err)
{
    const git_tree_entry *here, *below;
    git_treebuilder *builder = NULL;
    git_tree *tree = NULL;
    struct vmscm_buf text = VMSCM_BUF_INIT;
    char name[VMSCM_GITDB_ID];
    git_filemode_t mode = GIT_FILEMODE_BLOB;
    git_oid oid;
    int rc = 0, e;

    if (old_id && (rc = vmscm_treewalk_lookup(&tree, db, old_id, err)))
        return rc;
    here = vmscm_notetree_note(tree, digits);
    below = vmscm_notetree_below(tree, digits);
    if (!here && (below || strlen(digits) == VMSCM_ID_HEX)) {
        memcpy(name, digits, 2);
        name[2] = '\0';
        mode = GIT_FILEMODE_TREE;
        rc = write_note(&oid, db, below ? git_tree_entry_id(below) : NULL, digits + 2, line,
            objects, err);
        if (rc)
            goto out;
    } else {
        memcpy(name, digits, strlen(digits) + 1);
        if ((here && (rc = vmscm_notetree_text(&text, db, git_tree_entry_id(here), err))) ||
            (rc = vmscm_buf_printf(&text, err, "%s\n", line)))
            goto out;
        if (text.len > VMSCM_NOTETREE_MAX) {
            rc = vmscm_error_set(err, VMSCM_EUNSUPPORTED, "note: would be over 64 MiB");
            goto out;
        }
        if ((e = git_blob_create_from_buffer(&oid, db->repo, text.data, text.len)) < 0) {
            rc = vmscm_git_error(err, e, VMSCM_EIO, "storing a note");
            goto out;
        }
    }
    vmscm_git_objects_add(objects, &oid);
    if ((e = git_treebuilder_new(&builder, db->repo, tree)) < 0 ||
        (e = git_treebuilder_insert(NULL, builder, name, &oid, mode)) < 0 ||
        (e = git_treebuilder_write(out, builder)) < 0)
        rc = vmscm_git_error(err, e, VMSCM_EIO, "storing a note");
    else
        vmscm_git_objects_add(objects, out);
out:
    git_treebuilder_free(builder);
    git_tree_free(tree);
    vmscm_buf_release(&text);
    return rc;
}

/* The commit as 40 lower-case digits; it must be there. */
static int check_commit(char *digits, struct vmscm_gitdb *db, const char *commit,
    struct vmscm_error *err)
{
    git_oid oid;
    int rc = vmscm_git_oid(&oid, commit, err);

    if (rc)
        return rc;
    git_oid_tostr(digits, VMSCM_GITDB_ID, &oid);
    if (!git_odb_exists(db->odb, &oid))
        return vmscm_error_set(err, VMSCM_ENOTFOUND, "%s: no such revision", digits);
    return 0;
}

struct addition {
    const char *digits;
    const char *line;
};

static int add_line(git_oid *out, struct vmscm_gitdb *db, const git_oid *old, void *data,
    struct vmscm_git_objects *objects, struct vmscm_error *err)
{
    const struct addition *addition = data;

    return write_note(out, db, old, addition->digits, addition->line, objects, err);
}

int vmscm_notes_append(struct vmscm_gitdb *db, const char *notes_ref, const char *commit,
    const char *line, const struct vmscm_signature *who, struct vmscm_error *err)
{
    char digits[VMSCM_GITDB_ID];
    struct addition addition = {digits, line};
    int rc;

    if (!*line || strchr(line, '\n') || strlen(line) > VMSCM_NOTETREE_MAX / 2)
        return vmscm_error_set(err, VMSCM_EUSAGE, "note: not one line of at most 32 MiB");
    if ((rc = check_commit(digits, db, commit, err)))
        return rc;
    return vmscm_notetree_change(db, notes_ref, "added", who, add_line, &addition, err);
}

int vmscm_notes_read(struct vmscm_buf *buf, struct vmscm_gitdb *db, const char *notes_ref,
    const char *commit, struct vmscm_error *err)
{
    char digits[VMSCM_GITDB_ID], id[VMSCM_GITDB_ID];
    git_commit *tip = NULL;
    bool found = false;
    git_oid oid;
    int rc;

    if ((rc = vmscm_git_oid(&oid, commit, err)))
        return rc;
    git_oid_tostr(digits, sizeof digits, &oid);
    rc = vmscm_notetree_tip(&tip, id, db, notes_ref, err);
    if (!rc)
        rc = read_note(buf, &found, db, git_commit_tree_id(tip), digits, err);
    if (rc == VMSCM_ENOTFOUND || (!rc && !found))
        rc = vmscm_error_set(err, VMSCM_ENOTFOUND, "revision %.12s: has no notes", digits);
    git_commit_free(tip);
    return rc;
}

/* The blob that is the note, and how many there are at the several levels. */
static int find_note(char *id, size_t *count, struct vmscm_gitdb *db, const git_oid *tree_id,
    const char *digits, struct vmscm_error *err)
{
    const git_tree_entry *entry;
    git_tree *tree = NULL;
    git_oid oid = *tree_id;
    int rc = 0;

    for (*count = 0;; digits += 2) {
        git_tree_free(tree);
        if ((rc = vmscm_treewalk_lookup(&tree, db, &oid, err)))
            break;
        if ((entry = vmscm_notetree_note(tree, digits)) && ++*count)
            git_oid_tostr(id, VMSCM_GITDB_ID, git_tree_entry_id(entry));
        if (!(entry = vmscm_notetree_below(tree, digits)))
            break;
        oid = *git_tree_entry_id(entry);
    }
    git_tree_free(tree);
    return rc;
}

int vmscm_notes_id(char *id, struct vmscm_gitdb *db, const char *notes_ref, const char *commit,
    struct vmscm_error *err)
{
    char digits[VMSCM_GITDB_ID], tip_id[VMSCM_GITDB_ID];
    git_commit *tip = NULL;
    size_t count = 0;
    git_oid oid;
    int rc;

    if ((rc = vmscm_git_oid(&oid, commit, err)))
        return rc;
    git_oid_tostr(digits, sizeof digits, &oid);
    rc = vmscm_notetree_tip(&tip, tip_id, db, notes_ref, err);
    if (!rc)
        rc = find_note(id, &count, db, git_commit_tree_id(tip), digits, err);
    if (!rc && count > 1)
        *id = '\0';
    if (rc == VMSCM_ENOTFOUND || (!rc && !count))
        rc = vmscm_error_set(err, VMSCM_ENOTFOUND, "revision %.12s: has no notes", digits);
    git_commit_free(tip);
    return rc;
}

struct listing {
    int (*each)(void *data, const char *subject, const char *blob);
    void *data;
};

static int list_note(void *data, const char *path, const git_oid *blob, const git_oid *tree)
{
    const struct listing *listing = data;
    char digits[VMSCM_GITDB_ID], id[VMSCM_GITDB_ID];
    size_t n = 0;

    (void)tree;
    if (!blob)
        return 0;
    for (; *path; path++)
        if (*path != '/' && n == VMSCM_ID_HEX)
            return 0;
        else if (*path != '/')
            digits[n++] = *path;
    digits[n] = '\0';
    if (n != VMSCM_ID_HEX || strspn(digits, "0123456789abcdef") != n)
        return 0;
    git_oid_tostr(id, sizeof id, blob);
    return listing->each(listing->data, digits, id);
}

int vmscm_notes_list(struct vmscm_gitdb *db, const char *notes_ref,
    int (*each)(void *data, const char *subject, const char *blob), void *data,
    struct vmscm_error *err)
{
    struct listing listing = {each, data};
    char id[VMSCM_GITDB_ID];
    git_commit *tip = NULL;
    int rc = vmscm_notetree_tip(&tip, id, db, notes_ref, err);

    if (rc == VMSCM_ENOTFOUND) {
        vmscm_error_clear(err);
        return 0;
    }
    if (!rc)
        rc = vmscm_treewalk_run(
            db, git_commit_tree_id(tip), VMSCM_TREEWALK_NOTES_MAX, list_note, &listing, err);
    git_commit_free(tip);
    return rc;
}

int vmscm_notes_comment(struct vmscm_gitdb *db, const char *commit, const char *text,
    const struct vmscm_signature *who, struct vmscm_error *err)
{
    char *clean = NULL, *date = NULL, *line = NULL;
    json_t *object = NULL;
    int rc;

    if ((rc = vmscm_git_message(&clean, text, err)) || (rc = vmscm_ident_format_date(&date, who, err)))
        goto out;
    size_t len = strlen(clean);
    if (len == 0 || len > TEXT_MAX) {
        rc = vmscm_error_set(
            err, VMSCM_EUSAGE, "comment: %s", len ? "longer than 1 MiB" : "is empty");
        goto out;
    }
    clean[len - 1] = '\0';
    object = json_pack("{s:s, s:s, s:s, s:s}", "author", who->name, "email", who->email, "date",
        date, "text", clean);
    if (!object || !(line = vmscm_jsontext_dump(object, JSON_COMPACT))) {
        rc = vmscm_error_set(err, VMSCM_EUSAGE, "comment: cannot be written as JSON");
        goto out;
    }
    rc = vmscm_notes_append(db, VMSCM_NOTES_COMMENTS, commit, line, who, err);
out:
    json_decref(object);
    free(clean);
    free(date);
    free(line);
    return rc;
}

struct comment {
    struct vmscm_signature author; /* borrows from object */
    char *text;
    json_t *object;
    size_t position;
};

static int compare_comments(const void *pa, const void *pb)
{
    const struct comment *a = pa, *b = pb;

    if (a->author.time != b->author.time)
        return a->author.time < b->author.time ? -1 : 1;
    return a->position < b->position ? -1 : a->position > b->position;
}

static void release_comment(struct comment *c)
{
    json_decref(c->object);
    free(c->text);
    memset(c, 0, sizeof *c);
}

/* False for a line that is no comment: anyone may have written it, with any tool. */
static bool parse_comment(struct comment *out, const char *line, size_t len)
{
    const char *author, *email, *date, *text;

    memset(out, 0, sizeof *out);
    out->object = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(out->object) ||
        json_unpack(out->object, "{s:s, s:s, s:s, s:s}", "author", &author, "email", &email,
            "date", &date, "text", &text) < 0 ||
        !vmscm_str_printable(author) || !vmscm_str_printable(email) ||
        vmscm_ident_parse_date(&out->author, date, NULL) ||
        vmscm_git_message(&out->text, text, NULL) || !*out->text) {
        release_comment(out);
        return false;
    }
    out->text[strlen(out->text) - 1] = '\0';
    out->author.name = author;
    out->author.email = email;
    return true;
}

int vmscm_notes_each(const char *note,
    int (*each)(void *data, const struct vmscm_signature *author, const char *text), void *data,
    struct vmscm_error *err)
{
    VMSCM_VEC(struct comment) list = {0};
    struct comment comment, *slot;
    int rc = 0;

    for (const char *p = note; !rc && *p;) {
        size_t len = strcspn(p, "\n");
        if (len && parse_comment(&comment, p, len)) {
            if ((rc = vmscm_vec_add(&list, &slot, err))) {
                release_comment(&comment);
                break;
            }
            comment.position = list.len;
            *slot = comment;
        }
        p += len + (p[len] == '\n');
    }
    if (list.len)
        qsort(list.items, list.len, sizeof *list.items, compare_comments);
    for (size_t i = 0; i < list.len && !rc; i++)
        rc = each(data, &list.items[i].author, list.items[i].text);
    for (size_t i = 0; i < list.len; i++)
        release_comment(&list.items[i]);
    vmscm_vec_release(&list);
    return rc;
}

int vmscm_notes_comments(struct vmscm_gitdb *db, const char *commit,
    int (*each)(void *data, const struct vmscm_signature *author, const char *text), void *data,
    struct vmscm_error *err)
{
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    int rc = vmscm_notes_read(&buf, db, VMSCM_NOTES_COMMENTS, commit, err);

    if (rc == VMSCM_ENOTFOUND) {
        vmscm_error_clear(err);
        rc = 0;
    } else if (!rc) {
        rc = vmscm_notes_each(vmscm_buf_str(&buf), each, data, err);
    }
    vmscm_buf_release(&buf);
    return rc;
}
