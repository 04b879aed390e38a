/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/reader_mapped.h"
#include "image/layermap.h"
#include "image/qemu.h"
#include "image/qemumap.h"
#include "image/reader_nbd.h"
#include "image/reader_raw.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DATA_RUN_MAX ((uint64_t)64 << 20) /* extents joined into one answer */

struct file {
    int fd;
    uint64_t offset, length; /* of the image in it */
    const char *path; /* borrowed from the probe */
};

struct mapped {
    struct vmscm_blockdev dev;
    const struct vmscm_probe *probe;
    struct vmscm_extentmap map;
    VMSCM_VEC(struct file) files;
    struct vmscm_blockdev *nbd; /* NULL: no extent needs it */
};

static int mapped_pread(struct vmscm_blockdev *dev, void *data, size_t len, uint64_t offset,
    struct vmscm_error *err)
{
    struct mapped *m = (struct mapped *)dev;
    uint8_t *p = data;
    int rc = 0;

    while (!rc && len) {
        struct vmscm_extent e;
        vmscm_extentmap_find(&m->map, offset, &e);
        size_t n = e.length < len ? (size_t)e.length : len, got = 0;
        if (e.kind == VMSCM_EXTENT_FILE) {
            const struct file *file = &m->files.items[e.file];
            uint64_t left = e.offset < file->length ? file->length - e.offset : 0;
            rc = vmscm_file_pread_some(file->fd, p, n < left ? n : (size_t)left,
                file->offset + e.offset, &got, file->path, err);
        } else if (e.kind == VMSCM_EXTENT_INDIRECT) {
            rc = vmscm_blockdev_pread(m->nbd, p, n, offset, err);
            got = n;
        }
        /* A zero extent, or past the end of its file, which reads as zeros. */
        if (!rc)
            memset(p + got, 0, n - got);
        p += n;
        len -= n;
        offset += n;
    }
    return rc;
}

static int mapped_extent(struct vmscm_blockdev *dev, uint64_t offset, uint64_t *len, bool *zero,
    struct vmscm_error *err)
{
    struct mapped *m = (struct mapped *)dev;
    struct vmscm_extent e;

    (void)err;
    vmscm_extentmap_find(&m->map, offset, &e);
    *len = e.length;
    *zero = e.kind == VMSCM_EXTENT_ZERO;
    /* Data that lies in several pieces is still one extent of data: fewer, longer reads. */
    while (!*zero && *len < dev->size - offset) {
        vmscm_extentmap_find(&m->map, offset + *len, &e);
        if (e.kind == VMSCM_EXTENT_ZERO || *len >= DATA_RUN_MAX)
            break;
        *len += e.length;
    }
    return 0;
}

static int mapped_unchanged(struct vmscm_blockdev *dev, struct vmscm_error *err)
{
    return vmscm_probe_unchanged(((struct mapped *)dev)->probe, err);
}

static void mapped_close(struct vmscm_blockdev *dev)
{
    struct mapped *m = (struct mapped *)dev;

    vmscm_blockdev_close(m->nbd);
    for (size_t i = 0; i < m->files.len; i++)
        if (m->files.items[i].fd >= 0)
            close(m->files.items[i].fd);
    vmscm_vec_release(&m->files);
    vmscm_extentmap_release(&m->map);
    free(m);
}

static const struct vmscm_blockdev_ops mapped_ops = {.pread = mapped_pread,
    .extent = mapped_extent,
    .unchanged = mapped_unchanged,
    .close = mapped_close};

/* Opens the file that holds each layer's plain clusters, and says so in layers. */
static int open_layers(struct mapped *m, struct vmscm_qemumap_layer *layers,
    struct vmscm_error *err)
{
    struct file *file;
    int rc;

    for (const struct vmscm_probe *p = m->probe; p; p = p->backing, layers++) {
        /* qcow2 keeps clusters in its data file if it has one; a vmdk of several files does not
         * tell which of them an offset is in. */
        size_t n = p->format == VMSCM_PROBE_QCOW2 && p->files.len > 1 ? 1 : 0;
        layers->direct = (n || p->files.len == 1) && m->files.len <= VMSCM_EXTENTMAP_FILE_MAX;
        if (!layers->direct)
            continue;
        layers->file = (unsigned)m->files.len;
        if ((rc = vmscm_vec_add(&m->files, &file, err)))
            return rc;
        file->fd = -1;
        file->path = p->files.items[n].path;
        file->offset = p->files.items[n].offset;
        file->length = p->files.items[n].length ? p->files.items[n].length : UINT64_MAX;
        if ((rc = vmscm_reader_raw_open_file(&file->fd, &p->files.items[n], err)))
            return rc;
    }
    return 0;
}

/* From the images' own tables. */
static int read_tables(struct mapped *m, struct vmscm_error *err)
{
    struct vmscm_probe_source sources[VMSCM_PROBE_DEPTH_MAX + 1];

    for (size_t i = 0; i < m->files.len; i++) {
        const struct file *file = &m->files.items[i];
        uint64_t length = file->length;
        struct stat st;
        if (fstat(file->fd, &st) < 0)
            return vmscm_error_errno(err, errno, "%s", file->path);
        if (length > (uint64_t)st.st_size - file->offset)
            length = (uint64_t)st.st_size - file->offset;
        sources[i] = (struct vmscm_probe_source){file->fd, file->path, file->offset, length};
    }
    return vmscm_layermap_chain(&m->map, m->probe, sources, err);
}

/* What QEMU does not read, or not tell: see image/vhdxmap.h. */
static bool has_own_tables(const struct vmscm_probe *probe)
{
    if (probe->format == VMSCM_PROBE_VHDX)
        return probe->link.child || !probe->dirty;
    for (; probe; probe = probe->backing)
        if (probe->link.child && probe->format != VMSCM_PROBE_VMDK)
            return true;
    return false;
}

int vmscm_reader_mapped_open(struct vmscm_blockdev **out, const struct vmscm_probe *probe,
    unsigned jobs, const struct vmscm_events *events, struct vmscm_error *err)
{
    struct vmscm_qemumap_layer layers[VMSCM_PROBE_DEPTH_MAX + 1] = {{0}};
    unsigned depth = vmscm_qemu_depth(probe);
    struct mapped *m = NULL;
    int rc;

    if (depth > VMSCM_PROBE_DEPTH_MAX + 1)
        return vmscm_error_set(err, VMSCM_EREFUSED, "%s: too deep a backing chain", probe->path);
    m = calloc(1, sizeof *m);
    if (!m)
        return vmscm_error_nomem(err);
    m->dev = (struct vmscm_blockdev){&mapped_ops, probe->size, probe->path, 0, 0};
    m->probe = probe;
    if ((rc = open_layers(m, layers, err)))
        goto out;
    if (has_own_tables(probe))
        rc = read_tables(m, err);
    else
        rc = vmscm_qemumap_read(&m->map, probe, layers, depth, events, err);
    if (rc)
        goto out;
    if (vmscm_extentmap_has(&m->map, VMSCM_EXTENT_INDIRECT) &&
        (rc = vmscm_reader_nbd_open(&m->nbd, probe, jobs, err)))
        goto out;
    m->dev.threads = m->nbd ? m->nbd->threads : 0;
    if (events && events->note) {
        char note[256];
        snprintf(note, sizeof note, "%s: %zu extents, %s", m->dev.name, m->map.runs.len,
            m->nbd ? "some of them read through qemu-nbd" : "read straight from the file");
        events->note(events->data, note);
    }
    *out = &m->dev;
    m = NULL;
out:
    if (m)
        mapped_close(&m->dev);
    return rc;
}
