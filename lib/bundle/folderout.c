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
#include "sys/file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vmscm/checkout.h>

/* A kind of folder. */
struct kind {
    const char *name; /* as of an export */
    struct vmscm_descriptor_form form;
    enum vmscm_probe_format format;
    const char *options; /* that the images must have, as of a checkout; NULL: any */
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
    {"libvirt", {"libvirt", vmscm_libvirtwrite_encode, vmscm_libvirt_parse, ".xml", vmscm_libvirtwrite_adapt,
         vmscm_libvirt_nvram},
        VMSCM_PROBE_QCOW2, NULL, true},
    {"vmx", {"VMware", vmscm_vmxwrite_encode, parse_vmx, ".vmx", vmscm_vmxwrite_adapt, nvram_of_vmx},
        VMSCM_PROBE_VMDK, "subformat=monolithicSparse", false},
    {"hyperv", {"Hyper-V", vmscm_hypervwrite_encode, vmscm_hypervscript_parse, ".ps1", NULL, NULL},
        VMSCM_PROBE_VHDX, NULL, false},
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

static const struct kind *find_kind(const char *name)
{
    for (size_t i = 0; name && i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(name, kinds[i].name) == 0)
            return &kinds[i];
    return NULL;
}

static int not_a_folder(const char *format, struct vmscm_error *err)
{
    return vmscm_error_set(
        err, VMSCM_EUSAGE, "%s: not the format of a machine's folder", format ? format : "");
}

int vmscm_bundle_image_format(const char **image, const char **options, const char *format,
    struct vmscm_error *err)
{
    const struct kind *kind = find_kind(format);

    *image = *options = NULL;
    if (!kind)
        return not_a_folder(format, err);
    *image = vmscm_probe_format_name(kind->format);
    *options = kind->options;
    return 0;
}

/* The checkout's files, in the machine's order. */
struct finding {
    struct names *names;
    const struct vmscm_export *x;
    const struct kind *kind;
    struct vmscm_error *err;
};

static int each_disk(void *data, const struct vmscm_workdir_disk *disk)
{
    struct finding *f = data;
    const struct vmscm_machine *m = f->x->machine;
    int rc;

    for (size_t i = 0; i < m->disk_count; i++) {
        if (strcmp(m->disks[i].id, disk->id) != 0)
            continue;
        if (strcmp(disk->format, vmscm_probe_format_name(f->kind->format)) != 0)
            return vmscm_error_set(f->err, VMSCM_EUSAGE, "%s: is a %s image, and not as %s wants it",
                disk->file, disk->format, f->kind->form.name);
        free(f->names->files[i]);
        free(f->names->places[i]);
        f->names->files[i] = f->names->places[i] = NULL;
        if ((rc = vmscm_str_dup(&f->names->files[i], disk->file, f->err)))
            return rc;
        return place(&f->names->places[i], f->x, f->kind, disk->file, f->err);
    }
    return 0;
}

/* DIR/NAME, if nothing of that name is there. *path is the caller's. */
static int place_beside(char **path, const char *dir, const char *name, bool force,
    struct vmscm_error *err)
{
    int rc = vmscm_path_join(path, dir, name, err);

    if (!rc && !force && vmscm_file_exists(*path)) {
        vmscm_error_set(err, VMSCM_EEXIST, "%s: already exists", *path);
        return vmscm_error_hint(err, "move it away, or give -f to write over what is in the way");
    }
    return rc;
}

static int put_beside(char **path, const struct vmscm_export *x, const char *name, bool force,
    const void *bytes, size_t len, struct vmscm_error *err)
{
    int rc = place_beside(path, x->place, name, force, err);

    return rc ? rc : vmscm_file_replace(*path, bytes, len, 0666, err);
}

int vmscm_bundle_describe_check(const struct vmscm_revision *rev, const char *dir,
    const struct vmscm_bundle_describe_options *options, struct vmscm_error *err)
{
    const struct kind *kind = find_kind(options->format);
    char *stem = NULL, *name = NULL, *path = NULL;
    int rc = kind ? vmscm_export_stem(&stem, vmscm_revision_machine_name(rev), err)
                  : not_a_folder(options->format, err);

    if (!rc && !(rc = vmscm_str_printf(&name, err, "%s%s", stem, kind->form.suffix)))
        rc = place_beside(&path, dir, name, options->force, err);
    free(stem);
    free(name);
    free(path);
    return rc;
}

static int describe(char **path, struct vmscm_export *x, const struct kind *kind,
    struct vmscm_workdir *dir, bool force, struct vmscm_error *err)
{
    struct vmscm_descriptor d = {.x = x, .form = &kind->form};
    struct names names = {0};
    struct finding finding = {&names, x, kind, err};
    struct vmscm_buf text = VMSCM_BUF_INIT;
    char *name = NULL, *nvram = NULL;
    int rc;

    if ((rc = vmscm_descriptor_open(&d, err)) || (rc = choose_names(&names, x, kind, err)) ||
        (rc = vmscm_workdir_status(dir, each_disk, &finding, err)) ||
        (rc = vmscm_str_printf(&name, err, "%s%s", x->stem, kind->form.suffix)) ||
        (rc = vmscm_descriptor_encode(
             &text, &d, (const char *const *)names.places, names.nvram_place, err)))
        goto out;
    if (d.nvram)
        rc = put_beside(&nvram, x, names.nvram, force, d.nvram, d.nvram_size, err);
    if (!rc)
        rc = put_beside(path, x, name, force, text.data, text.len, err);
out:
    vmscm_descriptor_close(&d);
    release_names(&names, x->machine->disk_count);
    vmscm_buf_release(&text);
    free(nvram);
    free(name);
    return rc;
}

int vmscm_bundle_describe(char **path, struct vmscm_revision *rev, const char *dir,
    const struct vmscm_bundle_describe_options *options, const struct vmscm_events *events,
    struct vmscm_error *err)
{
    const struct vmscm_bundle_export_options export = {.new_identity = options->new_identity};
    struct vmscm_export x = {.rev = rev, .options = &export, .events = events, .fd = -1};
    const struct kind *kind = find_kind(options->format);
    struct vmscm_workdir *workdir = NULL;
    int rc;

    *path = NULL;
    if (!kind)
        return not_a_folder(options->format, err);
    if ((rc = vmscm_revision_machine(&x.machine, rev, err)) ||
        (rc = vmscm_workdir_open(&workdir, dir, err)))
        return rc;
    if (strcmp(vmscm_workdir_base(workdir), vmscm_revision_id(rev)) != 0)
        rc = vmscm_error_set(err, VMSCM_EUSAGE, "%s: is a checkout of another revision", dir);
    else if (!(rc = vmscm_file_realpath(&x.place, vmscm_workdir_path(workdir), err)) &&
        !(rc = vmscm_export_stem(&x.stem, vmscm_revision_machine_name(rev), err)))
        rc = describe(path, &x, kind, workdir, options->force, err);
    if (rc) {
        free(*path);
        *path = NULL;
    }
    vmscm_workdir_close(workdir);
    free(x.place);
    free(x.stem);
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
