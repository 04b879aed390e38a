/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/reflock.h"
#include "base/str.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void clear_stale(const char *path, unsigned ms)
{
    struct stat first, now;

    if (lstat(path, &first) < 0)
        return;
    for (unsigned waited = 0; waited < ms; waited += 10) {
        nanosleep(&(struct timespec){0, 10 * 1000 * 1000}, NULL);
        if (lstat(path, &now) < 0 || now.st_ino != first.st_ino ||
            now.st_ctim.tv_sec != first.st_ctim.tv_sec ||
            now.st_ctim.tv_nsec != first.st_ctim.tv_nsec)
            return;
    }
    unlink(path);
}

void vmscm_reflock_clear(const struct vmscm_gitdb *db, const char *name, unsigned ms)
{
    char *path = NULL;

    if (vmscm_str_printf(&path, NULL, "%s/%s.lock", db->path, name) == 0)
        clear_stale(path, ms);
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
