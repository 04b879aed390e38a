/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "diskspec.h"

#include <string.h>

int diskspec_resolve(struct vmscm_revision **out, const char **disk, struct vmscm_repo *repo,
    char *spec, struct vmscm_error *err)
{
    struct vmscm_error second = VMSCM_ERROR_INIT;
    int rc = vmscm_revision_resolve(out, repo, spec, err);
    char *colon = strrchr(spec, ':');

    *disk = NULL;
    if ((rc != VMSCM_ENOTFOUND && rc != VMSCM_EUSAGE) || !colon || !colon[1])
        return rc;
    *colon = '\0';
    if (vmscm_revision_resolve(out, repo, spec, &second) != 0)
        return rc;
    *disk = colon + 1;
    if (err)
        *err = (struct vmscm_error)VMSCM_ERROR_INIT;
    return 0;
}
