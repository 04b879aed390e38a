/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tags and comments. */
#include "base/str.h"
#include "history/ident.h"
#include "history/notes.h"
#include "history/pruned.h"
#include "history/reflist.h"
#include "history/refs.h"
#include "history/revspec.h"
#include "repo/kept.h"
#include "repo/snapshot.h"
#include "sys/lockfile.h"

#include <stdlib.h>
#include <string.h>

int vmscm_revision_tag(struct vmscm_revision *rev, const char *tag, const char *message,
    int force, struct vmscm_error *err)
{
    const char *machine = vmscm_revision_machine_name(rev);
    struct vmscm_signature who = {0};
    char *ref = NULL, *head = NULL;
    int lock = -1, rc;

    if ((rc = vmscm_revspec_check_tag(tag, err)))
        return rc;
    if (!machine) {
        vmscm_error_set(
            err, VMSCM_ENOTFOUND, "%.12s: in no machine's history, so no tag can name it",
            rev->info.id);
        return vmscm_error_hint(err, "vmscm clone %.12s NEW-MACHINE makes it one's", rev->info.id);
    }
    if ((rc = vmscm_handle_who(&who, NULL, rev->repo, err)) ||
        (rc = vmscm_handle_tag(&ref, machine, tag, err)) ||
        (rc = vmscm_handle_head(&head, machine, err)) ||
        (rc = vmscm_handle_commit_lock(&lock, rev->repo, err)) ||
        (rc = vmscm_snapshot_kept(rev->repo, rev->info.id, err)) ||
        (rc = vmscm_kept_check(rev->repo, rev->info.id, head, err)))
        goto out;
    rc = vmscm_refs_tag(rev->repo->git, ref, force ? NULL : "", rev->info.id, tag,
        message ? message : "", &who, err);
    if (rc == VMSCM_EEXIST) {
        vmscm_error_set(err, rc, "%s:%s: there is such a tag", machine, tag);
        vmscm_error_hint(err, "--force moves it");
    }
out:
    vmscm_lockfile_release(&lock);
    vmscm_ident_release(&who);
    free(head);
    free(ref);
    return rc;
}

int vmscm_revision_untag(struct vmscm_repo *repo, const char *machine, const char *tag,
    struct vmscm_error *err)
{
    char *ref = NULL, id[VMSCM_GITDB_ID];
    int lock = -1, rc;

    if ((rc = vmscm_revspec_check_machine(machine, err)) ||
        (rc = vmscm_revspec_check_tag(tag, err)) ||
        (rc = vmscm_handle_tag(&ref, machine, tag, err)) ||
        (rc = vmscm_handle_commit_lock(&lock, repo, err)))
        goto out;
    if ((rc = vmscm_refs_read(id, repo->git, ref, err)) == VMSCM_ENOTFOUND)
        vmscm_error_set(err, rc, "%s:%s: no such tag", machine, tag);
    if (!rc)
        rc = vmscm_refs_delete(repo->git, ref, id, err);
out:
    vmscm_lockfile_release(&lock);
    free(ref);
    return rc;
}

struct tag_walk {
    struct vmscm_repo *repo;
    const char *machine;
    struct vmscm_pruned *pruned; /* NULL: none */
    int (*each)(void *data, const struct vmscm_tag_entry *entry);
    void *data;
    struct vmscm_error *err;
};

static int list_tag(void *data, const char *ref, const char *id)
{
    struct tag_walk *w = data;
    const char *name = ref + strlen(VMSCM_HANDLE_TAGS), *slash = strrchr(name, '/');
    struct vmscm_tag_entry entry = {.message = ""};
    struct vmscm_signature tagger = {0};
    char *machine = NULL, *message = NULL, commit[VMSCM_GITDB_ID];
    int rc;

    /* A tag of no machine was made by plain git, and is none of ours. */
    if (!id || !slash)
        return 0;
    if ((rc = vmscm_str_printf(&machine, w->err, "%.*s", (int)(slash - name), name)))
        return rc;
    if (w->machine && strcmp(machine, w->machine) != 0)
        goto out;
    if (vmscm_refs_read_commit(commit, w->repo->git, ref, NULL))
        goto out;
    if (!vmscm_refs_tag_read(&message, &tagger, w->repo->git, ref, NULL)) {
        entry.message = message;
        entry.tagger = tagger;
    }
    entry.machine = machine;
    entry.tag = slash + 1;
    entry.id = commit;
    entry.pruned = vmscm_pruned_has(w->pruned, commit);
    rc = w->each(w->data, &entry);
out:
    free(message);
    vmscm_ident_release(&tagger);
    free(machine);
    return rc;
}

int vmscm_revision_tags(struct vmscm_repo *repo, const char *machine,
    int (*each)(void *data, const struct vmscm_tag_entry *entry), void *data,
    struct vmscm_error *err)
{
    struct tag_walk walk = {repo, machine, NULL, each, data, err};
    char *prefix = NULL;
    int rc = machine ? vmscm_handle_tag(&prefix, machine, NULL, err)
                     : vmscm_str_dup(&prefix, VMSCM_HANDLE_TAGS, err);

    /* Where it cannot be told, fsck tells. */
    vmscm_pruned_load(&walk.pruned, repo->git, NULL);
    if (!rc)
        rc = vmscm_reflist_walk(repo->git, prefix, list_tag, &walk, err);
    vmscm_pruned_free(walk.pruned);
    free(prefix);
    return rc;
}

int vmscm_revision_comment(struct vmscm_revision *rev, const char *text, struct vmscm_error *err)
{
    struct vmscm_signature who = {0};
    int lock = -1, rc;

    if (text[strspn(text, " \t\r\n")] == '\0')
        return vmscm_error_set(err, VMSCM_EUSAGE, "comment: it is empty");
    if ((rc = vmscm_handle_who(&who, NULL, rev->repo, err)) ||
        (rc = vmscm_handle_commit_lock(&lock, rev->repo, err)))
        goto out;
    rc = vmscm_notes_comment(rev->repo->git, rev->info.id, text, &who, err);
out:
    vmscm_lockfile_release(&lock);
    vmscm_ident_release(&who);
    return rc;
}

int vmscm_revision_comments(struct vmscm_revision *rev,
    int (*each)(void *data, const struct vmscm_signature *author, const char *text), void *data,
    struct vmscm_error *err)
{
    int rc = vmscm_notes_comments(rev->repo->git, rev->info.id, each, data, err);

    return rc == VMSCM_ENOTFOUND ? 0 : rc;
}
