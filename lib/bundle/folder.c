/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/folder.h"
#include "base/path.h"
#include "base/str.h"
#include "machine/hypervscript.h"
#include "machine/libvirt.h"
#include "machine/model.h"
#include "machine/proxmox.h"
#include "machine/vmx.h"
#include "machine/xl.h"
#include "repo/handle.h"

#include <string.h>

/* The descriptor's text; it is kept, too. */
static int read_main(struct vmscm_buf *text, struct vmscm_load *load, size_t max,
    struct vmscm_error *err)
{
    const struct vmscm_member *member;
    int rc;

    if ((rc = vmscm_members_find(&member, load->members, load->main, err)) ||
        (rc = vmscm_members_read(text, member, max, err)))
        return rc;
    return vmscm_load_keep(load, member, err);
}

static int add_disk(struct vmscm_load *load, const char *folder, const char *name,
    const char *format, struct vmscm_error *err)
{
    const struct vmscm_member *member;
    int rc = vmscm_load_find(&member, load, folder, name, err);

    if (rc == VMSCM_ENOTFOUND) {
        rc = vmscm_error_set(
            err, VMSCM_EINPUT, "%s: its disk \"%.300s\" is missing", load->main, name);
        vmscm_error_hint(err, "it is looked for in the folder that %s is in", load->main);
        return VMSCM_EINPUT;
    }
    if (rc == VMSCM_EREFUSED)
        vmscm_error_prefix(err, "%s", load->main);
    return rc ? rc : vmscm_load_add_member(load, member, format, err);
}

/* A file that may as well be missing. */
static int keep_if_there(struct vmscm_load *load, const char *folder, const char *name,
    struct vmscm_error *err)
{
    const struct vmscm_member *member;
    int rc = vmscm_load_find(&member, load, folder, name, err);

    if (rc == VMSCM_ENOTFOUND) {
        vmscm_error_clear(err);
        return 0;
    }
    return rc ? rc : vmscm_load_keep(load, member, err);
}

/* What VMware keeps beside STEM.vmx. */
static int keep_beside(struct vmscm_load *load, const char *folder, struct vmscm_error *err)
{
    static const char *const suffixes[] = {"vmsd", "vmxf"};
    const char *base = vmscm_path_basename(load->main), *dot = strrchr(base, '.');
    size_t stem = dot ? (size_t)(dot - base) : strlen(base);
    int rc = 0;

    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0] && !rc; i++) {
        char *name = NULL;
        if ((rc = vmscm_str_printf(&name, err, "%.*s.%s", (int)stem, base, suffixes[i])))
            return rc;
        rc = keep_if_there(load, folder, name, err);
        free(name);
    }
    return rc;
}

int vmscm_folder_load_vmx(struct vmscm_load *load, struct vmscm_error *err)
{
    struct vmscm_vmx vmx = {NULL, NULL, NULL};
    struct vmscm_buf text = VMSCM_BUF_INIT;
    char *folder = NULL;
    int rc;

    if ((rc = vmscm_load_folder(&folder, load->main, err)) ||
        (rc = read_main(&text, load, VMSCM_VMX_MAX, err)))
        goto out;
    if ((rc = vmscm_vmx_parse(&vmx, vmscm_buf_str(&text), text.len, err))) {
        vmscm_error_prefix(err, "%s", load->main);
        goto out;
    }
    for (size_t i = 0; i < vmx.machine->disk_count && !rc; i++)
        rc = add_disk(load, folder, vmx.sources[i], NULL, err);
    if (!rc && vmx.nvram)
        rc = keep_if_there(load, folder, vmx.nvram, err);
    if (rc || (rc = keep_beside(load, folder, err)))
        goto out;
    rc = vmscm_model_copy(&load->machine, vmx.machine, err);
out:
    vmscm_vmx_release(&vmx);
    vmscm_buf_release(&text);
    free(folder);
    return rc;
}

int vmscm_folder_load_libvirt(struct vmscm_load *load, struct vmscm_error *err)
{
    struct vmscm_machine *machine = NULL;
    struct vmscm_buf text = VMSCM_BUF_INIT;
    char *folder = NULL, **sources = NULL, *nvram = NULL;
    int rc;

    if ((rc = vmscm_load_folder(&folder, load->main, err)) ||
        (rc = read_main(&text, load, VMSCM_LIBVIRT_MAX, err)))
        goto out;
    if ((rc = vmscm_libvirt_parse(
             &machine, &sources, vmscm_buf_str(&text), text.len, err)) ||
        (rc = vmscm_libvirt_nvram(&nvram, vmscm_buf_str(&text), text.len, err))) {
        vmscm_error_prefix(err, "%s", load->main);
        goto out;
    }
    for (size_t i = 0; i < machine->disk_count && !rc; i++) {
        const struct vmscm_machine_disk *disk = &machine->disks[i];
        if (!sources[i])
            rc = vmscm_error_set(err, VMSCM_EUNSUPPORTED, "%s: disk %s is not in a file",
                load->main, disk->id);
        else
            /* The format as the domain says it, never a guess. */
            rc = add_disk(load, folder, vmscm_path_basename(sources[i]),
                vmscm_libvirt_format(disk->format), err);
    }
    if (!rc && nvram)
        rc = keep_if_there(load, folder, vmscm_path_basename(nvram), err);
    if (!rc) {
        load->machine = machine;
        machine = NULL;
    }
out:
    for (size_t i = 0; sources && i < (machine ? machine : load->machine)->disk_count; i++)
        free(sources[i]);
    free(sources);
    free(nvram);
    vmscm_model_free(machine);
    vmscm_buf_release(&text);
    free(folder);
    return rc;
}

/* Its format by what its name ends in: never by its content, which is the guest's. */
static const char *format_of(const char *name)
{
    static const char *const formats[] = {"qcow2", "vmdk"};
    const char *dot = strrchr(name, '.');

    for (size_t i = 0; dot && i < sizeof formats / sizeof formats[0]; i++)
        if (strcmp(dot + 1, formats[i]) == 0)
            return formats[i];
    return "raw";
}

static int add_volume(struct vmscm_load *load, const char *folder, const char *volume,
    struct vmscm_error *err)
{
    static const char *const endings[] = {"", ".raw", ".qcow2", ".vmdk"};
    const struct vmscm_member *member;

    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        char *name = NULL;
        int rc = vmscm_str_printf(&name, err, "%s%s", volume, endings[i]);
        if (rc)
            return rc;
        rc = vmscm_load_find(&member, load, folder, name, err);
        if (rc != VMSCM_ENOTFOUND) {
            rc = rc ? rc : vmscm_load_add_member(load, member, format_of(name), err);
            free(name);
            return rc;
        }
        free(name);
        vmscm_error_clear(err);
    }
    return add_disk(load, folder, volume, NULL, err);
}

int vmscm_folder_load_proxmox(struct vmscm_load *load, struct vmscm_error *err)
{
    struct vmscm_proxmox conf = {NULL, NULL, NULL};
    struct vmscm_buf text = VMSCM_BUF_INIT;
    char *folder = NULL;
    int rc;

    if ((rc = vmscm_load_folder(&folder, load->main, err)) ||
        (rc = read_main(&text, load, VMSCM_PROXMOX_MAX, err)))
        goto out;
    if ((rc = vmscm_proxmox_parse(&conf, vmscm_buf_str(&text), text.len, err))) {
        vmscm_error_prefix(err, "%s", load->main);
        goto out;
    }
    for (size_t i = 0; i < conf.machine->disk_count && !rc; i++)
        rc = add_volume(load, folder, conf.volumes[i], err);
    if (!rc && conf.nvram)
        rc = keep_if_there(load, folder, conf.nvram, err);
    if (!rc)
        rc = vmscm_model_copy(&load->machine, conf.machine, err);
out:
    vmscm_proxmox_release(&conf);
    vmscm_buf_release(&text);
    free(folder);
    return rc;
}

int vmscm_folder_load_hyperv(struct vmscm_load *load, struct vmscm_error *err)
{
    struct vmscm_machine *machine = NULL;
    struct vmscm_buf text = VMSCM_BUF_INIT;
    char *folder = NULL, **sources = NULL;
    int rc;

    if ((rc = vmscm_load_folder(&folder, load->main, err)) ||
        (rc = read_main(&text, load, VMSCM_HYPERVSCRIPT_MAX, err)))
        goto out;
    if ((rc = vmscm_hypervscript_parse(&machine, &sources, text.data, text.len, err))) {
        vmscm_error_prefix(err, "%s", load->main);
        goto out;
    }
    for (size_t i = 0; i < machine->disk_count && !rc; i++)
        rc = add_disk(load, folder, sources[i], "vhdx", err);
    if (!rc)
        rc = vmscm_model_copy(&load->machine, machine, err);
out:
    for (size_t i = 0; sources && i < machine->disk_count; i++)
        free(sources[i]);
    free(sources);
    vmscm_model_free(machine);
    vmscm_buf_release(&text);
    free(folder);
    return rc;
}

int vmscm_folder_load_xl(struct vmscm_load *load, struct vmscm_error *err)
{
    struct vmscm_xl xl = {NULL, NULL};
    struct vmscm_buf text = VMSCM_BUF_INIT;
    char *folder = NULL;
    int rc;

    if ((rc = vmscm_load_folder(&folder, load->main, err)) ||
        (rc = read_main(&text, load, VMSCM_XL_MAX, err)))
        goto out;
    if ((rc = vmscm_xl_parse(&xl, text.data, text.len, err))) {
        vmscm_error_prefix(err, "%s", load->main);
        goto out;
    }
    for (size_t i = 0; i < xl.machine->disk_count && !rc; i++)
        rc = add_disk(load, folder, xl.sources[i],
            vmscm_libvirt_format(xl.machine->disks[i].format), err);
    if (!rc)
        rc = vmscm_model_copy(&load->machine, xl.machine, err);
out:
    vmscm_xl_release(&xl);
    vmscm_buf_release(&text);
    free(folder);
    return rc;
}
