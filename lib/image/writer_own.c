/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qemu-img has one thread and copies each byte three times on its way; a qcow2 with all places known
 * beforehand is written as fast as a raw image, and grains of a vmdk are compressed by all cores.
 */
#include "base/path.h"
#include "base/str.h"
#include "image/streamvmdk.h"
#include "image/writer_parts.h"
#include "sys/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEVEL 6 /* of zlib: qemu-img's own */
#define CLUSTER (64u << 10)
#define BUFFER (1u << 20)

/* Whether an option is not given, or has this value. */
static bool is(const struct vmscm_writer_options *options, const char *name, const char *value)
{
    const char *given = vmscm_writer_options_get(options, name);

    return !given || strcmp(given, value) == 0;
}

/* The bits of a cluster's size, if we write such a qcow2; or 0. */
static unsigned qcow2_bits(const struct vmscm_writer_options *options)
{
    const char *compat = vmscm_writer_options_get(options, "compat");
    const char *cluster = vmscm_writer_options_get(options, "cluster_size");
    uint64_t bytes = CLUSTER;

    if ((compat && strcmp(compat, "1.1") != 0 && strcmp(compat, "v3") != 0) ||
        !is(options, "extended_l2", "off") || !is(options, "refcount_bits", "16") ||
        !is(options, "preallocation", "off") ||
        (cluster && vmscm_str_size(&bytes, cluster, NULL)))
        return 0;
    for (unsigned bits = VMSCM_QCOW2LAYOUT_BITS_MIN; bits <= VMSCM_QCOW2LAYOUT_BITS_MAX; bits++)
        if (bytes == UINT64_C(1) << bits)
            return bits;
    return 0;
}

static int is_canceled(void *data)
{
    const struct vmscm_writer_options *o = data;

    return o->events && o->events->canceled && o->events->canceled(o->events->data);
}

static int write_qcow2(bool *done, struct vmscm_blockdev *source, const char *path,
    const struct vmscm_writer_options *options, uint64_t *written, struct vmscm_error *err)
{
    struct vmscm_qcow2layout layout = {0};
    struct vmscm_error why = VMSCM_ERROR_INIT;
    unsigned bits = qcow2_bits(options);
    uint64_t size;
    int rc = vmscm_writer_size(&size, VMSCM_PROBE_QCOW2, source->size, err);

    if (rc || !bits || !size)
        return rc;
    if ((rc = vmscm_qcow2layout_plan(&layout, source, size, bits, is_canceled, (void *)options, &why))) {
        *done = rc != VMSCM_EUNSUPPORTED;
        rc = *done ? vmscm_error_copy(err, &why) : 0;
    } else {
        layout.lazy_refcounts = !is(options, "lazy_refcounts", "off");
        layout.zstd = !is(options, "compression_type", "zlib");
        *done = true;
        rc = vmscm_writer_raw_write_laid(source, path, options, &layout, written, err);
    }
    vmscm_qcow2layout_release(&layout);
    return rc;
}

struct stream {
    const struct vmscm_writer_options *options;
    const char *path;
    int fd;
    uint8_t *buffer;
    size_t have;
};

static int flush(struct stream *s, struct vmscm_error *err)
{
    int rc = vmscm_file_write(s->fd, s->buffer, s->have, s->path, err);

    s->have = 0;
    /* Start writing back: there is less to wait for at the end. */
    sync_file_range(s->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    return rc;
}

static int put(void *data, const void *bytes, size_t len, struct vmscm_error *err)
{
    struct stream *s = data;
    const uint8_t *p = bytes;
    int rc = 0;

    while (len && !rc) {
        size_t n = BUFFER - s->have < len ? BUFFER - s->have : len;
        memcpy(s->buffer + s->have, p, n);
        s->have += n;
        p += n;
        len -= n;
        if (s->have == BUFFER)
            rc = flush(s, err);
    }
    return rc;
}

static int progress(void *data, uint64_t done)
{
    const struct stream *s = data;

    return (s->options->progress && s->options->progress(s->options->data, done)) ||
        is_canceled((void *)s->options);
}

static bool can_stream(const struct vmscm_writer_options *options)
{
    const char *subformat = vmscm_writer_options_get(options, "subformat");

    return subformat && strcmp(subformat, "streamOptimized") == 0 &&
        !vmscm_writer_options_get(options, "toolsversion") && is(options, "compat6", "off") &&
        is(options, "zeroed_grain", "off") && is(options, "preallocation", "off");
}

static int write_stream(struct vmscm_blockdev *source, const char *path,
    const struct vmscm_writer_options *options, uint64_t *written, struct vmscm_error *err)
{
    const char *version = vmscm_writer_options_get(options, "hwversion");
    struct stream s = {.options = options, .path = path, .fd = -1, .buffer = malloc(BUFFER)};
    _Atomic uint64_t read = 0;
    struct vmscm_streamvmdk_options stream = {.name = vmscm_path_basename(path),
        .adapter = vmscm_writer_options_get(options, "adapter_type"),
        .hardware = version ? (unsigned)strtoul(version, NULL, 10) : 0,
        .cid = UINT32_MAX - 1, /* which vmdk has where no one is known to have written */
        .level = LEVEL,
        .jobs = options->jobs,
        .read = &read,
        .put = put,
        .progress = progress,
        .data = &s};
    char *dir = NULL;
    int rc = s.buffer ? vmscm_file_open(&s.fd, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
                            0666, err)
                      : vmscm_error_nomem(err);
    bool ours = !rc;

    if (!rc && !(rc = vmscm_streamvmdk_write(source, &stream, err)) && !(rc = flush(&s, err)))
        rc = vmscm_file_fsync(s.fd, path, err);
    if (ours) {
        int closed = vmscm_file_close(&s.fd, path, rc ? NULL : err);
        rc = rc ? rc : closed;
    }
    if (!rc && !(rc = vmscm_path_dirname(&dir, path, err)))
        rc = vmscm_file_sync_dir(dir, err);
    if (!rc && options->written)
        rc = options->written(options->data, err);
    if (rc && ours)
        unlink(path);
    *written = read;
    free(dir);
    free(s.buffer);
    return rc;
}

int vmscm_writer_own_write(bool *done, struct vmscm_blockdev *source, const char *path,
    const struct vmscm_writer_options *options, uint64_t *written, struct vmscm_error *err)
{
    *done = false;
    if (options->format == VMSCM_PROBE_QCOW2)
        return write_qcow2(done, source, path, options, written, err);
    if (options->format != VMSCM_PROBE_VMDK || !can_stream(options))
        return 0;
    *done = true;
    return write_stream(source, path, options, written, err);
}
