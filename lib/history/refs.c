/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/refs.h"
#include "base/str.h"
#include "history/head.h"
#include "history/reflist.h"
#include "history/reflock.h"
#include "history/reflog.h"
#include "sys/file.h"
#include "sys/lockfile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a ref is to a user: "machine web", "tag web:golden"; else its name. */
static const char *describe(char out[300], const char *ref)
{
    const char *name = ref, *slash;

    if (vmscm_str_starts(ref, "refs/heads/")) {
        snprintf(out, 300, "machine %.250s", ref + strlen("refs/heads/"));
    } else if (vmscm_str_starts(ref, "refs/tags/") &&
        (slash = strrchr(name += strlen("refs/tags/"), '/')) && slash > name) {
        snprintf(out, 300, "tag %.*s:%.100s", (int)(slash - name > 150 ? 150 : slash - name), name,
            slash + 1);
    } else {
        snprintf(out, 300, "%.290s", ref);
    }
    return out;
}

static int check_name(const char *ref, struct vmscm_error *err)
{
    char what[300];
    int valid = 0;

    if (strlen(ref) > 1024 || git_reference_name_is_valid(&valid, ref) < 0 || !valid ||
        !vmscm_str_starts(ref, "refs/"))
        return vmscm_error_set(err, VMSCM_EUSAGE, "%s: not a valid name", describe(what, ref));
    return 0;
}

static int read_id(git_oid *out, const struct vmscm_gitdb *db, const char *ref,
    struct vmscm_error *err)
{
    char what[300];
    int rc = check_name(ref, err), e;

    if (rc)
        return rc;
    e = git_reference_name_to_id(out, db->repo, ref);
    if (e == GIT_ENOTFOUND)
        return vmscm_error_set(err, VMSCM_ENOTFOUND, "%s: does not exist", describe(what, ref));
    if (e < 0)
        return vmscm_git_error(err, e, VMSCM_EDAMAGED, "%s: damaged", describe(what, ref));
    return 0;
}

int vmscm_refs_read(char *id, struct vmscm_gitdb *db, const char *ref, struct vmscm_error *err)
{
    git_oid oid;
    int rc = read_id(&oid, db, ref, err);

    if (!rc)
        git_oid_tostr(id, VMSCM_GITDB_ID, &oid);
    return rc;
}

static int peel(char *commit, const struct vmscm_gitdb *db, const git_oid *oid, const char *what,
    struct vmscm_error *err)
{
    git_object *object = NULL, *peeled = NULL;
    int rc = 0, e = git_object_lookup(&object, db->repo, oid, GIT_OBJECT_ANY);

    if (e >= 0)
        e = git_object_peel(&peeled, object, GIT_OBJECT_COMMIT);
    if (e < 0) {
        rc = vmscm_git_error(err, e, VMSCM_EDAMAGED, "%s: damaged", what);
        /* A missing object is damage here, not an absent ref. */
        if (e == GIT_ENOTFOUND || e == GIT_EINVALIDSPEC || e == GIT_EPEEL) {
            if (err)
                err->code = VMSCM_EDAMAGED;
            rc = VMSCM_EDAMAGED;
        }
    } else {
        git_oid_tostr(commit, VMSCM_GITDB_ID, git_object_id(peeled));
    }
    git_object_free(object);
    git_object_free(peeled);
    return rc;
}

int vmscm_refs_read_commit(char *id, struct vmscm_gitdb *db, const char *ref,
    struct vmscm_error *err)
{
    char what[300];
    git_oid oid;
    int rc = read_id(&oid, db, ref, err);

    return rc ? rc : peel(id, db, &oid, describe(what, ref), err);
}

int vmscm_refs_peel(char *commit, struct vmscm_gitdb *db, const char *id, struct vmscm_error *err)
{
    git_oid oid;
    int rc = vmscm_git_oid(&oid, id, err);

    return rc ? rc : peel(commit, db, &oid, id, err);
}

/* fsync the directories of a ref below the git directory; those that are gone are passed over. */
static int sync_dirs(const struct vmscm_gitdb *db, const char *below, const char *ref,
    struct vmscm_error *err)
{
    char *path = NULL, *slash;
    size_t base = strlen(db->path);
    int rc = vmscm_str_printf(&path, err, "%s/%s%s", db->path, below, ref);

    while (!rc && (slash = strrchr(path, '/')) && slash >= path + base) {
        *slash = '\0';
        rc = vmscm_file_sync_dir(path, err);
        if (rc == VMSCM_ENOTFOUND) {
            vmscm_error_clear(err);
            rc = 0;
        }
    }
    free(path);
    return rc;
}

int vmscm_refs_sync(struct vmscm_gitdb *db, const char *ref, struct vmscm_error *err)
{
    int rc = check_name(ref, err);

    if (!rc && !(rc = sync_dirs(db, "", ref, err)))
        rc = sync_dirs(db, "logs/", ref, err);
    return rc;
}

struct clash {
    const char *ref;
    struct vmscm_error *err;
};

static int found_clash(void *data, const char *name, const char *id)
{
    struct clash *clash = data;
    char what[300], other[300];

    (void)id;
    return vmscm_error_set(clash->err, VMSCM_EEXIST, "%s: there is a %s",
        describe(what, clash->ref), describe(other, name));
}

/* git keeps refs as files, so "a" and "a/b" cannot both be. */
static int check_clash(struct vmscm_gitdb *db, const char *ref, struct vmscm_error *err)
{
    struct clash clash = {ref, err};
    char *prefix = NULL;
    git_oid oid;
    int rc = vmscm_str_printf(&prefix, err, "%s/", ref);

    if (rc)
        return rc;
    if (!(rc = vmscm_reflist_walk(db, prefix, found_clash, &clash, err))) {
        prefix[strlen(ref)] = '\0';
        for (char *p = prefix; !rc && (p = strchr(p + 1, '/'));) {
            *p = '\0';
            if (git_reference_name_to_id(&oid, db->repo, prefix) == 0)
                rc = found_clash(&clash, prefix, NULL);
            *p = '/';
        }
    }
    free(prefix);
    return rc;
}

/* Compare a ref with what the caller expects it to be. */
static int check_expected(const struct vmscm_gitdb *db, const char *ref, const char *expected,
    bool *exists, git_oid *current, struct vmscm_error *err)
{
    char what[300];
    git_oid want;
    int rc = read_id(current, db, ref, err);

    *exists = rc != VMSCM_ENOTFOUND;
    if (!expected) {
        /* Whatever it is, even damaged. */
        if (rc == VMSCM_EUSAGE)
            return rc;
        if (rc)
            memset(current, 0, sizeof *current);
        vmscm_error_clear(err);
        return 0;
    }
    if (!*expected) {
        if (*exists)
            return vmscm_error_set(
                err, VMSCM_EEXIST, "%s: exists already", describe(what, ref));
        vmscm_error_clear(err);
        return 0;
    }
    if (rc == VMSCM_ENOTFOUND)
        return vmscm_error_set(err, VMSCM_ECONFLICT, "%s: was removed meanwhile",
            describe(what, ref));
    if (rc || (rc = vmscm_git_oid(&want, expected, err)))
        return rc;
    if (!git_oid_equal(current, &want))
        return vmscm_error_set(err, VMSCM_ECONFLICT, "%s: has moved meanwhile",
            describe(what, ref));
    return 0;
}

/* libgit2 reads what it overwrites, and would stop at a file that holds no id. */
static void clear_damaged(const struct vmscm_gitdb *db, const char *ref)
{
    char *path = NULL;
    git_oid oid;

    if (read_id(&oid, db, ref, NULL) != VMSCM_EDAMAGED)
        return;
    if (vmscm_str_printf(&path, NULL, "%s/%s", db->path, ref) == 0)
        unlink(path);
    free(path);
}

/* What has failed is only to make it last. */
static int admit(const char *ref, struct vmscm_error *err)
{
    char what[300];

    vmscm_error_prefix(err, "%s: done, but may not survive a power cut", describe(what, ref));
    vmscm_error_hint(err, "everybody sees it already; when the disk is well again, do it once more");
    return err ? err->code : VMSCM_EIO;
}

/* libgit2 has failed to make a ref this id, or, NULL, none; perhaps only to make it last. */
static int admit_if_done(const struct vmscm_gitdb *db, const char *ref, const git_oid *oid,
    struct vmscm_error *err)
{
    git_oid now;
    int rc = read_id(&now, db, ref, NULL);

    if (oid ? !rc && git_oid_equal(&now, oid) : rc == VMSCM_ENOTFOUND)
        return admit(ref, err);
    if (rc && rc != VMSCM_ENOTFOUND)
        vmscm_error_hint(err, "it may be done all the same: that cannot be read either");
    return err ? err->code : VMSCM_EIO;
}

/* The update itself; locks/refs is held. */
static int put(struct vmscm_gitdb *db, const char *ref, const char *expected, const git_oid *oid,
    const struct vmscm_signature *who, const char *why, struct vmscm_error *err)
{
    git_transaction *tx = NULL;
    git_signature *by = NULL;
    bool exists;
    char what[300];
    git_oid current;
    int rc, e;

    if ((rc = check_expected(db, ref, expected, &exists, &current, err)) ||
        (rc = vmscm_git_signature(&by, who, err)))
        goto out;
    if (!git_odb_exists(db->odb, oid)) {
        rc = vmscm_error_set(
            err, VMSCM_ENOTFOUND, "%s: the object does not exist", describe(what, ref));
        goto out;
    }
    if ((!exists &&
            ((rc = check_clash(db, ref, err)) || (rc = vmscm_reflog_clear(db, ref, err)))) ||
        (rc = vmscm_head_leave_damaged(db, err)) || (rc = vmscm_reflock_begin(&tx, db, ref, err)) ||
        (rc = check_expected(db, ref, expected, &exists, &current, err)))
        goto out;
    if (!expected)
        clear_damaged(db, ref);
    if ((rc = vmscm_reflog_mend(db, ref, err)) || (rc = vmscm_reflog_mend(db, "HEAD", err)))
        goto out;
    if ((e = git_transaction_set_target(tx, ref, oid, by, why)) < 0 ||
        (e = git_transaction_commit(tx)) < 0) {
        vmscm_git_error(err, e, VMSCM_EIO, "%s", describe(what, ref));
        rc = admit_if_done(db, ref, oid, err);
        goto out;
    }
    /* libgit2 syncs the files and the directories they are in. A directory that is new, or one
     * whose maker died before it did so, is ours to sync. */
    if (vmscm_refs_sync(db, ref, err))
        rc = admit(ref, err);
out:
    git_transaction_free(tx);
    git_signature_free(by);
    return rc;
}

int vmscm_refs_update(struct vmscm_gitdb *db, const char *ref, const char *expected,
    const char *id, const struct vmscm_signature *who, const char *why, struct vmscm_error *err)
{
    git_oid oid;
    int lock = -1, rc;

    if ((rc = check_name(ref, err)) || (rc = vmscm_git_oid(&oid, id, err)) ||
        (rc = vmscm_lockfile_acquire(&lock, db->refs_lock, VMSCM_LOCK_EXCLUSIVE, err)))
        return rc;
    if (!(rc = put(db, ref, expected, &oid, who, why, err)))
        vmscm_head_adopt(db, ref);
    vmscm_lockfile_release(&lock);
    return rc;
}

/* The removal itself; locks/refs is held. The ref goes first: a ref without its reflog has lost
 * something, a reflog without its ref is garbage, if it says that this was meant. */
static int take(struct vmscm_gitdb *db, const char *ref, const char *expected,
    struct vmscm_error *err)
{
    git_transaction *tx = NULL;
    bool exists;
    char what[300], id[VMSCM_GITDB_ID];
    git_oid current;
    int rc, e;

    if ((rc = check_expected(db, ref, expected, &exists, &current, err)))
        return rc;
    if (!exists)
        return vmscm_error_set(err, VMSCM_ENOTFOUND, "%s: does not exist", describe(what, ref));
    /* Removing a packed ref rewrites packed-refs. */
    vmscm_reflock_clear(db, "packed-refs", 3000);
    if ((rc = vmscm_reflock_begin(&tx, db, ref, err)) ||
        (rc = check_expected(db, ref, expected, &exists, &current, err)))
        goto out;
    git_oid_tostr(id, sizeof id, &current);
    /* A full disk must not be in the way of what makes room on it. */
    if ((rc = vmscm_reflog_note_removal(db, ref, id, err)) && rc != VMSCM_EIO)
        goto out;
    rc = 0;
    vmscm_error_clear(err);
    if ((e = git_transaction_remove(tx, ref)) < 0 || (e = git_transaction_commit(tx)) < 0) {
        vmscm_git_error(err, e, VMSCM_EIO, "%s: removing", describe(what, ref));
        rc = admit_if_done(db, ref, NULL, err);
        goto out;
    }
    if (sync_dirs(db, "", ref, err)) {
        rc = admit(ref, err);
        goto out;
    }
    if ((e = git_reflog_delete(db->repo, ref)) < 0 && e != GIT_ENOTFOUND) {
        vmscm_git_error(err, e, VMSCM_EIO, "%s: removing its reflog", describe(what, ref));
        rc = admit(ref, err);
        goto out;
    }
    if (sync_dirs(db, "logs/", ref, err))
        rc = admit(ref, err);
out:
    git_transaction_free(tx);
    return rc;
}

int vmscm_refs_delete(struct vmscm_gitdb *db, const char *ref, const char *expected,
    struct vmscm_error *err)
{
    int lock = -1, rc;

    if ((rc = check_name(ref, err)))
        return rc;
    if (expected && !*expected)
        return vmscm_error_set(err, VMSCM_EUSAGE, "%s: nothing to remove", ref);
    if ((rc = vmscm_lockfile_acquire(&lock, db->refs_lock, VMSCM_LOCK_EXCLUSIVE, err)))
        return rc;
    rc = take(db, ref, expected, err);
    vmscm_lockfile_release(&lock);
    return rc;
}

/* The copy itself; locks/refs is held. id gets what both are. */
static int copy(char *id, struct vmscm_gitdb *db, const char *from, const char *to,
    const struct vmscm_signature *who, const char *why, struct vmscm_error *err)
{
    bool is = false, whole = false;
    git_oid oid, there;
    int rc;

    if ((rc = read_id(&oid, db, from, err)))
        return rc;
    git_oid_tostr(id, VMSCM_GITDB_ID, &oid);
    if (!read_id(&there, db, to, NULL) && git_oid_equal(&oid, &there) &&
        (rc = vmscm_reflog_is_copy(&is, &whole, db, from, to, why, err)))
        return rc;
    if (!is && (rc = put(db, to, "", &oid, who, why, err)))
        return rc;
    if (!whole && (rc = vmscm_reflog_copy(db, from, to, id, who, why, err)))
        return rc;
    return is ? vmscm_refs_sync(db, to, err) : 0;
}

/* The new ref is whole before the old one goes: killed in between, both are there. (libgit2's own
 * rename removes the old one first.) */
static int copy_locked(struct vmscm_gitdb *db, const char *from, const char *to, bool remove,
    const struct vmscm_signature *who, const char *why, struct vmscm_error *err)
{
    char id[VMSCM_GITDB_ID];
    int lock = -1, rc;

    if ((rc = check_name(from, err)) || (rc = check_name(to, err)) ||
        (rc = vmscm_lockfile_acquire(&lock, db->refs_lock, VMSCM_LOCK_EXCLUSIVE, err)))
        return rc;
    if (!(rc = copy(id, db, from, to, who, why, err)) && remove &&
        !(rc = take(db, from, id, err)))
        vmscm_head_adopt(db, to);
    vmscm_lockfile_release(&lock);
    return rc;
}

int vmscm_refs_copy(struct vmscm_gitdb *db, const char *from, const char *to,
    const struct vmscm_signature *who, const char *why, struct vmscm_error *err)
{
    return copy_locked(db, from, to, false, who, why, err);
}

int vmscm_refs_rename(struct vmscm_gitdb *db, const char *from, const char *to,
    const struct vmscm_signature *who, const char *why, struct vmscm_error *err)
{
    return copy_locked(db, from, to, true, who, why, err);
}

int vmscm_refs_log_ids(struct vmscm_gitdb *db, const char *ref,
    int (*each)(void *data, const char *id), void *data, struct vmscm_error *err)
{
    struct vmscm_reflog log;
    int rc = vmscm_reflog_read(&log, db, ref, err);

    for (size_t i = log.count; i-- && !rc;) {
        const struct vmscm_reflog_entry *entry = &log.entries[i];
        if (!vmscm_reflog_is_zero(entry->after))
            rc = each(data, entry->after);
        if (!rc && !vmscm_reflog_is_zero(entry->before))
            rc = each(data, entry->before);
    }
    vmscm_reflog_release(&log);
    return rc;
}

int vmscm_refs_tag(struct vmscm_gitdb *db, const char *ref, const char *expected,
    const char *commit, const char *name, const char *message, const struct vmscm_signature *who,
    struct vmscm_error *err)
{
    struct vmscm_git_objects objects = {{false}};
    git_signature *by = NULL;
    git_commit *target = NULL;
    char id[VMSCM_GITDB_ID], what[300], *text = NULL;
    git_oid oid;
    int rc, e;

    if ((rc = check_name(ref, err)) || (rc = vmscm_git_oid(&oid, commit, err)) ||
        (rc = vmscm_git_signature(&by, who, err)) ||
        (rc = vmscm_git_message(&text, message, err)))
        goto out;
    if ((e = git_commit_lookup(&target, db->repo, &oid)) < 0 ||
        (e = git_tag_annotation_create(
             &oid, db->repo, name, (const git_object *)target, by, text)) < 0) {
        rc = vmscm_git_error(err, e, VMSCM_EIO, "%s", describe(what, ref));
        goto out;
    }
    vmscm_git_objects_add(&objects, &oid);
    git_oid_tostr(id, sizeof id, &oid);
    if (!(rc = vmscm_git_objects_sync(&objects, db, err)))
        rc = vmscm_refs_update(db, ref, expected, id, who, "tag", err);
out:
    git_commit_free(target);
    git_signature_free(by);
    free(text);
    return rc;
}

int vmscm_refs_tag_read(char **message, struct vmscm_signature *tagger, struct vmscm_gitdb *db,
    const char *ref, struct vmscm_error *err)
{
    char nobody[] = "";
    const git_signature none = {.name = nobody, .email = nobody}, *by;
    git_object *object = NULL;
    char what[300];
    git_oid oid;
    int rc, e;

    *message = NULL;
    *tagger = (struct vmscm_signature){NULL, NULL, 0, 0};
    if ((rc = read_id(&oid, db, ref, err)))
        return rc;
    if ((e = git_object_lookup(&object, db->repo, &oid, GIT_OBJECT_ANY)) < 0)
        return vmscm_git_error(err, e, VMSCM_EDAMAGED, "%s: damaged", describe(what, ref));
    /* Plain git may have made a light tag, which says nothing. */
    bool annotated = git_object_type(object) == GIT_OBJECT_TAG;
    const char *text = annotated ? git_tag_message((const git_tag *)object) : NULL;
    by = annotated ? git_tag_tagger((const git_tag *)object) : NULL;
    if ((rc = vmscm_str_dup(message, text ? text : "", err)) ||
        (rc = vmscm_git_signature_copy(tagger, by ? by : &none, err))) {
        free(*message);
        *message = NULL;
    } else {
        for (size_t n = strlen(*message); n && (*message)[n - 1] == '\n';)
            (*message)[--n] = '\0';
    }
    git_object_free(object);
    return rc;
}
