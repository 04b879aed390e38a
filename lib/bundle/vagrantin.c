/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/vagrantin.h"
#include "base/str.h"
#include "bundle/hypervin.h"
#include "machine/libvirt.h"
#include "machine/model.h"
#include "machine/vagrant.h"

#include <string.h>

static int add_disk(struct vmscm_load *load, const char *folder, const char *name,
    const char *format, struct vmscm_error *err)
{
    const struct vmscm_member *member;
    int rc = vmscm_load_find(&member, load, folder, name, err);

    if (rc == VMSCM_ENOTFOUND)
        rc = vmscm_error_set(
            err, VMSCM_EINPUT, "%s: its disk \"%.300s\" is missing", load->main, name);
    if (rc == VMSCM_EREFUSED)
        vmscm_error_prefix(err, "%s", load->main);
    return rc ? rc : vmscm_load_add_member(load, member, vmscm_libvirt_format(format), err);
}

int vmscm_vagrantin_load(struct vmscm_load *load, struct vmscm_error *err)
{
    const struct vmscm_member *member;
    struct vmscm_buf text = VMSCM_BUF_INIT;
    struct vmscm_vagrant box = {NULL, NULL, NULL};
    char *folder = NULL;
    int rc;

    if ((rc = vmscm_load_folder(&folder, load->main, err)) ||
        (rc = vmscm_members_find(&member, load->members, load->main, err)) ||
        (rc = vmscm_members_read(&text, member, VMSCM_VAGRANT_MAX, err)) ||
        (rc = vmscm_vagrant_parse(&box, text.data, text.len, err)))
        goto out;
    if (strcmp(box.provider, "libvirt") != 0) {
        rc = vmscm_error_set(err, VMSCM_EUNSUPPORTED,
            "%s: %s: a box for %.64s, without a machine of a known kind", load->path, load->main,
            box.provider);
        goto out;
    }
    for (size_t i = 0; i < box.machine->disk_count && !rc; i++)
        rc = add_disk(load, folder, box.sources[i], box.machine->disks[i].format, err);
    if (!rc)
        rc = vmscm_model_copy(&load->machine, box.machine, err);
out:
    vmscm_vagrant_release(&box);
    vmscm_buf_release(&text);
    free(folder);
    return rc;
}

int vmscm_vagrantin_keep(struct vmscm_load *load, struct vmscm_error *err)
{
    static const char *const names[] = {"metadata.json", "info.json", "Vagrantfile"};
    const struct vmscm_member *member;
    char *folder = NULL;
    int rc = vmscm_load_folder(&folder, load->main, err);

    /* Hyper-V's descriptor is in a folder of its own. */
    if (!rc && vmscm_hypervin_is_name(load->main))
        *folder = '\0';
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !rc; i++) {
        rc = vmscm_load_find(&member, load, folder, names[i], err);
        if (!rc) {
            rc = vmscm_load_keep(load, member, err);
        } else if (rc == VMSCM_ENOTFOUND) {
            vmscm_error_clear(err);
            rc = 0;
        }
    }
    free(folder);
    return rc;
}
