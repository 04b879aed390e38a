/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/aside.h"
#include "base/path.h"
#include "base/str.h"
#include "sys/file.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES_MAX 1000000u

/* Make the directory if it is not there; *dir is the caller's. */
static int make_dir(char **dir, const char *repo, struct vmscm_error *err)
{
    int rc = vmscm_path_join(dir, repo, VMSCM_ASIDE_DIR, err);

    if (rc)
        return rc;
    if (mkdir(*dir, 0777) == 0)
        return vmscm_file_sync_dir(repo, err);
    return errno == EEXIST ? 0 : vmscm_error_errno(err, errno, "%s", *dir);
}

static int move(const char *from, const char *to, bool stays, struct vmscm_error *err)
{
    if (stays && link(from, to) == 0)
        return 0;
    if (stays && errno == EEXIST)
        return VMSCM_EEXIST;
    return vmscm_file_rename_new(from, to, err);
}

int vmscm_aside_move(char **to, const char *repo, const char *file, const char *name, bool stays,
    struct vmscm_error *err)
{
    char *from = NULL, *dir = NULL, *parent = NULL, *path = NULL, *as = NULL;
    struct vmscm_error why = VMSCM_ERROR_INIT;
    int rc;

    if ((rc = vmscm_path_join(&from, repo, file, err)) ||
        (rc = vmscm_path_dirname(&parent, from, err)) || (rc = make_dir(&dir, repo, err)) ||
        (rc = vmscm_str_dup(&as, name, err)))
        goto out;
    for (unsigned n = 1; n < NAMES_MAX; n++) {
        free(path);
        path = NULL;
        if ((rc = vmscm_path_join(&path, dir, as, err)) ||
            (rc = move(from, path, stays, &why)) != VMSCM_EEXIST)
            break;
        free(as);
        as = NULL;
        if ((rc = vmscm_str_printf(&as, err, "%s.%u", name, n)))
            goto out;
    }
    if (why.code && rc == why.code)
        vmscm_error_copy(err, &why);
    /* The new name first: it must not be gone from both. */
    if (rc || (rc = vmscm_file_sync_dir(dir, err)) || (rc = vmscm_file_sync_dir(parent, err)))
        goto out;
    rc = vmscm_str_printf(to, err, VMSCM_ASIDE_DIR "/%s", as);
out:
    free(from);
    free(dir);
    free(parent);
    free(path);
    free(as);
    return rc;
}
