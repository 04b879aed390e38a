/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading and naming the files an image is made of, within their bounds and its directory. */
#include "base/path.h"
#include "base/str.h"
#include "base/utf16.h"
#include "image/probe_format.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *kind_of(mode_t mode)
{
    return S_ISDIR(mode)  ? "a directory"
        : S_ISBLK(mode)   ? "a block device"
        : S_ISCHR(mode)   ? "a character device"
        : S_ISFIFO(mode)  ? "a FIFO"
        : S_ISSOCK(mode)  ? "a socket"
                          : "not a regular file";
}

static int not_regular(const char *path, mode_t mode, struct vmscm_error *err)
{
    int rc = vmscm_error_set(err, VMSCM_EINPUT, "%s: is %s, not a disk image", path, kind_of(mode));

    if (S_ISBLK(mode))
        vmscm_error_hint(err, "copy it to a file first");
    return rc;
}

int vmscm_probe_file_open(struct vmscm_probe_source *source, const char *path, struct stat *st,
    struct vmscm_error *err)
{
    struct stat now;
    int rc;

    source->fd = -1;
    source->path = path;
    source->offset = 0;
    source->size = 0;
    /* Looked at first: opening a device can already do something. */
    if (stat(path, &now) < 0) {
        rc = vmscm_error_errno(err, errno, "%s", path);
        if (errno != ENOENT && errno != ENOTDIR)
            return rc;
        if (err)
            err->code = VMSCM_ENOTFOUND;
        return VMSCM_ENOTFOUND;
    }
    if (!S_ISREG(now.st_mode))
        return not_regular(path, now.st_mode, err);
    if ((rc = vmscm_file_open(&source->fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err)))
        return rc;
    if (fstat(source->fd, &now) < 0) {
        rc = vmscm_error_errno(err, errno, "%s", path);
        goto out;
    }
    if (!S_ISREG(now.st_mode)) {
        rc = not_regular(path, now.st_mode, err);
        goto out;
    }
    if (now.st_size <= 0) {
        rc = vmscm_error_set(err, VMSCM_EINPUT, "%s: is empty", path);
        goto out;
    }
    source->size = (uint64_t)now.st_size;
    if (st)
        *st = now;
out:
    if (rc) {
        close(source->fd);
        source->fd = -1;
    }
    return rc;
}

int vmscm_probe_file_narrow(struct vmscm_probe_source *source, uint64_t offset, uint64_t length,
    struct vmscm_error *err)
{
    if (offset >= source->size || length > source->size - offset)
        return vmscm_error_set(err, VMSCM_EINPUT,
            "%s: truncated: %" PRIu64 " bytes at %" PRIu64 " are asked for, but the file has %" PRIu64,
            source->path, length, offset, source->size);
    source->size = length ? length : source->size - offset;
    source->offset = offset;
    return 0;
}

int vmscm_probe_file_need(const struct vmscm_probe_source *source, uint64_t offset, uint64_t len,
    const char *what, struct vmscm_error *err)
{
    if (len > source->size || offset > source->size - len)
        return vmscm_error_set(err, VMSCM_EINPUT,
            "%s: truncated: its %s needs %" PRIu64 " bytes at %" PRIu64
            ", but the file has %" PRIu64,
            source->path, what, len, offset, source->size);
    return 0;
}

int vmscm_probe_file_read(const struct vmscm_probe_source *source, void *data, size_t len,
    uint64_t offset, const char *what, struct vmscm_error *err)
{
    size_t got;
    int rc;

    if ((rc = vmscm_probe_file_need(source, offset, len, what, err)) ||
        (rc = vmscm_file_pread_some(
             source->fd, data, len, source->offset + offset, &got, source->path, err)))
        return rc;
    if (got < len)
        return vmscm_error_set(
            err, VMSCM_EINPUT, "%s: truncated while its %s was read", source->path, what);
    return 0;
}

int vmscm_probe_file_table(const struct vmscm_probe_source *source, uint64_t offset, uint64_t count,
    size_t width,
    int (*each)(void *data, uint64_t index, const uint8_t *entry, struct vmscm_error *err),
    void *data, const char *what, struct vmscm_error *err)
{
    static const uint8_t none[64];
    uint8_t piece[16384];
    const uint64_t per_piece = sizeof piece / width;
    int rc;

    if (count > UINT64_MAX / width)
        return vmscm_error_set(err, VMSCM_EINPUT, "%s: its %s is too large", source->path, what);
    if ((rc = vmscm_probe_file_need(source, offset, count * width, what, err)))
        return rc;
    for (uint64_t index = 0; index < count;) {
        uint64_t at = offset + index * width;
        uint64_t n = count - index < per_piece ? count - index : per_piece;

        uint64_t in_file = source->offset + at;
        off_t next = lseek(source->fd, (off_t)in_file, SEEK_DATA);
        bool last = next < 0 && errno == ENXIO;

        if (last || (next > 0 && (uint64_t)next > in_file + width)) {
            uint64_t holes = last ? count - index : ((uint64_t)next - in_file) / width;

            if ((rc = each(data, index, none, err)))
                return rc;
            index += holes < count - index ? holes : count - index;
            continue;
        }
        if ((rc = vmscm_probe_file_read(source, piece, n * width, at, what, err)))
            return rc;
        for (uint64_t i = 0; i < n; i++)
            if ((rc = each(data, index + i, piece + i * width, err)))
                return rc;
        index += n;
    }
    return 0;
}

static int by_offset(const void *a, const void *b)
{
    uint64_t x = ((const struct vmscm_probe_table *)a)->offset;
    uint64_t y = ((const struct vmscm_probe_table *)b)->offset;

    return (x > y) - (x < y);
}

bool vmscm_probe_file_sort(struct vmscm_probe_tables *tables)
{
    if (tables->list.len)
        qsort(tables->list.items, tables->list.len, sizeof *tables->list.items, by_offset);
    for (size_t i = 1; i < tables->list.len; i++)
        if (tables->list.items[i].offset == tables->list.items[i - 1].offset)
            return false;
    return true;
}

/* A name that QEMU would not take for a file's. */
static bool has_protocol(const char *name)
{
    return name[strcspn(name, ":/")] == ':';
}

static bool climbs(const char *name)
{
    for (const char *p = name; *p;) {
        size_t len = strcspn(p, "/");
        if (len == 2 && p[0] == '.' && p[1] == '.')
            return true;
        p += len;
        p += strspn(p, "/");
    }
    return false;
}

static bool is_below(const char *path, const char *dir)
{
    size_t len = strlen(dir);

    if (len == 1) /* the root */
        return true;
    return strncmp(path, dir, len) == 0 && path[len] == '/';
}

int vmscm_probe_file_link(char **path, const struct vmscm_probe_image *image, const char *name,
    const char *what, bool plain, struct vmscm_error *err)
{
    char *dir = NULL, *joined = NULL, *real_dir = NULL, *real = NULL;
    bool outside = false;
    int rc;

    *path = NULL;
    if (!*name || strlen(name) > 4095)
        return vmscm_error_set(
            err, VMSCM_EINPUT, "%s: the name of its %s is malformed", image->file.path, what);
    if (has_protocol(name))
        return vmscm_error_set(err, VMSCM_EREFUSED,
            "%s: its %s is \"%s\", which is not a plain file name", image->file.path, what, name);
    if (image->part) {
        rc = vmscm_error_set(err, VMSCM_EREFUSED,
            "%s: the image at %" PRIu64 " has a %s \"%s\", which an archive's member cannot have",
            image->file.path, image->file.offset, what, name);
        return vmscm_error_hint(err, "unpack the archive, and check in what is in it");
    }
    if ((rc = vmscm_path_dirname(&dir, image->file.path, err)) ||
        (rc = vmscm_path_join(&joined, dir, name, err)))
        goto out;
    if (!(image->allow & VMSCM_ALLOW_OUTSIDE)) {
        if (plain && !vmscm_path_is_confined(name)) {
            outside = true;
        } else {
            if ((rc = vmscm_file_realpath(&real_dir, dir, err)))
                goto out;
            rc = vmscm_file_realpath(&real, joined, err);
            if (rc && (name[0] == '/' || climbs(name)))
                outside = true; /* says nothing about what is there */
            else if (rc) {
                vmscm_error_prefix(err, "%s: its %s", image->file.path, what);
                goto out;
            } else {
                outside = !is_below(real, real_dir);
            }
        }
        if (outside) {
            rc = vmscm_error_set(err, VMSCM_EREFUSED,
                "%s: its %s \"%s\" is outside the image's directory", image->file.path, what, name);
            vmscm_error_hint(err, "--allow-outside permits this: only for an image you trust");
            goto out;
        }
    }
    *path = joined;
    joined = NULL;
out:
    free(dir);
    free(joined);
    free(real_dir);
    free(real);
    return rc;
}

int vmscm_probe_file_add(struct vmscm_probe_source *source, struct vmscm_probe *probe, char *path,
    struct vmscm_error *err)
{
    struct vmscm_probe_file *slot;
    int rc;

    source->fd = -1;
    if ((rc = vmscm_vec_add(&probe->files, &slot, err))) {
        free(path);
        return rc;
    }
    slot->path = path;
    if ((rc = vmscm_probe_file_open(source, path, &slot->st, err)))
        return rc;
    slot->length = source->size;
    return 0;
}

int vmscm_probe_file_child(struct vmscm_probe_image *image, const char *kind, struct vmscm_error *err)
{
    int rc;

    image->probe->link.child = true;
    if (image->allow & VMSCM_PROBE_CHILD)
        return 0;
    rc = vmscm_error_set(err, VMSCM_EUNSUPPORTED, "%s: a differencing %s image is no disk by itself",
        image->file.path, kind);
    vmscm_error_hint(err, "check in the folder of its machine, which has its parent too, or merge it "
                          "into that with the program that made it");
    return rc;
}

int vmscm_probe_file_parent_name(struct vmscm_probe *probe, const uint8_t *text, size_t len,
    bool big_endian, struct vmscm_error *err)
{
    struct vmscm_buf name = VMSCM_BUF_INIT;
    const char *base;
    int rc = vmscm_utf16_decode(&name, text, len, big_endian, err);

    if (rc)
        return rc;
    base = vmscm_buf_str(&name);
    for (const char *p = base; *p; p++)
        if (*p == '\\' || *p == '/')
            base = p + 1;
    if (*base && vmscm_path_is_confined(base) && vmscm_str_printable(base)) {
        free(probe->link.name);
        probe->link.name = NULL;
        rc = vmscm_str_dup(&probe->link.name, base, err);
    }
    vmscm_buf_release(&name);
    return rc;
}

int vmscm_probe_file_option(struct vmscm_probe *probe, struct vmscm_error *err, const char *name,
    const char *fmt, ...)
{
    struct vmscm_machine_option *grown, *option;
    char value[64];
    va_list ap;
    int rc;

    va_start(ap, fmt);
    vsnprintf(value, sizeof value, fmt, ap);
    va_end(ap);
    grown = realloc(probe->options, (probe->option_count + 1) * sizeof *grown);
    if (!grown)
        return vmscm_error_nomem(err);
    probe->options = grown;
    option = &grown[probe->option_count];
    option->value = NULL;
    if ((rc = vmscm_str_dup(&option->name, name, err)))
        return rc;
    if ((rc = vmscm_str_dup(&option->value, value, err))) {
        free(option->name);
        return rc;
    }
    probe->option_count++;
    return 0;
}
