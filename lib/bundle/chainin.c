/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/chainin.h"
#include "image/chain.h"
#include "repo/handle.h"

#include <string.h>

int vmscm_chainin_probe(struct vmscm_probe **out, struct vmscm_chainin_image image,
    struct vmscm_error *err)
{
    const struct vmscm_member *m = image.member;
    struct vmscm_probe *probe = NULL;
    int rc = vmscm_probe_open_part(&probe, m->path, m->offset, m->whole ? 0 : m->length,
        image.format, VMSCM_PROBE_CHILD, err);

    if (rc == VMSCM_ENOTFOUND)
        rc = vmscm_error_set(err, VMSCM_EINPUT, "%s: is not there", m->path);
    else if (!rc &&
        (probe->files.items[0].st.st_dev != m->st.st_dev ||
            probe->files.items[0].st.st_ino != m->st.st_ino))
        rc = vmscm_error_set(err, VMSCM_EBUSY, "%s: changed while it was read", m->path);
    if (rc) {
        vmscm_error_prefix(err, "%s", m->name);
        vmscm_probe_close(probe);
        probe = NULL;
    }
    else if (image.child)
        probe->link.child = true;
    *out = probe;
    return rc;
}

int vmscm_chainin_add(struct vmscm_load *load, struct vmscm_chainin_image top,
    int (*find)(void *data, struct vmscm_chainin_image *out, const struct vmscm_probe *child,
        struct vmscm_error *err),
    void *data, struct vmscm_error *err)
{
    struct vmscm_probe *probe, *below;
    const struct vmscm_probe *child;
    struct vmscm_blockdev *device;
    int rc = vmscm_chainin_probe(&probe, top, err);

    if (rc)
        return rc;
    if (!probe->link.child) {
        vmscm_probe_close(probe);
        return vmscm_load_add_member(load, top.member, top.format, err);
    }
    while (!rc && (child = vmscm_chain_missing(probe))) {
        struct vmscm_chainin_image image = {NULL, NULL, false};
        if (!(rc = find(data, &image, child, err)) &&
            !(rc = vmscm_chainin_probe(&below, image, err)))
            rc = vmscm_chain_put(probe, below, err);
    }
    for (const struct vmscm_probe *p = probe; p && !rc; p = p->backing)
        if (p->dirty)
            vmscm_handle_warn(load->events,
                "%s: was not closed cleanly; what is kept is what its tables say now", p->path);
    if (!rc)
        rc = vmscm_chain_open(&device, probe, load->jobs, load->events, err);
    if (rc) {
        vmscm_probe_close(probe);
        return rc;
    }
    if (!(rc = vmscm_load_add_device(load, top.member->name, device, err)))
        load->disks.items[load->disks.len - 1].format = top.format;
    return rc;
}
