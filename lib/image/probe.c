/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Choosing an image's format, and following its backing chain. */
#include "base/path.h"
#include "base/str.h"
#include "image/probe_format.h"
#include "sys/file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static bool never_match(const struct vmscm_probe_head *head);
static int raw_read(struct vmscm_probe_image *image, struct vmscm_error *err);

struct format {
    const char *name;
    const char *suffix;
    bool (*match)(const struct vmscm_probe_head *head);
    int (*read)(struct vmscm_probe_image *image, struct vmscm_error *err);
};

/* In the order of enum vmscm_probe_format. */
static const struct format formats[] = {
    {"raw", "img", never_match, raw_read},
    {"qcow2", "qcow2", vmscm_probe_qcow2_match, vmscm_probe_qcow2_read},
    {"vmdk", "vmdk", vmscm_probe_vmdk_match, vmscm_probe_vmdk_read},
    {"vdi", "vdi", vmscm_probe_vdi_match, vmscm_probe_vdi_read},
    {"vpc", "vhd", vmscm_probe_vpc_match, vmscm_probe_vpc_read},
    {"vhdx", "vhdx", vmscm_probe_vhdx_match, vmscm_probe_vhdx_read},
    {"parallels", "hdd", vmscm_probe_parallels_match, vmscm_probe_parallels_read},
};

#define FORMATS (sizeof formats / sizeof formats[0])

struct foreign {
    const char *name;
    const char *magic;
    uint16_t len;
    bool at_end; /* in the file's last 512 bytes, not its first */
};

/* Formats that must not be taken for raw, though nothing here reads them. */
static const struct foreign foreign[] = {
    {"qcow (version 1)", "QFI\xfb\0\0\0\1", 8, false},
    {"qed", "QED\0", 4, false},
    {"vmdk (COWD)", "COWD", 4, false},
    {"vmdk (seSparse)", "\xbe\xba\xfe\xca\0\0\0\0\1\0\0\0\2\0\0\0", 16, false},
    {"bochs", "Bochs Virtual HD Image", 22, false},
    {"cloop", "#!/bin/sh\n#V2.0 Format\n", 23, false},
    {"dmg", "koly\0\0\0\4\0\0\2\0", 12, true},
    {"luks", "LUKS\xba\xbe", 6, false},
};

#define FOREIGN (sizeof foreign / sizeof foreign[0])

static bool never_match(const struct vmscm_probe_head *head)
{
    (void)head;
    return false;
}

static int raw_read(struct vmscm_probe_image *image, struct vmscm_error *err)
{
    (void)err;
    image->probe->size = image->file.size;
    return 0;
}

static int read_head(struct vmscm_probe_head *head, const struct vmscm_probe_source *source,
    struct vmscm_error *err)
{
    int rc;

    memset(head, 0, sizeof *head);
    head->first_len = source->size < sizeof head->first ? source->size : sizeof head->first;
    if ((rc = vmscm_probe_file_read(source, head->first, head->first_len, 0, "start", err)))
        return rc;
    if (source->size < sizeof head->last)
        return 0;
    return vmscm_probe_file_read(
        source, head->last, sizeof head->last, source->size - sizeof head->last, "end", err);
}

/* What the file is, given what someone says it is (NULL: nothing). */
static int choose(enum vmscm_probe_format *out, const struct vmscm_probe_head *head,
    const char *path, const enum vmscm_probe_format *given, unsigned allow, struct vmscm_error *err)
{
    const char *names[FORMATS + FOREIGN];
    size_t n = 0;
    bool fits = false, known = false;
    int rc;

    *out = VMSCM_PROBE_RAW;
    if (given && *given == VMSCM_PROBE_RAW)
        return 0;
    for (size_t i = 0; i < FORMATS; i++) {
        if (!formats[i].match(head))
            continue;
        names[n++] = formats[i].name;
        *out = (enum vmscm_probe_format)i;
        known = true;
        if (given && *given == *out)
            fits = true;
    }
    for (size_t i = 0; i < FOREIGN; i++)
        if (memcmp(foreign[i].at_end ? head->last : head->first, foreign[i].magic,
                foreign[i].len) == 0)
            names[n++] = foreign[i].name;
    if (given && !fits)
        return vmscm_error_set(err, VMSCM_EINPUT, "%s: not a %s image%s%s", path,
            formats[*given].name, n ? ", but looks like " : "", n ? names[0] : "");
    if (n > 1 && !(given && allow & VMSCM_ALLOW_AMBIGUOUS)) {
        rc = vmscm_error_set(err, VMSCM_EREFUSED, "%s: is of two formats at once: %s and %s", path,
            names[0], names[1]);
        vmscm_error_hint(err,
            "--format says which it is, with --allow-ambiguous; --format raw takes its bytes as "
            "they are");
        return rc;
    }
    if (n && !known) {
        rc = vmscm_error_set(err, VMSCM_EUNSUPPORTED, "%s: %s images are not supported", path,
            names[0]);
        vmscm_error_hint(
            err, "convert it first; if it is a raw disk that only looks like one: --format raw");
        return rc;
    }
    if (given)
        *out = *given;
    return 0;
}

/* Where in its file an image is; of length 0: all of it. */
struct part {
    uint64_t offset, length;
};

static int narrow(struct vmscm_probe_image *image, const struct part *part, struct vmscm_error *err)
{
    struct vmscm_probe_file *file = &image->probe->files.items[0];
    int rc;

    if (!image->part)
        return 0;
    if ((rc = vmscm_probe_file_narrow(&image->file, part->offset, part->length, err)))
        return rc;
    file->offset = image->file.offset;
    file->length = image->file.size;
    return 0;
}

/* One image, not its backing chain: *backing and *backing_format are the caller's. */
static int probe_one(struct vmscm_probe **out, const char *path, const struct part *part,
    const enum vmscm_probe_format *given, const char *over, unsigned allow,
    struct vmscm_probe_image *image, struct vmscm_error *err)
{
    struct vmscm_probe_head head;
    struct vmscm_probe *probe = NULL;
    char *copy = NULL;
    int rc;

    memset(image, 0, sizeof *image);
    image->file.fd = -1;
    image->allow = allow;
    image->over = over;
    image->part = part->offset || part->length;
    probe = calloc(1, sizeof *probe);
    if (!probe)
        return vmscm_error_nomem(err);
    image->probe = probe;
    if ((rc = vmscm_str_dup(&probe->path, path, err)) || (rc = vmscm_str_dup(&copy, path, err)) ||
        (rc = vmscm_probe_file_add(&image->file, probe, copy, err)) ||
        (rc = narrow(image, part, err)) ||
        (rc = read_head(&head, &image->file, err)) ||
        (rc = choose(&probe->format, &head, path, given, allow, err)) ||
        (rc = formats[probe->format].read(image, err)))
        goto out;
    if (probe->size == 0)
        rc = vmscm_error_set(err, VMSCM_EINPUT, "%s: a disk of no size", path);
    else if (probe->size > VMSCM_PROBE_SIZE_MAX)
        rc = vmscm_error_set(err, VMSCM_EINPUT, "%s: its virtual size is too large", path);
out:
    if (image->file.fd >= 0)
        close(image->file.fd);
    image->file.fd = -1;
    if (rc) {
        vmscm_probe_close(probe);
        free(image->backing);
        free(image->backing_format);
        return rc;
    }
    *out = probe;
    return 0;
}

static bool same_file(const struct vmscm_probe *a, const struct vmscm_probe *b)
{
    return a->files.items[0].st.st_dev == b->files.items[0].st.st_dev &&
        a->files.items[0].st.st_ino == b->files.items[0].st.st_ino;
}

/* The format that a header gives its backing file. */
static int backing_format(enum vmscm_probe_format *format, const char *name, const char *path,
    struct vmscm_error *err)
{
    if (vmscm_probe_format_parse(format, name, NULL))
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED,
            "%s: its backing file's format \"%s\" is not supported", path, name);
    return 0;
}

static int open_chain(struct vmscm_probe **out, const char *path, const struct part *part,
    const char *format, const char *over, unsigned allow, struct vmscm_error *err)
{
    static const struct part whole;
    struct vmscm_probe *top = NULL, **tail = &top;
    struct vmscm_probe_image image = {.backing = NULL};
    enum vmscm_probe_format given;
    bool is_given = format != NULL;
    char *next = NULL;
    int rc;

    *out = NULL;
    if (format && (rc = vmscm_probe_format_parse(&given, format, err)))
        return rc;
    if ((rc = vmscm_str_dup(&next, path, err)))
        return rc;
    for (int depth = 0; next; depth++) {
        uint32_t want_cid = image.parent_cid;

        if (depth == VMSCM_PROBE_DEPTH_MAX) {
            rc = vmscm_error_set(err, VMSCM_EREFUSED, "%s: a backing chain of more than %d images",
                path, VMSCM_PROBE_DEPTH_MAX);
            break;
        }
        if ((rc = probe_one(tail, next, depth ? &whole : part, is_given ? &given : NULL,
                 depth ? NULL : over, allow, &image, err))) {
            if (depth)
                vmscm_error_prefix(err, "%s: its backing chain", path);
            break;
        }
        free(next);
        next = image.backing;
        for (struct vmscm_probe *p = top; p != *tail && !rc; p = p->backing)
            if (same_file(p, *tail))
                rc = vmscm_error_set(
                    err, VMSCM_EREFUSED, "%s: its backing chain is a loop", path);
        if (!rc && depth && want_cid && want_cid != (*tail)->cid)
            rc = vmscm_error_set(err, VMSCM_EINPUT,
                "%s: was changed after the image on top of it was made", (*tail)->path);
        is_given = image.backing_format != NULL;
        if (!rc && is_given)
            rc = backing_format(&given, image.backing_format, (*tail)->path, err);
        free(image.backing_format);
        if (rc)
            break;
        tail = &(*tail)->backing;
    }
    free(next);
    if (rc) {
        vmscm_probe_close(top);
        return rc;
    }
    *out = top;
    return 0;
}

int vmscm_probe_open(struct vmscm_probe **out, const char *path, const char *format,
    unsigned allow, struct vmscm_error *err)
{
    return vmscm_probe_open_part(out, path, 0, 0, format, allow, err);
}

int vmscm_probe_open_part(struct vmscm_probe **out, const char *path, uint64_t offset,
    uint64_t length, const char *format, unsigned allow, struct vmscm_error *err)
{
    const struct part part = {offset, length};

    return open_chain(out, path, &part, format, NULL, allow, err);
}

int vmscm_probe_open_over(struct vmscm_probe **out, const char *path, const char *backing_name,
    unsigned allow, struct vmscm_error *err)
{
    static const struct part whole;

    return open_chain(out, path, &whole, "qcow2", backing_name, allow, err);
}

bool vmscm_probe_is_part(const struct vmscm_probe *probe)
{
    const struct vmscm_probe_file *file = probe->files.items;

    return probe->files.len &&
        (file->offset || (file->length && file->length != (uint64_t)file->st.st_size));
}

void vmscm_probe_close(struct vmscm_probe *probe)
{
    while (probe) {
        struct vmscm_probe *backing = probe->backing;

        for (size_t i = 0; i < probe->option_count; i++) {
            free(probe->options[i].name);
            free(probe->options[i].value);
        }
        free(probe->options);
        for (size_t i = 0; i < probe->files.len; i++)
            free(probe->files.items[i].path);
        free(probe->link.name);
        vmscm_vec_release(&probe->files);
        free(probe->path);
        free(probe);
        probe = backing;
    }
}

const char *vmscm_probe_format_name(enum vmscm_probe_format format)
{
    return formats[format].name;
}

const char *vmscm_probe_format_suffix(enum vmscm_probe_format format)
{
    return formats[format].suffix;
}

int vmscm_probe_format_parse(enum vmscm_probe_format *out, const char *name,
    struct vmscm_error *err)
{
    int rc;

    for (size_t i = 0; i < FORMATS; i++) {
        if (strcmp(name, formats[i].name) == 0) {
            *out = (enum vmscm_probe_format)i;
            return 0;
        }
    }
    if (strcmp(name, "vhd") == 0) {
        *out = VMSCM_PROBE_VPC;
        return 0;
    }
    rc = vmscm_error_set(err, VMSCM_EUSAGE, "%s: not a disk format", name);
    vmscm_error_hint(err, "known formats: raw qcow2 vmdk vdi vpc (or vhd) vhdx parallels");
    return rc;
}

int vmscm_probe_unchanged(const struct vmscm_probe *probe, struct vmscm_error *err)
{
    for (; probe; probe = probe->backing) {
        for (size_t i = 0; i < probe->files.len; i++) {
            const struct vmscm_probe_file *file = &probe->files.items[i];
            struct stat now;

            if (stat(file->path, &now) < 0) {
                if (errno != ENOENT)
                    return vmscm_error_errno(err, errno, "%s", file->path);
                return vmscm_error_set(
                    err, VMSCM_EBUSY, "%s: was removed while it was read", file->path);
            }
            if (now.st_dev != file->st.st_dev || now.st_ino != file->st.st_ino ||
                now.st_size != file->st.st_size ||
                now.st_mtim.tv_sec != file->st.st_mtim.tv_sec ||
                now.st_mtim.tv_nsec != file->st.st_mtim.tv_nsec ||
                now.st_ctim.tv_sec != file->st.st_ctim.tv_sec ||
                now.st_ctim.tv_nsec != file->st.st_ctim.tv_nsec)
                return vmscm_error_set(
                    err, VMSCM_EBUSY, "%s: changed while it was read", file->path);
        }
    }
    return 0;
}
