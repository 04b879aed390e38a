/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/folderout.h"
#include "base/path.h"
#include "base/str.h"
#include "bundle/descriptor.h"
#include "bundle/imageout.h"
#include "machine/hypervscript.h"
#include "machine/hypervwrite.h"
#include "machine/libvirt.h"
#include "machine/libvirtwrite.h"
#include "machine/model.h"
#include "machine/vmx.h"
#include "machine/vmxwrite.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A kind of folder. */
struct kind {
    struct vmscm_descriptor_form form;
    enum vmscm_probe_format format;
    bool absolute; /* the descriptor names files by absolute paths */
};

static int parse_vmx(struct vmscm_machine **out, char ***sources, const void *text, size_t len,
    struct vmscm_error *err)
{
    struct vmscm_vmx vmx;
    int rc = vmscm_vmx_parse(&vmx, text, len, err);

    *out = vmx.machine;
    *sources = vmx.sources;
    free(vmx.nvram);
    return rc;
}

static int nvram_of_vmx(char **path, const void *text, size_t len, struct vmscm_error *err)
{
    struct vmscm_vmx vmx;
    int rc = vmscm_vmx_parse(&vmx, text, len, err);

    *path = vmx.nvram;
    vmx.nvram = NULL;
    vmscm_vmx_release(&vmx);
    return rc;
}

static const struct kind kinds[] = {
    {{"libvirt", vmscm_libvirtwrite_encode, vmscm_libvirt_parse, ".xml", vmscm_libvirtwrite_adapt,
         vmscm_libvirt_nvram},
        VMSCM_PROBE_QCOW2, true},
    {{"VMware", vmscm_vmxwrite_encode, parse_vmx, ".vmx", vmscm_vmxwrite_adapt, nvram_of_vmx},
        VMSCM_PROBE_VMDK, false},
    {{"Hyper-V", vmscm_hypervwrite_encode, vmscm_hypervscript_parse, ".ps1", NULL, NULL},
        VMSCM_PROBE_VHDX, false},
};

static int write_bytes(struct vmscm_export *x, const char *name, const void *bytes, size_t len,
    struct vmscm_error *err)
{
    struct vmscm_export_file out = {.export = x, .writes = true};
    int rc = vmscm_export_create(&out.fd, x, name, err);

    if (!rc)
        rc = vmscm_export_put(&out, bytes, len, err);
    if (!rc)
        rc = vmscm_export_close(&out.fd, name, err);
    if (out.fd >= 0)
        close(out.fd);
    return rc;
}

/* Names as they are in x->dir, and as the descriptor has them. */
struct names {
    char **files, **places;
    char *nvram, *nvram_place;
};

static int place(char **out, const struct vmscm_export *x, const struct kind *kind,
    const char *name, struct vmscm_error *err)
{
    return kind->absolute ? vmscm_path_join(out, x->place, name, err)
                          : vmscm_str_dup(out, name, err);
}

static int choose_names(struct names *n, const struct vmscm_export *x, const struct kind *kind,
    struct vmscm_error *err)
{
    size_t count = x->machine->disk_count;
    int rc = 0;

    if (!(n->files = calloc(count + 1, sizeof *n->files)) ||
        !(n->places = calloc(count + 1, sizeof *n->places)))
        return vmscm_error_nomem(err);
    for (size_t i = 0; i < count && !rc; i++)
        if (!(rc = vmscm_str_printf(&n->files[i], err, "%s-%s.%s", x->stem,
                  x->machine->disks[i].id, vmscm_probe_format_suffix(kind->format))))
            rc = place(&n->places[i], x, kind, n->files[i], err);
    if (!rc && !(rc = vmscm_str_printf(&n->nvram, err, "%s.nvram", x->stem)))
        rc = place(&n->nvram_place, x, kind, n->nvram, err);
    return rc;
}

static void release_names(struct names *n, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (n->files)
            free(n->files[i]);
        if (n->places)
            free(n->places[i]);
    }
    free(n->files);
    free(n->places);
    free(n->nvram);
    free(n->nvram_place);
}

static int write_folder(struct vmscm_export *x, const struct kind *kind, struct vmscm_error *err)
{
    struct vmscm_descriptor d = {.x = x, .form = &kind->form};
    struct names names = {0};
    struct vmscm_buf text = VMSCM_BUF_INIT;
    char *main = NULL;
    int rc;

    if ((rc = vmscm_str_printf(&main, err, "%s%s", x->stem, kind->form.suffix)) ||
        (rc = vmscm_descriptor_open(&d, err)) || (rc = choose_names(&names, x, kind, err)) ||
        (rc = vmscm_descriptor_encode(
             &text, &d, (const char *const *)names.places, names.nvram_place, err)))
        goto out;
    for (size_t i = 0; i < x->machine->disk_count && !rc; i++)
        rc = vmscm_imageout_write(x, i, names.files[i], kind->format, err);
    if (!rc && d.nvram)
        rc = write_bytes(x, names.nvram, d.nvram, d.nvram_size, err);
    if (!rc)
        rc = write_bytes(x, main, text.data, text.len, err);
out:
    vmscm_descriptor_close(&d);
    release_names(&names, x->machine->disk_count);
    vmscm_buf_release(&text);
    free(main);
    return rc;
}

int vmscm_folderout_write_libvirt(struct vmscm_export *x, struct vmscm_error *err)
{
    return write_folder(x, &kinds[0], err);
}

int vmscm_folderout_write_vmx(struct vmscm_export *x, struct vmscm_error *err)
{
    return write_folder(x, &kinds[1], err);
}

int vmscm_folderout_write_hyperv(struct vmscm_export *x, struct vmscm_error *err)
{
    return write_folder(x, &kinds[2], err);
}
