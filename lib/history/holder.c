/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/holder.h"
#include "base/str.h"
#include "base/vec.h"
#include "history/oidset.h"
#include "history/reflist.h"

#include <stdlib.h>
#include <string.h>

struct tips {
    git_oid wanted;
    VMSCM_VEC(struct tip {
        char *name;
        git_oid oid;
    }) list;
    struct vmscm_error *err;
};

static int add_tip(void *data, const char *ref, const char *id)
{
    struct tips *tips = data;
    struct tip *tip;
    int rc;

    if (!id)
        return 0;
    if ((rc = vmscm_vec_add(&tips->list, &tip, tips->err)) ||
        (rc = vmscm_git_oid(&tip->oid, id, tips->err)))
        return rc;
    return vmscm_str_dup(&tip->name, ref + strlen("refs/heads/"), tips->err);
}

/* Whether the history of a tip holds the commit; what earlier tips' histories had is not gone
 * through again. A commit that cannot be read ends its line. */
static int holds(bool *found, struct vmscm_gitdb *db, struct vmscm_oidset *seen, const git_oid *tip,
    const git_oid *wanted, struct vmscm_error *err)
{
    VMSCM_VEC(git_oid) todo = {0};
    git_commit *commit;
    git_oid oid, *slot;
    bool fresh = false;
    int rc;

    if ((rc = vmscm_vec_add(&todo, &slot, err)))
        return rc;
    *slot = *tip;
    while (todo.len && !*found && !rc) {
        oid = todo.items[--todo.len];
        if (git_oid_equal(&oid, wanted))
            *found = true;
        else if (!git_oid_is_zero(&oid) && !(rc = vmscm_oidset_add(seen, &fresh, &oid, err)) && fresh &&
            git_commit_lookup(&commit, db->repo, &oid) == 0) {
            for (unsigned i = 0; i < git_commit_parentcount(commit) && !rc; i++)
                if (!(rc = vmscm_vec_add(&todo, &slot, err)))
                    *slot = *git_commit_parent_id(commit, i);
            git_commit_free(commit);
        }
    }
    vmscm_vec_release(&todo);
    return rc;
}

int vmscm_holder_find(char **name, struct vmscm_gitdb *db, const char *id,
    struct vmscm_error *err)
{
    struct tips tips = {.err = err};
    struct vmscm_oidset seen = {0};
    const char *holder = NULL;
    bool found = false;
    int rc;

    *name = NULL;
    if ((rc = vmscm_git_oid(&tips.wanted, id, err)) ||
        (rc = vmscm_reflist_walk(db, "refs/heads/", add_tip, &tips, err)))
        goto out;
    for (size_t i = 0; i < tips.list.len && !holder; i++)
        if (git_oid_equal(&tips.list.items[i].oid, &tips.wanted))
            holder = tips.list.items[i].name;
    for (size_t i = 0; i < tips.list.len && !holder; i++) {
        if ((rc = holds(&found, db, &seen, &tips.list.items[i].oid, &tips.wanted, err)))
            goto out;
        if (found)
            holder = tips.list.items[i].name;
    }
    if (holder)
        rc = vmscm_str_dup(name, holder, err);
    else
        rc = vmscm_error_set(
            err, VMSCM_ENOTFOUND, "revision %.12s: in no machine's history", id);
out:
    for (size_t i = 0; i < tips.list.len; i++)
        free(tips.list.items[i].name);
    vmscm_vec_release(&tips.list);
    vmscm_oidset_release(&seen);
    return rc;
}
