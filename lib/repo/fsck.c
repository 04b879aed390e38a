/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Checking a repository: its packs (fsckpacks.c), then its history and all it leads to
 * (fsckhistory.c). A machine or revision alone: only what that needs. */
#include <vmscm/fsck.h>

#include "repo/fsckhistory.h"
#include "repo/fsckpacks.h"

int vmscm_fsck(struct vmscm_repo *repo, const struct vmscm_fsck_options *options,
    const struct vmscm_events *events, void (*found)(void *, const struct vmscm_fsck_finding *),
    void *data, struct vmscm_fsck_result *result, struct vmscm_error *err)
{
    static const struct vmscm_fsck_options defaults;
    struct vmscm_fsck_result own = {0};
    struct vmscm_findings findings = {
        .found = found, .data = data, .result = result ? result : &own};
    struct vmscm_idset bad = {0};
    struct vmscm_fsckhistory walk = {
        .repo = repo, .events = events, .findings = &findings, .bad = &bad};
    struct vmscm_store *store;
    unsigned jobs;
    int rc;

    if (!options)
        options = &defaults;
    *findings.result = own;
    if ((!options->spec && (rc = vmscm_handle_check_near(repo, err))) ||
        (rc = vmscm_handle_jobs(&jobs, repo, options->jobs, err)) ||
        (rc = vmscm_handle_store(&store, repo, err)))
        return rc;
    if (options->spec) {
        walk.read_jobs = options->full ? jobs : 0;
        findings.result->packs = vmscm_store_pack_count(store);
    } else if ((rc = vmscm_fsckpacks_structure(repo, &findings, err)) ||
        (options->full &&
            (rc = vmscm_fsckpacks_bytes(repo, jobs, events, &findings, &bad, err)))) {
        goto out;
    }
    rc = vmscm_fsckhistory_run(&walk, options->spec, err);
    if (!rc && options->spec && findings.result->findings)
        vmscm_fsckpacks_known(repo, &findings);
    else if (!rc && !options->spec)
        rc = vmscm_fsckpacks_leftovers(repo, &findings, err);
    if (!rc && findings.result->findings)
        rc = vmscm_error_set(err, VMSCM_EDAMAGED, "%s: %llu finding%s", repo->path,
            (unsigned long long)findings.result->findings,
            findings.result->findings == 1 ? "" : "s");
out:
    vmscm_idset_release(&bad);
    return rc;
}
