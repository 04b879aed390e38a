/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/reader_raw.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct raw {
    struct vmscm_blockdev dev;
    const struct vmscm_probe *probe;
    uint64_t start; /* of the disk in its file */
    int fd;
};

int vmscm_reader_raw_open_file(int *fd, const struct vmscm_probe_file *file,
    struct vmscm_error *err)
{
    struct stat st;
    /* O_NONBLOCK: were it replaced by a FIFO, opening it would hang. */
    int rc = vmscm_file_open(fd, file->path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err);

    if (rc)
        return rc;
    if (fstat(*fd, &st) < 0)
        rc = vmscm_error_errno(err, errno, "%s", file->path);
    else if (!S_ISREG(st.st_mode) || st.st_dev != file->st.st_dev ||
        st.st_ino != file->st.st_ino || st.st_size != file->st.st_size)
        rc = vmscm_error_set(err, VMSCM_EBUSY, "%s: changed while it was opened", file->path);
    if (rc) {
        close(*fd);
        *fd = -1;
    }
    return rc;
}

static int raw_pread(struct vmscm_blockdev *dev, void *data, size_t len, uint64_t offset,
    struct vmscm_error *err)
{
    struct raw *raw = (struct raw *)dev;
    size_t got;
    int rc = vmscm_file_pread_some(raw->fd, data, len, raw->start + offset, &got, dev->name, err);

    if (!rc && got < len) {
        rc = vmscm_error_set(err, VMSCM_EBUSY, "%s: shrank while it was read", dev->name);
        vmscm_error_hint(err, "shut the machine down first");
    }
    return rc;
}

/* lseek moves the descriptor's position, which nothing here uses: its result alone matters, so
 * threads do not disturb one another. */
static int raw_extent(struct vmscm_blockdev *dev, uint64_t offset, uint64_t *len, bool *zero,
    struct vmscm_error *err)
{
    struct raw *raw = (struct raw *)dev;
    uint64_t in_file = raw->start + offset, left = dev->size - offset;
    off_t at = lseek(raw->fd, (off_t)in_file, SEEK_DATA);

    *zero = false;
    *len = left;
    if (at < 0 && errno == ENXIO) { /* a hole up to the end */
        *zero = true;
        return 0;
    }
    if (at < 0 && errno == EINVAL) /* a file system that cannot tell */
        return 0;
    if (at < 0)
        return vmscm_error_errno(err, errno, "%s: looking for holes", dev->name);
    if ((uint64_t)at > in_file) {
        *zero = true;
        if ((uint64_t)at - in_file < left)
            *len = (uint64_t)at - in_file;
        return 0;
    }
    at = lseek(raw->fd, (off_t)in_file, SEEK_HOLE);
    if (at > 0 && (uint64_t)at > in_file && (uint64_t)at - in_file < left)
        *len = (uint64_t)at - in_file;
    return 0;
}

static int raw_unchanged(struct vmscm_blockdev *dev, struct vmscm_error *err)
{
    return vmscm_probe_unchanged(((struct raw *)dev)->probe, err);
}

static void raw_close(struct vmscm_blockdev *dev)
{
    struct raw *raw = (struct raw *)dev;

    if (raw->fd >= 0)
        close(raw->fd);
    free(raw);
}

static const struct vmscm_blockdev_ops raw_ops = {.pread = raw_pread,
    .extent = raw_extent,
    .unchanged = raw_unchanged,
    .close = raw_close};

int vmscm_reader_raw_open(struct vmscm_blockdev **out, const struct vmscm_probe *probe,
    struct vmscm_error *err)
{
    struct raw *raw = calloc(1, sizeof *raw);
    uint64_t have = 0;
    int rc;

    if (!raw)
        return vmscm_error_nomem(err);
    raw->dev = (struct vmscm_blockdev){&raw_ops, probe->size, probe->path, 0, 0};
    raw->probe = probe;
    raw->fd = -1;
    if (probe->files.len) {
        raw->start = probe->files.items[0].offset;
        have = probe->files.items[0].length;
        have = have ? have : (uint64_t)probe->files.items[0].st.st_size;
    }
    if (probe->size > have)
        rc = vmscm_error_set(err, VMSCM_EINPUT, "%s: shorter than its disk", probe->path);
    else
        rc = vmscm_reader_raw_open_file(&raw->fd, &probe->files.items[0], err);
    if (rc) {
        raw_close(&raw->dev);
        return rc;
    }
    *out = &raw->dev;
    return 0;
}
