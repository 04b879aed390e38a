/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/head.h"
#include "base/str.h"
#include "history/git.h"
#include "sys/file.h"

#include <stdlib.h>
#include <string.h>

#define NOWHERE "ref: refs/heads/none\n" /* adopted as soon as a machine is written */

int vmscm_head_leave_damaged(struct vmscm_gitdb *db, struct vmscm_error *err)
{
    char *path = NULL;
    git_oid oid;
    int e = git_reference_name_to_id(&oid, db->repo, "HEAD"), rc;

    if (e >= 0 || e == GIT_ENOTFOUND)
        return 0;
    if ((rc = vmscm_str_printf(&path, err, "%s/HEAD", db->path)))
        return rc;
    rc = vmscm_file_replace(path, NOWHERE, strlen(NOWHERE), 0666, err);
    free(path);
    return rc;
}

void vmscm_head_adopt(struct vmscm_gitdb *db, const char *ref)
{
    if (vmscm_str_starts(ref, "refs/heads/") && git_repository_head_unborn(db->repo) == 1)
        git_repository_set_head(db->repo, ref);
}
