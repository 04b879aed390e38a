/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/xvain.h"
#include "base/str.h"
#include "bundle/tar.h"
#include "bundle/unwrap.h"
#include "bundle/xvadev.h"
#include "bundle/xvaqueue.h"
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

int vmscm_xvain_match_packed(bool *is, const char *path, struct vmscm_error *err)
{
    uint8_t head[VMSCM_TAR_BLOCK];
    char *name = NULL;
    size_t got;
    int rc = vmscm_unwrap_peek(head, sizeof head, &got, path, err);

    *is = false;
    if (rc || !vmscm_tar_match(head, got) || (rc = vmscm_tarhead_name(&name, head, err)))
        return rc;
    *is = strcmp(name, DESCRIPTOR) == 0;
    free(name);
    return 0;
}

/* The archive while it is read. */
struct archive {
    struct vmscm_load *load;
    int fd;
    struct stat st;
    const char *path;
    struct vmscm_xvaqueue *queue; /* NULL: it is not packed */
    struct vmscm_machine *machine;
    char **sources;
    struct vmscm_xvadev **disks; /* parallel to the machine's */
    size_t last; /* the disk that the block before was of */
};

static int get_descriptor(struct vmscm_buf *text, struct archive *a, const struct vmscm_tar_member *member,
    struct vmscm_error *err)
{
    size_t len = (size_t)member->length;
    int rc;

    if (member->length > VMSCM_XVA_MAX)
        return vmscm_error_set(err, VMSCM_EINPUT, "%s: over %u bytes, too long for what it is", member->name,
            (unsigned)VMSCM_XVA_MAX);
    if ((rc = vmscm_buf_reserve(text, len, err)))
        return rc;
    rc = a->queue
        ? vmscm_packed_pread(vmscm_xvaqueue_packed(a->queue), text->data, len, member->offset, err)
        : vmscm_file_pread(a->fd, text->data, len, member->offset, a->path, err);
    text->data[len] = '\0';
    text->len = len;
    return rc;
}

static int read_descriptor(struct archive *a, const struct vmscm_tar_member *member, struct vmscm_error *err)
{
    struct vmscm_buf text = VMSCM_BUF_INIT;
    int rc;

    if ((rc = get_descriptor(&text, a, member, err)) ||
        (rc = vmscm_xva_parse(&a->machine, &a->sources, a->load->options->system, text.data,
             text.len, err)) ||
        (rc = vmscm_load_keep_bytes(a->load, DESCRIPTOR, text.data, text.len, err)))
        goto out;
    if (!(a->disks = calloc(a->machine->disk_count + 1, sizeof *a->disks)))
        rc = vmscm_error_nomem(err);
    for (size_t i = 0; i < a->machine->disk_count && !rc; i++)
        if (!(rc = vmscm_xvadev_new(&a->disks[i], a->path, a->sources[i], a->machine->disks[i].size,
                  !a->load->options->no_manifest, err)))
            vmscm_xvadev_set_queue(a->disks[i], a->queue, (uint32_t)i);
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
        return read_descriptor(a, member, err);
    }
    disk = slash ? disk_of(a, member->name, (size_t)(slash - member->name)) : NULL;
    return disk ? vmscm_xvadev_add(disk, member, slash + 1, err) : 0;
}

static int open_archive(struct archive *a, struct vmscm_error *err)
{
    struct vmscm_packed *packed = NULL;
    int rc;

    if ((rc = vmscm_file_open(&a->fd, a->path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err)))
        return rc;
    if (fstat(a->fd, &a->st) < 0)
        return vmscm_error_errno(err, errno, "%s", a->path);
    if (!a->load->packed)
        return 0;
    if ((rc = vmscm_packed_open(&packed, a->path, a->load->events, err)) ||
        (rc = vmscm_xvaqueue_new(&a->queue, packed, a->load->jobs, err)))
        return rc;
    a->st = *vmscm_packed_stat(packed);
    return 0;
}

int vmscm_xvain_load(struct vmscm_load *load, struct vmscm_error *err)
{
    struct archive a = {.load = load, .fd = -1, .path = load->packed ? load->path : load->archive};
    int rc;

    if (!a.path)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED,
            "%s: " DESCRIPTOR " is of an XVA, which must be an archive", load->path);
    if (!(rc = open_archive(&a, err)))
        rc = a.queue ? vmscm_packed_walk(vmscm_xvaqueue_packed(a.queue), each_member, &a, err)
                     : vmscm_tar_walk(a.fd, a.path, each_member, &a, err);
    if (!rc && !a.machine)
        rc = vmscm_error_set(err, VMSCM_EINPUT, "%s: has no " DESCRIPTOR, load->path);
    for (size_t i = 0; !rc && i < a.machine->disk_count; i++) {
        struct vmscm_blockdev *device = NULL;
        rc = vmscm_xvadev_open(&device, a.disks[i], &a.st, err);
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
    vmscm_xvaqueue_unref(a.queue);
    if (a.fd >= 0)
        close(a.fd);
    if (rc)
        vmscm_model_free(a.machine);
    else
        load->machine = a.machine;
    return rc;
}
