/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/containerout.h"
#include "bundle/containerread.h"
#include "machine/model.h"

#include <unistd.h>

static int copy_data(struct vmscm_export_file *out, struct vmscm_containerread *r,
    struct vmscm_error *err)
{
    const uint8_t *data;
    size_t len = 1;
    int rc = 0;

    while (!rc && len) {
        if ((rc = vmscm_containerread_data(r, &data, &len, err)) || !len)
            break;
        if ((rc = vmscm_export_put(out, data, len, err)))
            break;
        if (vmscm_export_progress(out->export, VMSCM_MODEL_ROOTFS, out->size))
            rc = vmscm_error_set(err, VMSCM_ECANCELED, VMSCM_MODEL_ROOTFS ": canceled");
    }
    return rc;
}

static int write_tar(struct vmscm_export_file *out, struct vmscm_error *err)
{
    struct vmscm_containerread *r = NULL;
    const struct vmscm_container_group *group;
    uint64_t length;
    int rc = vmscm_containerread_open(&r, out->export->disks[0], err);

    while (!rc) {
        if ((rc = vmscm_containerread_next(r, &group, &length, err)) ||
            (group && (rc = vmscm_export_put(out, group->bytes.data, group->bytes.len, err))) ||
            (rc = copy_data(out, r, err)) || !group)
            break;
    }
    vmscm_containerread_close(r);
    return rc;
}

int vmscm_containerout_write(struct vmscm_export *x, struct vmscm_error *err)
{
    struct vmscm_export_file out = {.export = x, .fd = x->fd, .writes = true};
    int fd = -1, rc = 0;

    if (x->dir && !(rc = vmscm_export_create(&fd, x, "bundle", err)))
        out.fd = fd;
    if (!rc)
        rc = write_tar(&out, err);
    if (!rc && fd >= 0)
        rc = vmscm_export_close(&fd, "bundle", err);
    if (fd >= 0)
        close(fd);
    return rc;
}
