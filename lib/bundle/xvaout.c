/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/xvaout.h"
#include "base/str.h"
#include "bundle/descriptor.h"
#include "bundle/tarout.h"
#include "codec/checksum.h"
#include "machine/xva.h"
#include "machine/xvawrite.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK (UINT64_C(1) << 20)

static int parse(struct vmscm_machine **out, char ***sources, const void *text, size_t len,
    struct vmscm_error *err)
{
    return vmscm_xva_parse(out, sources, NULL, text, len, err);
}

static const struct vmscm_descriptor_form form = {
    .name = "XVA", .encode = vmscm_xvawrite_encode, .parse = parse};

static bool is_zero(const uint8_t *bytes, size_t len)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

/* Whether all of a block is known to be zeros. */
static int is_hole(bool *hole, struct vmscm_blockdev *disk, uint64_t at, uint64_t len,
    struct vmscm_error *err)
{
    uint64_t run;
    int rc = 0;

    *hole = true;
    for (uint64_t done = 0; done < len && *hole && !rc; done += run)
        rc = vmscm_blockdev_extent(disk, at + done, &run, hole, err);
    return rc;
}

static int write_block(struct vmscm_export_file *out, const char *folder, uint64_t number,
    const uint8_t *bytes, size_t len, struct vmscm_error *err)
{
    char name[100], sum[17];
    int rc;

    snprintf(name, sizeof name, "%s/%08" PRIu64, folder, number);
    if ((rc = vmscm_tarout_member(out, name, bytes, len, err)))
        return rc;
    snprintf(name, sizeof name, "%s/%08" PRIu64 ".xxhash", folder, number);
    snprintf(sum, sizeof sum, "%016" PRIX64, vmscm_checksum_xxh64(bytes, len, 0));
    return vmscm_tarout_member(out, name, sum, 16, err);
}

static int write_disk(struct vmscm_export_file *out, size_t n, const char *folder, uint8_t *block,
    struct vmscm_error *err)
{
    struct vmscm_export *x = out->export;
    struct vmscm_blockdev *disk = x->disks[n];
    int rc = 0;

    for (uint64_t at = 0, number = 0; at < disk->size && !rc; at += BLOCK, number++) {
        size_t len = disk->size - at < BLOCK ? (size_t)(disk->size - at) : BLOCK;
        bool needed = !at || at + len == disk->size, hole;
        if ((rc = is_hole(&hole, disk, at, len, err)) || (hole && !needed))
            continue;
        if ((rc = vmscm_blockdev_pread(disk, block, len, at, err)))
            break;
        if (needed || !is_zero(block, len))
            rc = write_block(out, folder, number, block, len, err);
        if (!rc && vmscm_export_progress(x, x->machine->disks[n].id, at + len))
            rc = vmscm_error_set(err, VMSCM_ECANCELED, "%s: canceled", x->machine->disks[n].id);
    }
    x->done += disk->size;
    return rc;
}

static int write_members(struct vmscm_export_file *out, char **folders, struct vmscm_error *err)
{
    struct vmscm_export *x = out->export;
    struct vmscm_descriptor d = {.x = x, .form = &form};
    struct vmscm_buf text = VMSCM_BUF_INIT;
    uint8_t *block = malloc(BLOCK);
    int rc = block ? 0 : vmscm_error_nomem(err);

    if (rc || (rc = vmscm_descriptor_open(&d, err)) ||
        (rc = vmscm_descriptor_encode(&text, &d, (const char *const *)folders, NULL, err)) ||
        (rc = vmscm_tarout_member(out, "ova.xml", text.data, text.len, err)))
        goto out;
    for (size_t i = 0; i < x->machine->disk_count && !rc; i++)
        rc = write_disk(out, i, folders[i], block, err);
    if (!rc)
        rc = vmscm_tarout_end(out, err);
out:
    vmscm_descriptor_close(&d);
    vmscm_buf_release(&text);
    free(block);
    return rc;
}

int vmscm_xvaout_write(struct vmscm_export *x, struct vmscm_error *err)
{
    struct vmscm_export_file out = {.export = x, .fd = x->fd, .writes = true};
    size_t count = x->machine->disk_count;
    char **folders = calloc(count + 1, sizeof *folders);
    int fd = -1, rc = folders ? 0 : vmscm_error_nomem(err);

    for (size_t i = 0; i < count && !rc; i++)
        rc = vmscm_str_printf(&folders[i], err, "Ref:%zu", i + 1);
    if (!rc && x->dir && !(rc = vmscm_export_create(&fd, x, "bundle", err)))
        out.fd = fd;
    if (!rc)
        rc = write_members(&out, folders, err);
    if (!rc && fd >= 0)
        rc = vmscm_export_close(&fd, "bundle", err);
    if (fd >= 0)
        close(fd);
    for (size_t i = 0; folders && i < count; i++)
        free(folders[i]);
    free(folders);
    return rc;
}
