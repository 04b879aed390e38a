/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/head.h"
#include "base/str.h"
#include "history/git.h"

void vmscm_head_adopt(struct vmscm_gitdb *db, const char *ref)
{
    if (vmscm_str_starts(ref, "refs/heads/") && git_repository_head_unborn(db->repo) == 1)
        git_repository_set_head(db->repo, ref);
}
