/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/vboxin.h"
#include "base/path.h"
#include "base/str.h"
#include "bundle/chainin.h"
#include "machine/model.h"
#include "machine/vbox.h"

#include <string.h>
#include <strings.h>

/* A disk on its way in: find is asked for its images in order. */
struct disk {
    struct vmscm_load *load;
    const char *folder;
    const struct vmscm_vbox_disk *disk;
    size_t next;
};

static const char *format_of(const char *name)
{
    static const char *const formats[][2] = {{"VDI", "vdi"}, {"VMDK", "vmdk"}, {"VHD", "vpc"},
        {"VHDX", "vhdx"}, {"Parallels", "parallels"}, {"RAW", "raw"}};

    for (size_t i = 0; name && i < sizeof formats / sizeof formats[0]; i++)
        if (strcasecmp(name, formats[i][0]) == 0)
            return formats[i][1];
    return NULL;
}

/* Below the folder, or by its name alone. */
static int find_file(const struct vmscm_member **out, struct vmscm_load *load, const char *folder,
    const char *location, struct vmscm_error *err)
{
    static const char *const places[] = {"", "Snapshots/"};
    char *plain = NULL, *name = NULL;
    int rc = vmscm_str_dup(&plain, location, err);

    for (char *p = plain; p && *p; p++)
        if (*p == '\\')
            *p = '/';
    if (!rc && vmscm_path_is_confined(plain))
        rc = vmscm_load_find(out, load, folder, plain, err);
    else
        rc = rc ? rc : VMSCM_ENOTFOUND;
    for (size_t i = 0; rc == VMSCM_ENOTFOUND && i < sizeof places / sizeof places[0]; i++) {
        vmscm_error_clear(err);
        free(name);
        name = NULL;
        if (!(rc = vmscm_str_printf(&name, err, "%s%s", places[i], vmscm_path_basename(plain))))
            rc = vmscm_load_find(out, load, folder, name, err);
    }
    free(plain);
    free(name);
    return rc;
}

static int find_image(struct vmscm_chainin_image *out, struct disk *d, struct vmscm_error *err)
{
    const struct vmscm_vbox_image *image = &d->disk->images[d->next++];
    int rc;

    if (!(out->format = format_of(image->format)))
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED,
            "%s: the disk %.300s is of the format \"%.60s\", which is not supported", d->load->main,
            image->location, image->format ? image->format : "");
    rc = find_file(&out->member, d->load, d->folder, image->location, err);
    if (rc == VMSCM_ENOTFOUND) {
        rc = vmscm_error_set(err, VMSCM_EINPUT, "%s: its disk \"%.300s\" is missing",
            d->load->main, image->location);
        vmscm_error_hint(err, "it is looked for in the folder that %s is in", d->load->main);
        return VMSCM_EINPUT;
    }
    return rc ? vmscm_error_prefix(err, "%s", d->load->main), rc : 0;
}

static int find_parent(void *data, struct vmscm_chainin_image *out, const struct vmscm_probe *child,
    struct vmscm_error *err)
{
    struct disk *d = data;

    if (d->next == d->disk->count)
        return vmscm_error_set(err, VMSCM_EINPUT,
            "%s: is the difference to another image, which %s does not say", child->path,
            d->load->main);
    return find_image(out, d, err);
}

static int add_disk(struct vmscm_load *load, const char *folder, const struct vmscm_vbox_disk *disk,
    struct vmscm_error *err)
{
    struct disk d = {load, folder, disk, 0};
    struct vmscm_chainin_image top = {NULL, NULL, false};
    int rc = find_image(&top, &d, err);

    return rc ? rc : vmscm_chainin_add(load, top, find_parent, &d, err);
}

/* It may as well be missing. */
static int keep_nvram(struct vmscm_load *load, const char *folder, const char *name,
    struct vmscm_error *err)
{
    const struct vmscm_member *member;
    int rc = find_file(&member, load, folder, name, err);

    if (rc == VMSCM_ENOTFOUND) {
        vmscm_error_clear(err);
        return 0;
    }
    return rc ? rc : vmscm_load_keep(load, member, err);
}

int vmscm_vboxin_load(struct vmscm_load *load, struct vmscm_error *err)
{
    struct vmscm_vbox vbox = {NULL, NULL, NULL};
    const struct vmscm_member *member;
    struct vmscm_buf text = VMSCM_BUF_INIT;
    char *folder = NULL;
    int rc;

    if ((rc = vmscm_load_folder(&folder, load->main, err)) ||
        (rc = vmscm_members_find(&member, load->members, load->main, err)) ||
        (rc = vmscm_members_read(&text, member, VMSCM_VBOX_MAX, err)) ||
        (rc = vmscm_load_keep(load, member, err)))
        goto out;
    if ((rc = vmscm_vbox_parse(&vbox, text.data, text.len, err))) {
        vmscm_error_prefix(err, "%s", load->main);
        goto out;
    }
    for (size_t i = 0; i < vbox.machine->disk_count && !rc; i++)
        rc = add_disk(load, folder, &vbox.disks[i], err);
    if (!rc && vbox.nvram)
        rc = keep_nvram(load, folder, vbox.nvram, err);
    if (!rc)
        rc = vmscm_model_copy(&load->machine, vbox.machine, err);
out:
    vmscm_vbox_release(&vbox);
    vmscm_buf_release(&text);
    free(folder);
    return rc;
}
