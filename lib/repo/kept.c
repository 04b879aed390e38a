/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/kept.h"
#include "history/roots.h"
#include "repo/fsckhistory.h"

int vmscm_kept_check(struct vmscm_repo *repo, const char *id, const char *first,
    struct vmscm_error *err)
{
    struct vmscm_fsck_result result = {0};
    struct vmscm_findings findings = {.result = &result};
    struct vmscm_idset bad = {0};
    struct vmscm_fsckhistory walk = {.repo = repo,
        .findings = &findings,
        .bad = &bad,
        .ancestors = true,
        .data_only = true,
        .in_packs = true};
    struct vmscm_store *store;
    bool reached = false, changed;
    int rc = vmscm_roots_reach(&reached, repo->git, id, first, err);

    if (!rc && reached)
        return 0;
    /* A root that cannot be read may be the one that leads to it. */
    if (rc && rc != VMSCM_EDAMAGED && rc != VMSCM_EUNSUPPORTED)
        return rc;
    vmscm_error_clear(err);
    /* What was seen before this lock was taken may be gone. */
    if ((rc = vmscm_handle_store(&store, repo, err)) ||
        (rc = vmscm_store_reload(store, &changed, err)))
        return rc;
    rc = vmscm_fsckhistory_run(&walk, id, err);
    if (rc == VMSCM_ENOTFOUND || (!rc && result.findings))
        rc = vmscm_error_set(err, VMSCM_ENOTFOUND,
            "revision %.12s: in no machine's history, and gc has removed parts of it", id);
    return rc;
}
