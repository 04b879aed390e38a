/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/xvain.h"
#include "base/str.h"
#include "bundle/tar.h"
#include "bundle/xvadev.h"
#include "machine/model.h"
#include "machine/xva.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define DESCRIPTOR VMSCM_XVAIN_DESCRIPTOR
#define FOUND 1

static int first_member(void *data, const struct vmscm_tar_member *member, struct vmscm_error *err)
{
    (void)err;
    *(bool *)data = strcmp(member->name, DESCRIPTOR) == 0;
    return FOUND;
}

int vmscm_xvain_match(bool *is, const char *path, struct vmscm_error *err)
{
    int fd = -1, rc = vmscm_file_open(&fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err);

    *is = false;
    if (rc)
        return rc;
    rc = vmscm_tar_walk(fd, path, first_member, is, err);
    close(fd);
    return rc == FOUND ? 0 : rc;
}

/* The archive while it is read. */
struct archive {
    struct vmscm_load *load;
    struct vmscm_member descriptor; /* borrows its name and path */
    struct vmscm_machine *machine;
    char **sources;
    struct vmscm_xvadev **disks; /* parallel to the machine's */
    size_t last; /* the disk that the block before was of */
};

static int read_descriptor(struct archive *a, struct vmscm_error *err)
{
    struct vmscm_buf text = VMSCM_BUF_INIT;
    int rc;

    if ((rc = vmscm_members_read(&text, &a->descriptor, VMSCM_XVA_MAX, err)) ||
        (rc = vmscm_xva_parse(&a->machine, &a->sources, a->load->options->system, text.data,
             text.len, err)) ||
        (rc = vmscm_load_keep(a->load, &a->descriptor, err)))
        goto out;
    if (!(a->disks = calloc(a->machine->disk_count + 1, sizeof *a->disks)))
        rc = vmscm_error_nomem(err);
    for (size_t i = 0; i < a->machine->disk_count && !rc; i++)
        rc = vmscm_xvadev_new(&a->disks[i], a->load->archive, a->sources[i],
            a->machine->disks[i].size, !a->load->options->no_manifest, err);
out:
    vmscm_buf_release(&text);
    return rc;
}

/* The disk that a member's folder is; NULL: another VM's, or a snapshot's. */
static struct vmscm_xvadev *disk_of(struct archive *a, const char *name, size_t len)
{
    for (size_t k = 0; k < a->machine->disk_count; k++) {
        size_t i = (a->last + k) % a->machine->disk_count;
        if (strlen(a->sources[i]) == len && strncmp(a->sources[i], name, len) == 0) {
            a->last = i;
            return a->disks[i];
        }
    }
    return NULL;
}

static int each_member(void *data, const struct vmscm_tar_member *member, struct vmscm_error *err)
{
    struct archive *a = data;
    const char *slash = strchr(member->name, '/');
    struct vmscm_xvadev *disk;

    if (!a->machine) {
        if (strcmp(member->name, DESCRIPTOR) != 0)
            return vmscm_error_set(
                err, VMSCM_EREFUSED, "%s: comes before " DESCRIPTOR, member->name);
        a->descriptor.offset = member->offset;
        a->descriptor.length = member->length;
        return read_descriptor(a, err);
    }
    disk = slash ? disk_of(a, member->name, (size_t)(slash - member->name)) : NULL;
    return disk ? vmscm_xvadev_add(disk, member, slash + 1, err) : 0;
}

int vmscm_xvain_load(struct vmscm_load *load, struct vmscm_error *err)
{
    char name[] = DESCRIPTOR;
    struct archive a = {.load = load, .descriptor = {.name = name, .path = load->archive}};
    int fd = -1, rc;

    if (!load->archive)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED,
            "%s: " DESCRIPTOR " is of an XVA, which must be an archive", load->path);
    if ((rc = vmscm_file_open(&fd, load->archive, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err)))
        return rc;
    if (fstat(fd, &a.descriptor.st) < 0)
        rc = vmscm_error_errno(err, errno, "%s", load->archive);
    if (!rc)
        rc = vmscm_tar_walk(fd, load->archive, each_member, &a, err);
    if (!rc && !a.machine)
        rc = vmscm_error_set(err, VMSCM_EINPUT, "%s: has no " DESCRIPTOR, load->path);
    for (size_t i = 0; !rc && i < a.machine->disk_count; i++) {
        struct vmscm_blockdev *device = NULL;
        rc = vmscm_xvadev_open(&device, a.disks[i], &a.descriptor.st, err);
        a.disks[i] = NULL;
        if (!rc)
            rc = vmscm_load_add_device(load, a.sources[i], device, err);
    }
    for (size_t i = 0; a.machine && i < a.machine->disk_count; i++) {
        if (a.disks)
            vmscm_xvadev_free(a.disks[i]);
        free(a.sources[i]);
    }
    free(a.sources);
    free(a.disks);
    close(fd);
    if (rc)
        vmscm_model_free(a.machine);
    else
        load->machine = a.machine;
    return rc;
}
