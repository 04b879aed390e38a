/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/load.h"
#include "base/path.h"
#include "base/str.h"
#include "machine/model.h"
#include "repo/handle.h"
#include "sys/file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* A disk that was never written. */
static int zero_pread(struct vmscm_blockdev *dev, void *data, size_t len, uint64_t offset,
    struct vmscm_error *err)
{
    (void)dev, (void)offset, (void)err;
    memset(data, 0, len);
    return 0;
}

static int zero_extent(struct vmscm_blockdev *dev, uint64_t offset, uint64_t *len, bool *zero,
    struct vmscm_error *err)
{
    (void)err;
    *len = dev->size - offset;
    *zero = true;
    return 0;
}

static void zero_close(struct vmscm_blockdev *dev)
{
    free(dev);
}

static const struct vmscm_blockdev_ops zero_ops = {
    .pread = zero_pread, .extent = zero_extent, .close = zero_close};

void vmscm_load_release(struct vmscm_load *load)
{
    for (size_t i = 0; i < load->disks.len; i++) {
        struct vmscm_load_disk *disk = &load->disks.items[i];
        vmscm_blockdev_close(disk->device);
        free(disk->name);
        free(disk->path);
    }
    for (size_t i = 0; i < load->files.len; i++) {
        free((char *)load->files.items[i].path);
        free((void *)load->files.items[i].data);
    }
    vmscm_vec_release(&load->disks);
    vmscm_vec_release(&load->files);
    vmscm_model_free(load->machine);
    load->machine = NULL;
    if (load->scratch) {
        vmscm_file_remove_tree(load->scratch, NULL);
        close(load->scratch_lock);
    }
    free(load->scratch);
    free(load->archive);
    load->scratch = load->archive = NULL;
}

int vmscm_load_scratch(char **path, struct vmscm_load *load, struct vmscm_error *err)
{
    char *beside = NULL;
    int rc = 0;

    if (!load->scratch) {
        if ((rc = vmscm_path_join(&beside, load->repo, "tmp/bundle", err)))
            return rc;
        vmscm_file_sweep(beside);
        rc = vmscm_file_mkdir_beside(&load->scratch_lock, &load->scratch, beside, err);
        free(beside);
    }
    return rc ? rc
              : vmscm_str_printf(path, err, "%s/part%u", load->scratch, load->scratch_files++);
}

static int add(struct vmscm_load_disk **out, struct vmscm_load *load, const char *name,
    struct vmscm_error *err)
{
    int rc = vmscm_vec_add(&load->disks, out, err);

    return rc ? rc : vmscm_str_dup(&(*out)->name, name, err);
}

int vmscm_load_add_member(struct vmscm_load *load, const struct vmscm_member *member,
    const char *format, struct vmscm_error *err)
{
    struct vmscm_load_disk *disk;
    int rc;

    if (!member->length)
        return vmscm_error_set(err, VMSCM_EINPUT, "%s: is empty", member->name);
    if ((rc = add(&disk, load, member->name, err)) ||
        (rc = vmscm_str_dup(&disk->path, member->path, err)))
        return rc;
    disk->offset = member->offset;
    disk->length = member->whole ? 0 : member->length;
    disk->format = format;
    disk->dev = member->st.st_dev;
    disk->ino = member->st.st_ino;
    return 0;
}

int vmscm_load_add_file(struct vmscm_load *load, const char *name, char *path, const char *format,
    struct vmscm_error *err)
{
    struct vmscm_load_disk *disk;
    int rc = add(&disk, load, name, err);

    if (rc) {
        free(path);
        return rc;
    }
    disk->path = path;
    disk->format = format;
    return 0;
}

int vmscm_load_add_device(struct vmscm_load *load, const char *name,
    struct vmscm_blockdev *device, struct vmscm_error *err)
{
    struct vmscm_load_disk *disk;
    int rc = add(&disk, load, name, err);

    if (rc)
        vmscm_blockdev_close(device);
    else
        disk->device = device;
    return rc;
}

int vmscm_load_add_empty(struct vmscm_load *load, const char *name, uint64_t size,
    struct vmscm_error *err)
{
    struct vmscm_blockdev *dev = calloc(1, sizeof *dev);

    if (!dev)
        return vmscm_error_nomem(err);
    *dev = (struct vmscm_blockdev){&zero_ops, size, "an empty disk", 0, 0};
    return vmscm_load_add_device(load, name, dev, err);
}

/* What git, and who checks the files out, can live with: no hidden names, no name that is a folder of
 * another. */
static bool can_keep(const struct vmscm_load *load, const char *name)
{
    size_t len = strlen(name);

    if (name[0] == '.' || strstr(name, "/.") || strchr(name, '\\') || strchr(name, ':') ||
        !vmscm_str_printable(name))
        return false;
    for (size_t i = 0; i < load->files.len; i++) {
        const char *other = load->files.items[i].path;
        size_t other_len = strlen(other);
        size_t n = len < other_len ? len : other_len;
        if (strncmp(name, other, n) == 0 &&
            (len == other_len || (len > n ? name : other)[n] == '/'))
            return false;
    }
    return true;
}

/* Whether there is room for it, and it has a name that can be kept; else a warning. */
static bool has_room(const struct vmscm_load *load, const char *name, uint64_t len)
{
    bool named = can_keep(load, name);

    if (named && len <= VMSCM_LOAD_KEEP_MAX && load->kept + len <= VMSCM_LOAD_KEEP_ALL_MAX)
        return true;
    vmscm_handle_warn(load->events, "%s: %s is left out: %s", load->path, name,
        named ? "it is too long" : "such a name cannot be kept");
    return false;
}

/* Takes the bytes over if it returns 0. */
static int keep(struct vmscm_load *load, const char *name, struct vmscm_buf *bytes, struct vmscm_error *err)
{
    struct vmscm_intake_file *file;
    char *copy = NULL;
    int rc;

    if ((rc = vmscm_str_dup(&copy, name, err)) || (rc = vmscm_vec_add(&load->files, &file, err))) {
        free(copy);
        return rc;
    }
    load->kept += bytes->len;
    file->len = bytes->len;
    file->path = copy;
    file->data = vmscm_buf_steal(bytes);
    return file->data ? 0 : vmscm_error_nomem(err);
}

int vmscm_load_keep(struct vmscm_load *load, const struct vmscm_member *member,
    struct vmscm_error *err)
{
    struct vmscm_buf bytes = VMSCM_BUF_INIT;
    int rc;

    if (!has_room(load, member->name, member->length))
        return 0;
    if (!(rc = vmscm_members_read(&bytes, member, VMSCM_LOAD_KEEP_MAX, err)))
        rc = keep(load, member->name, &bytes, err);
    vmscm_buf_release(&bytes);
    return rc;
}

int vmscm_load_keep_bytes(struct vmscm_load *load, const char *name, const void *data, size_t len,
    struct vmscm_error *err)
{
    struct vmscm_buf bytes = VMSCM_BUF_INIT;
    int rc;

    if (!has_room(load, name, len))
        return 0;
    if (!(rc = vmscm_buf_append(&bytes, data, len, err)))
        rc = keep(load, name, &bytes, err);
    vmscm_buf_release(&bytes);
    return rc;
}

int vmscm_load_folder(char **out, const char *name, struct vmscm_error *err)
{
    return vmscm_str_printf(out, err, "%.*s", (int)(vmscm_path_basename(name) - name), name);
}

int vmscm_load_find(const struct vmscm_member **out, struct vmscm_load *load, const char *folder,
    const char *name, struct vmscm_error *err)
{
    char *path = NULL;
    int rc;

    *out = NULL;
    while (name[0] == '.' && name[1] == '/')
        name += 2;
    /* Judged by itself: a folder before it must not make it a plain one. */
    if (!vmscm_path_is_confined(name))
        return vmscm_error_set(
            err, VMSCM_EREFUSED, "%.300s: a name that leaves the bundle", name);
    if ((rc = vmscm_str_printf(&path, err, "%s%s", folder, name)))
        return rc;
    rc = vmscm_members_find(out, load->members, path, err);
    free(path);
    return rc;
}
