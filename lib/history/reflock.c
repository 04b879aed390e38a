/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/reflock.h"
#include "base/str.h"
#include "history/stalelock.h"

#include <stdlib.h>

void vmscm_reflock_clear(const struct vmscm_gitdb *db, const char *name, unsigned ms)
{
    char *path = NULL;

    if (vmscm_str_printf(&path, NULL, "%s/%s.lock", db->path, name) == 0)
        vmscm_stalelock_clear(path, ms);
    free(path);
}

int vmscm_reflock_begin(git_transaction **tx, const struct vmscm_gitdb *db, const char *ref,
    struct vmscm_error *err)
{
    int e = 0;

    *tx = NULL;
    for (int attempt = 0; attempt < 5; attempt++) {
        if ((e = git_transaction_new(tx, db->repo)) >= 0 &&
            (e = git_transaction_lock_ref(*tx, ref)) >= 0)
            return 0;
        git_transaction_free(*tx);
        *tx = NULL;
        if (e != GIT_ELOCKED)
            break;
        vmscm_reflock_clear(db, ref, 1000);
    }
    return vmscm_git_error(err, e, VMSCM_EIO, "%.300s: locking", ref);
}
