/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * QEMU gives each new image of some formats random ids. They are replaced by ones that the revision and the
 * disk determine: "Virtual Disk Format 5.0", VMware, for vmdk's content id; image/vhdxid.h for vhdx.
 */
#include "bundle/imageout.h"
#include "base/endian.h"
#include "base/path.h"
#include "base/str.h"
#include "image/vhdxid.h"
#include "image/writer.h"
#include "repo/coformat.h"
#include "repo/handle.h"
#include "sys/file.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTOR 512
#define DESCRIPTOR_MAX (1u << 20)

struct writing {
    struct vmscm_export *x;
    const char *id;
};

static int told(void *data, uint64_t done)
{
    const struct writing *w = data;

    return vmscm_export_progress(w->x, w->id, done);
}

/* What is recorded of the disk, but never several files, nor one that cannot be written to. */
static int choose_options(struct vmscm_writer_options *w, const struct vmscm_machine_disk *disk,
    enum vmscm_probe_format format, struct vmscm_error *err)
{
    const struct vmscm_checkout_options asked = {.format = vmscm_probe_format_name(format)};
    struct vmscm_machine_option *grown;
    char *text = NULL;
    bool said = false;
    int rc = vmscm_coformat_choose(w, &text, &asked, disk, err);

    free(text);
    if (rc || format != VMSCM_PROBE_VMDK)
        return rc;
    grown = reallocarray((void *)w->options, w->option_count + 1, sizeof *grown);
    if (!grown)
        return vmscm_error_nomem(err);
    for (size_t i = 0; i < w->option_count; i++) {
        if (strcmp(grown[i].name, "subformat") == 0)
            grown[i].value = (char *)"monolithicSparse";
        said |= strcmp(grown[i].name, "adapter_type") == 0;
    }
    if (!said && disk->bus && strcmp(disk->bus, "scsi") == 0)
        grown[w->option_count++] =
            (struct vmscm_machine_option){(char *)"adapter_type", (char *)"lsilogic"};
    w->options = grown;
    return 0;
}

/* The content id in a monolithicSparse vmdk's descriptor: "CID=", in hexadecimal. */
static int set_cid(int fd, const char *path, uint32_t cid, struct vmscm_error *err)
{
    uint8_t header[SECTOR];
    uint64_t offset, size;
    char *text = NULL, *found, id[16];
    int rc = vmscm_file_pread(fd, header, sizeof header, 0, path, err);

    if (rc)
        return rc;
    offset = vmscm_get_le64(header + 28) * SECTOR;
    size = vmscm_get_le64(header + 36) * SECTOR;
    if (!size || size > DESCRIPTOR_MAX)
        return vmscm_error_set(err, VMSCM_EIO, "%s: is no vmdk as expected", path);
    if (!(text = calloc(1, (size_t)size + 16)))
        return vmscm_error_nomem(err);
    if ((rc = vmscm_file_pread(fd, text, (size_t)size, offset, path, err)))
        goto out;
    if (!(found = strstr(text, "\nCID=")) || strlen(text) + 8 >= size) {
        rc = vmscm_error_set(err, VMSCM_EIO, "%s: has no content id", path);
        goto out;
    }
    found += 5;
    size_t digits = strspn(found, "0123456789abcdefABCDEF");
    /* The descriptor is followed by zeros: room for an id of eight digits. */
    memmove(found + 8, found + digits, strlen(found + digits) + 1);
    snprintf(id, sizeof id, "%08" PRIx32, cid);
    memcpy(found, id, 8);
    rc = vmscm_file_pwrite(fd, text, (size_t)size, offset, path, err);
out:
    free(text);
    return rc;
}

static int set_ids(struct vmscm_export *x, size_t n, const char *path,
    enum vmscm_probe_format format, struct vmscm_error *err)
{
    uint8_t id[20];
    int fd = -1, rc;

    if (format != VMSCM_PROBE_VMDK && format != VMSCM_PROBE_VHDX)
        return 0;
    if (!vmscm_str_unhex(id, sizeof id, vmscm_revision_id(x->rev)))
        return vmscm_error_set(err, VMSCM_EDAMAGED, "%s: no revision", vmscm_revision_id(x->rev));
    if ((rc = vmscm_file_open(&fd, path, O_RDWR, 0, err)))
        return rc;
    vmscm_put_le32(id, vmscm_get_le32(id) + (uint32_t)n);
    rc = format == VMSCM_PROBE_VMDK ? set_cid(fd, path, vmscm_get_le32(id), err)
                                    : vmscm_vhdxid_set(fd, path, id, err);
    if (!rc)
        rc = vmscm_file_fsync(fd, path, err);
    close(fd);
    return rc;
}

int vmscm_imageout_write_at(struct vmscm_export *x, size_t n, const char *path,
    enum vmscm_probe_format format, struct vmscm_error *err)
{
    const struct vmscm_machine_disk *disk = &x->machine->disks[n];
    struct writing w = {x, disk->id};
    struct vmscm_writer_options options = {
        .jobs = x->jobs, .progress = told, .data = &w, .events = x->events};
    uint64_t size;
    struct stat st;
    int rc = vmscm_writer_size(&size, format, disk->size, err);

    if (rc)
        return vmscm_error_prefix(err, "disk %s", disk->id), rc;
    if (size > disk->size)
        vmscm_handle_warn(x->events, "disk %s is longer by %u bytes, to have whole sectors",
            disk->id, (unsigned)(size - disk->size));
    if ((rc = choose_options(&options, disk, format, err)) ||
        (rc = vmscm_writer_write(x->disks[n], path, &options, NULL, err)) ||
        (rc = set_ids(x, n, path, format, err)))
        goto out;
    if (stat(path, &st) == 0)
        x->written += (uint64_t)st.st_blocks * 512;
    x->done += disk->size;
out:
    free((void *)options.options);
    return rc;
}

int vmscm_imageout_write(struct vmscm_export *x, size_t n, const char *name,
    enum vmscm_probe_format format, struct vmscm_error *err)
{
    char *path = NULL;
    int rc = vmscm_export_name(&path, x, name, err);

    if (!rc)
        rc = vmscm_imageout_write_at(x, n, path, format, err);
    free(path);
    return rc;
}
