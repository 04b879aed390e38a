/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/pruned.h"
#include "base/str.h"
#include "base/vec.h"
#include "history/ident.h"
#include "history/notes.h"
#include "history/notetree.h"
#include "history/treewalk.h"
#include "machine/jsontext.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define RULE_MAX ((size_t)64 << 10)
#define COUNT_MAX ((size_t)16 << 20) /* a tree that repeats itself could hold endlessly many */

struct vmscm_pruned {
    VMSCM_VEC(git_oid) ids; /* sorted */
};

static int compare_ids(const void *a, const void *b)
{
    return git_oid_cmp(a, b);
}

/* In order, each once: git may have put several notes on one commit. */
static void sort_ids(struct vmscm_pruned *pruned)
{
    git_oid *ids = pruned->ids.items;
    size_t n = 0;

    if (pruned->ids.len)
        qsort(ids, pruned->ids.len, sizeof *ids, compare_ids);
    for (size_t i = 0; i < pruned->ids.len; i++)
        if (!n || git_oid_cmp(&ids[i], &ids[n - 1]) != 0)
            ids[n++] = ids[i];
    pruned->ids.len = n;
}

/* digits: what the directories so far have given, and room for the rest. What is not named as a note
 * is none: git keeps such entries, too. */
static int load_tree(struct vmscm_pruned *pruned, struct vmscm_gitdb *db, const git_oid *tree_id,
    char digits[VMSCM_GITDB_ID], size_t depth, struct vmscm_error *err)
{
    git_tree *tree = NULL;
    git_oid *slot, oid;
    int rc = vmscm_treewalk_lookup(&tree, db, tree_id, err);

    for (size_t i = 0; !rc && i < git_tree_entrycount(tree); i++) {
        const git_tree_entry *entry = git_tree_entry_byindex(tree, i);
        const char *name = git_tree_entry_name(entry);
        size_t len = strlen(name);
        if (strspn(name, "0123456789abcdef") != len || depth + len > VMSCM_ID_HEX)
            continue;
        memcpy(digits + depth, name, len + 1);
        if (git_tree_entry_type(entry) == GIT_OBJECT_TREE) {
            if (len == 2 && depth + len < VMSCM_ID_HEX)
                rc = load_tree(pruned, db, git_tree_entry_id(entry), digits, depth + len, err);
            continue;
        }
        if (depth + len != VMSCM_ID_HEX || vmscm_git_oid(&oid, digits, NULL))
            continue;
        if (pruned->ids.len == COUNT_MAX)
            rc = vmscm_error_set(err, VMSCM_EDAMAGED, "more than %zu notes", COUNT_MAX);
        else if (!(rc = vmscm_vec_add(&pruned->ids, &slot, err)))
            *slot = oid;
    }
    git_tree_free(tree);
    return rc;
}

int vmscm_pruned_load(struct vmscm_pruned **out, struct vmscm_gitdb *db, struct vmscm_error *err)
{
    struct vmscm_pruned *pruned = calloc(1, sizeof *pruned);
    char id[VMSCM_GITDB_ID], digits[VMSCM_GITDB_ID];
    git_commit *tip = NULL;
    int rc;

    *out = NULL;
    if (!pruned)
        return vmscm_error_nomem(err);
    rc = vmscm_notetree_tip(&tip, id, db, VMSCM_PRUNED_REF, err);
    if (rc == VMSCM_ENOTFOUND) {
        vmscm_error_clear(err);
        rc = 0;
    } else if (!rc && (rc = load_tree(pruned, db, git_commit_tree_id(tip), digits, 0, err))) {
        vmscm_error_prefix(err, VMSCM_PRUNED_REF);
    }
    git_commit_free(tip);
    if (rc) {
        vmscm_pruned_free(pruned);
        return rc;
    }
    sort_ids(pruned);
    *out = pruned;
    return 0;
}

void vmscm_pruned_free(struct vmscm_pruned *pruned)
{
    if (!pruned)
        return;
    vmscm_vec_release(&pruned->ids);
    free(pruned);
}

bool vmscm_pruned_has(const struct vmscm_pruned *pruned, const char *commit)
{
    git_oid oid;

    return pruned && pruned->ids.len && !vmscm_git_oid(&oid, commit, NULL) &&
        bsearch(&oid, pruned->ids.items, pruned->ids.len, sizeof oid, compare_ids) != NULL;
}

size_t vmscm_pruned_count(const struct vmscm_pruned *pruned)
{
    return pruned->ids.len;
}

/* False if it is not what vmscm_pruned_add writes. */
static bool parse(struct vmscm_pruned_note *out, const char *text)
{
    const char *author, *email, *date, *rule;
    json_t *object = json_loadb(text, strcspn(text, "\n"), JSON_REJECT_DUPLICATES, NULL);
    struct vmscm_signature by = {0};
    bool good = json_is_object(object) &&
        json_unpack(object, "{s:s, s:s, s:s, s:s}", "author", &author, "email", &email, "date",
            &date, "rule", &rule) == 0 &&
        vmscm_str_printable(author) && vmscm_str_printable(email) && vmscm_str_printable(rule) &&
        !vmscm_ident_parse_date(&by, date, NULL);

    if (good) {
        by.name = author;
        by.email = email;
        good = !vmscm_ident_dup(&out->by, &by, NULL) && !vmscm_str_dup(&out->rule, rule, NULL);
    }
    json_decref(object);
    return good;
}

int vmscm_pruned_read(struct vmscm_pruned_note *out, struct vmscm_gitdb *db, const char *commit,
    struct vmscm_error *err)
{
    static const struct vmscm_signature nobody = {"", "", 0, 0};
    struct vmscm_buf text = VMSCM_BUF_INIT;
    int rc = vmscm_notes_read(&text, db, VMSCM_PRUNED_REF, commit, err);

    *out = (struct vmscm_pruned_note){0};
    if (!rc && !parse(out, vmscm_buf_str(&text))) {
        vmscm_pruned_note_release(out);
        if ((rc = vmscm_ident_dup(&out->by, &nobody, err)) ||
            (rc = vmscm_str_dup(&out->rule, "", err)))
            vmscm_pruned_note_release(out);
    }
    vmscm_buf_release(&text);
    return rc;
}

void vmscm_pruned_note_release(struct vmscm_pruned_note *note)
{
    vmscm_ident_release(&note->by);
    free(note->rule);
    *note = (struct vmscm_pruned_note){0};
}

struct change {
    const char **digits; /* of the commits, sorted, each once */
    size_t count;
    const git_oid *blob; /* NULL: notes are taken away */
};

static int change_tree(git_oid *out, struct vmscm_gitdb *db, const git_oid *old,
    const struct change *change, size_t depth, struct vmscm_git_objects *objects,
    struct vmscm_error *err);

/* Those that begin with the same two digits, in the directory of that name: below is what it was. */
static int change_pair(git_treebuilder *builder, struct vmscm_gitdb *db,
    const git_tree_entry *below, const struct change *change, size_t depth,
    struct vmscm_git_objects *objects, struct vmscm_error *err)
{
    const char *digits = change->digits[0] + depth;
    char pair[3] = {digits[0], digits[1], '\0'};
    git_tree *tree = NULL;
    size_t left;
    git_oid oid;
    int rc, e;

    if ((rc = change_tree(&oid, db, below ? git_tree_entry_id(below) : NULL, change, depth + 2,
             objects, err)) ||
        (rc = vmscm_treewalk_lookup(&tree, db, &oid, err)))
        return rc;
    left = git_tree_entrycount(tree);
    git_tree_free(tree);
    e = left ? git_treebuilder_insert(NULL, builder, pair, &oid, GIT_FILEMODE_TREE)
             : git_treebuilder_remove(builder, pair);
    return e < 0 ? vmscm_git_error(err, e, VMSCM_EIO, "storing a note") : 0;
}

/* Notes that are in this tree itself: taken away, or left as they are. *rest: what is still to do,
 * its digits the caller's to free. */
static int change_here(struct change *rest, git_treebuilder *builder, const git_tree *tree,
    const struct change *change, size_t depth, struct vmscm_error *err)
{
    *rest = (struct change){calloc(change->count + 1, sizeof *rest->digits), 0, change->blob};
    if (!rest->digits)
        return vmscm_error_nomem(err);
    for (size_t i = 0; i < change->count; i++) {
        const char *digits = change->digits[i] + depth;
        bool here = vmscm_notetree_note(tree, digits) != NULL;
        int e = here && !change->blob ? git_treebuilder_remove(builder, digits) : 0;
        if (e < 0)
            return vmscm_git_error(err, e, VMSCM_EIO, "storing a note");
        if (!here || !change->blob)
            rest->digits[rest->count++] = change->digits[i];
    }
    return 0;
}

static int change_tree(git_oid *out, struct vmscm_gitdb *db, const git_oid *old,
    const struct change *change, size_t depth, struct vmscm_git_objects *objects,
    struct vmscm_error *err)
{
    struct change rest = {NULL, 0, NULL};
    git_treebuilder *builder = NULL;
    git_tree *tree = NULL;
    int rc = 0, e = 0;

    if (old && (rc = vmscm_treewalk_lookup(&tree, db, old, err)))
        return rc;
    if ((e = git_treebuilder_new(&builder, db->repo, tree)) < 0) {
        rc = vmscm_git_error(err, e, VMSCM_EIO, "storing a note");
        goto out;
    }
    rc = change_here(&rest, builder, tree, change, depth, err);
    for (size_t i = 0, n; i < rest.count && !rc; i += n) {
        const char *digits = rest.digits[i] + depth;
        const git_tree_entry *below = vmscm_notetree_below(tree, digits);
        n = 1;
        if (below || (depth == 0 && change->blob)) {
            while (i + n < rest.count && strncmp(rest.digits[i + n] + depth, digits, 2) == 0)
                n++;
            struct change part = {rest.digits + i, n, change->blob};
            rc = change_pair(builder, db, below, &part, depth, objects, err);
        } else if (change->blob && (e = git_treebuilder_insert(NULL, builder, digits,
                                        change->blob, GIT_FILEMODE_BLOB)) < 0) {
            rc = vmscm_git_error(err, e, VMSCM_EIO, "storing a note");
        }
    }
    if (!rc && (e = git_treebuilder_write(out, builder)) < 0)
        rc = vmscm_git_error(err, e, VMSCM_EIO, "storing a note");
    if (!rc)
        vmscm_git_objects_add(objects, out);
out:
    free(rest.digits);
    git_treebuilder_free(builder);
    git_tree_free(tree);
    return rc;
}

static int make(git_oid *out, struct vmscm_gitdb *db, const git_oid *old, void *data,
    struct vmscm_git_objects *objects, struct vmscm_error *err)
{
    const struct change *change = data;

    if (change->blob)
        vmscm_git_objects_add(objects, change->blob);
    return change_tree(out, db, old, change, 0, objects, err);
}

static int compare_digits(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int run(struct vmscm_gitdb *db, const char *const *commits, size_t count,
    const git_oid *blob, const struct vmscm_signature *who, struct vmscm_error *err)
{
    struct change change = {NULL, 0, blob};
    git_oid oid;
    int rc = 0;

    if (!count)
        return 0;
    if (!(change.digits = calloc(count, sizeof *change.digits)))
        return vmscm_error_nomem(err);
    memcpy(change.digits, commits, count * sizeof *change.digits);
    qsort(change.digits, count, sizeof *change.digits, compare_digits);
    for (size_t i = 0; i < count && !rc; i++)
        if (!(rc = vmscm_git_oid(&oid, change.digits[i], err)) &&
            (!i || strcmp(change.digits[i], change.digits[change.count - 1]) != 0))
            change.digits[change.count++] = change.digits[i];
    if (!rc)
        rc = vmscm_notetree_change(
            db, VMSCM_PRUNED_REF, blob ? "added" : "removed", who, make, &change, err);
    free(change.digits);
    return rc;
}

int vmscm_pruned_add(struct vmscm_gitdb *db, const char *const *commits, size_t count,
    const char *rule, const struct vmscm_signature *who, struct vmscm_error *err)
{
    char *date = NULL, *line = NULL, *text = NULL;
    json_t *object = NULL;
    git_oid blob;
    int rc, e;

    if (strlen(rule) > RULE_MAX || !vmscm_str_printable(rule))
        return vmscm_error_set(
            err, VMSCM_EUSAGE, "rule: over 64 KiB, not UTF-8, or with control characters");
    if ((rc = vmscm_ident_format_date(&date, who, err)))
        return rc;
    object = json_pack("{s:s, s:s, s:s, s:s}", "author", who->name, "email", who->email, "date",
        date, "rule", rule);
    if (!object || !(line = vmscm_jsontext_dump(object, JSON_COMPACT))) {
        rc = vmscm_error_set(err, VMSCM_EUSAGE, "note: cannot be written as JSON");
        goto out;
    }
    if ((rc = vmscm_str_printf(&text, err, "%s\n", line)))
        goto out;
    if ((e = git_blob_create_from_buffer(&blob, db->repo, text, strlen(text))) < 0)
        rc = vmscm_git_error(err, e, VMSCM_EIO, "storing a note");
    else
        rc = run(db, commits, count, &blob, who, err);
out:
    json_decref(object);
    free(line);
    free(text);
    free(date);
    return rc;
}

int vmscm_pruned_remove(struct vmscm_gitdb *db, const char *const *commits, size_t count,
    const struct vmscm_signature *who, struct vmscm_error *err)
{
    return run(db, commits, count, NULL, who, err);
}
