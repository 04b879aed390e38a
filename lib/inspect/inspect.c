/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Facts kept in history: notes, under refs/notes/inspection, on the git tree of a revision's disks. That
 * tree is named by the content of all disk maps, so that a clone or a new message changes nothing about
 * it, and a line of a note is a document, so that the union of lines merges what two repositories found.
 */
#include <vmscm/inspect.h>

#include "base/path.h"
#include "history/gitconfig.h"
#include "history/ident.h"
#include "history/notes.h"
#include "inspect/facts.h"
#include "repo/refnames.h"
#include "repo/snapshot.h"
#include "sys/lockfile.h"

#include <stdlib.h>
#include <string.h>

#define LOCK "locks/inspect"

struct vmscm_inspect_turn {
    int lock;
};

int vmscm_inspect_key(char *key, struct vmscm_revision *rev, struct vmscm_error *err)
{
    int rc = vmscm_gitdb_find_tree(key, rev->repo->git, rev->info.id, VMSCM_HANDLE_DISK_DIR, err);

    return rc == VMSCM_ENOTFOUND
        ? vmscm_error_set(err, rc, "revision %.12s: has no disks", rev->info.id)
        : rc;
}

int vmscm_inspect_read(char **out, struct vmscm_revision *rev, struct vmscm_error *err)
{
    struct vmscm_buf note = VMSCM_BUF_INIT;
    struct vmscm_facts facts = {NULL, 0, false};
    char key[VMSCM_GITDB_ID];
    int rc;

    *out = NULL;
    if ((rc = vmscm_inspect_key(key, rev, err)) ||
        (rc = vmscm_notes_read(&note, rev->repo->git, VMSCM_REFNAMES_INSPECTION, key, err)) ||
        (rc = vmscm_facts_choose(&facts, vmscm_buf_str(&note), err)))
        goto out;
    rc = vmscm_facts_line(out, &facts, err);
out:
    if (rc == VMSCM_ENOTFOUND)
        vmscm_error_set(err, rc, "revision %.12s: was not inspected", rev->info.id);
    vmscm_facts_release(&facts);
    vmscm_buf_release(&note);
    return rc;
}

int vmscm_inspect_record(struct vmscm_revision *rev, const void *bytes, size_t size,
    struct vmscm_error *err)
{
    struct vmscm_signature who = {0};
    struct vmscm_facts facts;
    char key[VMSCM_GITDB_ID], *line = NULL;
    int lock = -1, rc;

    if ((rc = vmscm_facts_parse(&facts, bytes, size, err)) ||
        (rc = vmscm_facts_line(&line, &facts, err)) ||
        (rc = vmscm_inspect_key(key, rev, err)) ||
        (rc = vmscm_handle_who(&who, NULL, rev->repo, err)) ||
        (rc = vmscm_handle_commit_lock(&lock, rev->repo, err)))
        goto out;
    rc = vmscm_notes_append(
        rev->repo->git, VMSCM_REFNAMES_INSPECTION, key, line, &who, err);
out:
    vmscm_lockfile_release(&lock);
    vmscm_ident_release(&who);
    vmscm_facts_release(&facts);
    free(line);
    return rc;
}

int vmscm_inspect_automatic(int *automatic, struct vmscm_repo *repo, struct vmscm_error *err)
{
    int64_t value;
    int rc = vmscm_gitconfig_get_int(&value, repo->config, "inspect.auto", 1, err);

    *automatic = !rc && value != 0;
    return rc;
}

int vmscm_inspect_begin(struct vmscm_inspect_turn **out, struct vmscm_repo *repo,
    struct vmscm_error *err)
{
    struct vmscm_inspect_turn *turn = malloc(sizeof *turn);
    char *path = NULL;
    int rc = turn ? vmscm_path_join(&path, repo->path, LOCK, err) : vmscm_error_nomem(err);

    if (!rc && (rc = vmscm_lockfile_try(&turn->lock, path, VMSCM_LOCK_EXCLUSIVE, err)) == VMSCM_EBUSY)
        vmscm_error_set(err, rc, "inspect: another is at work in this repository");
    free(path);
    if (rc)
        free(turn);
    else
        *out = turn;
    return rc;
}

void vmscm_inspect_end(struct vmscm_inspect_turn *turn)
{
    if (!turn)
        return;
    vmscm_lockfile_release(&turn->lock);
    free(turn);
}
