/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/vagrantout.h"
#include "base/str.h"
#include "bundle/descriptor.h"
#include "bundle/ovfout.h"
#include "bundle/streamqcow2.h"
#include "bundle/tarout.h"
#include "machine/model.h"
#include "machine/vagrant.h"
#include "repo/handle.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int parse(struct vmscm_machine **out, char ***sources, const void *text, size_t len,
    struct vmscm_error *err)
{
    struct vmscm_vagrant v;
    int rc = vmscm_vagrant_parse(&v, text, len, err);

    *out = v.machine;
    *sources = v.sources;
    free(v.provider);
    return rc;
}

static const struct vmscm_descriptor_form form = {
    .name = "Vagrant", .encode = vmscm_vagrant_encode, .parse = parse};

/* A disk on its way: what a member's writer calls back. */
struct member {
    struct vmscm_export_file *out;
    struct vmscm_export *x;
    const char *id;
};

static int put(void *data, const void *bytes, size_t len, struct vmscm_error *err)
{
    return vmscm_export_put(((struct member *)data)->out, bytes, len, err);
}

static int told(void *data, uint64_t done)
{
    const struct member *m = data;

    return vmscm_export_progress(m->x, m->id, done);
}

static int write_disk(struct vmscm_export_file *out, size_t n, const char *name,
    struct vmscm_error *err)
{
    struct vmscm_export *x = out->export;
    const struct vmscm_machine_disk *disk = &x->machine->disks[n];
    struct member member = {out, x, disk->id};
    struct vmscm_streamqcow2 *image = NULL;
    int rc = vmscm_streamqcow2_open(&image, x->disks[n], err);

    if (!rc && disk->size % 512)
        vmscm_handle_warn(x->events, "disk %s is longer by %u bytes, to have whole sectors", disk->id,
            (unsigned)(512 - disk->size % 512));
    if (!rc)
        rc = vmscm_tarout_header(out, name, vmscm_streamqcow2_size(image), err);
    if (!rc)
        rc = vmscm_streamqcow2_write(image, put, told, &member, err);
    vmscm_streamqcow2_close(image);
    x->done += disk->size;
    return rc;
}

static int write_members(struct vmscm_export_file *out, char **files, struct vmscm_error *err)
{
    struct vmscm_export *x = out->export;
    struct vmscm_descriptor d = {.x = x, .form = &form};
    struct vmscm_buf metadata = VMSCM_BUF_INIT, program = VMSCM_BUF_INIT;
    int rc;

    if ((rc = vmscm_descriptor_open(&d, err)) ||
        (rc = vmscm_descriptor_encode(&metadata, &d, (const char *const *)files, NULL, err)) ||
        (rc = vmscm_vagrant_program(&program, d.machine, err)) ||
        (rc = vmscm_tarout_member(out, "metadata.json", metadata.data, metadata.len, err)) ||
        (rc = vmscm_tarout_member(out, "Vagrantfile", program.data, program.len, err)))
        goto out;
    for (size_t i = 0; i < x->machine->disk_count && !rc; i++)
        rc = write_disk(out, i, files[i], err);
    if (!rc)
        rc = vmscm_tarout_end(out, err);
out:
    vmscm_descriptor_close(&d);
    vmscm_buf_release(&metadata);
    vmscm_buf_release(&program);
    return rc;
}

int vmscm_vagrantout_write_libvirt(struct vmscm_export *x, struct vmscm_error *err)
{
    struct vmscm_export_file out = {.export = x, .fd = x->fd, .writes = true};
    size_t count = x->machine->disk_count;
    char **files = calloc(count + 1, sizeof *files);
    int fd = -1, rc = files ? 0 : vmscm_error_nomem(err);

    for (size_t i = 0; i < count && !rc; i++)
        rc = count == 1 ? vmscm_str_dup(&files[i], "box.img", err)
                        : vmscm_str_printf(&files[i], err, "box_%zu.img", i + 1);
    if (!rc && x->dir && !(rc = vmscm_export_create(&fd, x, "bundle", err)))
        out.fd = fd;
    if (!rc)
        rc = write_members(&out, files, err);
    if (!rc && fd >= 0)
        rc = vmscm_export_close(&fd, "bundle", err);
    if (fd >= 0)
        close(fd);
    for (size_t i = 0; files && i < count; i++)
        free(files[i]);
    free(files);
    return rc;
}

int vmscm_vagrantout_write_virtualbox(struct vmscm_export *x, struct vmscm_error *err)
{
    static const char *const names[] = {"metadata.json", "Vagrantfile"};
    struct vmscm_machine *machine = NULL;
    struct vmscm_export_beside *file;
    int rc = vmscm_model_copy(&machine, x->machine, err);

    if (!rc && x->options->new_identity && machine->nic_count)
        rc = vmscm_model_set(&machine->nics[0].mac, NULL, err);
    for (size_t i = 0; i < 2 && !rc; i++)
        if (!(rc = vmscm_vec_add(&x->beside, &file, err)))
            file->name = names[i];
    if (!rc)
        rc = vmscm_vagrant_virtualbox(
            &x->beside.items[0].bytes, &x->beside.items[1].bytes, machine, err);
    vmscm_model_free(machine);
    return rc ? rc : vmscm_ovfout_write_archive(x, err);
}
