/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sys/tempdir.h"
#include "base/path.h"
#include "sys/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A Unix socket's path must fit sockaddr_un.sun_path, so a long parent is passed over. */
static const char *short_env(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] == '/' && strlen(value) < 60 ? value : NULL;
}

int vmscm_tempdir_make(char **path, const char *parent, struct vmscm_error *err)
{
    if (!parent)
        parent = short_env("XDG_RUNTIME_DIR");
    if (!parent)
        parent = short_env("TMPDIR");
    if (!parent)
        parent = "/tmp";
    int rc = vmscm_path_join(path, parent, "vmscm-XXXXXX", err);
    if (rc)
        return rc;
    if (!mkdtemp(*path)) {
        rc = vmscm_error_errno(err, errno, "%s: making a temporary directory", parent);
        free(*path);
        *path = NULL;
    }
    return rc;
}

void vmscm_tempdir_remove(char *path)
{
    if (path)
        vmscm_file_remove_tree(path, NULL);
    free(path);
}
