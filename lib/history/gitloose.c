/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/gitloose.h"
#include "base/str.h"

#include <git2/odb_backend.h>
#include <stdlib.h>

int vmscm_gitloose_open(git_odb **out, const char *git_dir, struct vmscm_error *err)
{
    git_odb_backend *backend = NULL;
    char *objects = NULL;
    int rc = vmscm_str_printf(&objects, err, "%s/objects", git_dir), e;

    *out = NULL;
    if (rc)
        return rc;
    if ((e = git_odb_new(out)) < 0 ||
        (e = git_odb_backend_loose(&backend, objects, -1, 1, 0, 0)) < 0 ||
        (e = git_odb_add_backend(*out, backend, 1)) < 0) {
        rc = vmscm_git_error(err, e, VMSCM_EIO, "%s", objects);
        git_odb_free(*out);
        *out = NULL;
    }
    free(objects);
    return rc;
}

int vmscm_gitloose_write(git_odb *loose, const char *git_dir, git_odb_object *object,
    struct vmscm_error *err)
{
    struct vmscm_git_objects written = {{false}};
    struct vmscm_gitdb where = {.path = (char *)(uintptr_t)git_dir};
    git_oid oid;
    int e = git_odb_write(&oid, loose, git_odb_object_data(object),
        git_odb_object_size(object), git_odb_object_type(object));

    if (e < 0)
        return vmscm_git_error(err, e, VMSCM_EIO, "writing an object");
    if (!git_oid_equal(&oid, git_odb_object_id(object)))
        return vmscm_error_set(err, VMSCM_EIO, "writing an object: it came out as another");
    vmscm_git_objects_add(&written, &oid);
    return vmscm_git_objects_sync(&written, &where, err);
}
