/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/writer.h"
#include "image/writer_parts.h"

#define SECTOR 512u

/* The largest disk each format holds, in bytes: raw by off_t; qcow2, vdi and vpc by QEMU's own
 * bounds (block/qcow2.c with 2 MiB clusters, VDI_DISK_SIZE_MAX, VHD_MAX_SECTORS); vhdx by
 * [MS-VHDX]; vmdk by the grain directory QEMU accepts; parallels by the length QEMU accepts of its
 * table of 1 MiB clusters. */
static uint64_t largest(enum vmscm_probe_format format)
{
    switch (format) {
    case VMSCM_PROBE_RAW:
        return UINT64_C(1) << 62;
    case VMSCM_PROBE_QCOW2:
        return UINT64_C(1) << 60;
    case VMSCM_PROBE_VMDK:
        return UINT64_C(1) << 50;
    case VMSCM_PROBE_VDI:
        return UINT64_C(0x1fffff8000000);
    case VMSCM_PROBE_VPC:
        return UINT64_C(0xff000000) * SECTOR;
    case VMSCM_PROBE_VHDX:
        return UINT64_C(64) << 40;
    case VMSCM_PROBE_PARALLELS:
        return (UINT64_C(1) << 49) - (1 << 20);
    }
    return 0;
}

int vmscm_writer_size(uint64_t *size, enum vmscm_probe_format format, uint64_t wanted,
    struct vmscm_error *err)
{
    uint64_t max = largest(format), rounded = wanted;

    if (wanted <= max && format != VMSCM_PROBE_RAW)
        rounded = (wanted + SECTOR - 1) / SECTOR * SECTOR;
    if (rounded > max) {
        vmscm_error_set(err, VMSCM_EUNSUPPORTED, "format %s cannot hold %llu bytes: at most %llu",
            vmscm_probe_format_name(format), (unsigned long long)wanted, (unsigned long long)max);
        vmscm_error_hint(err, "choose another format, e.g. qcow2 or raw");
        return VMSCM_EUNSUPPORTED;
    }
    *size = rounded;
    return 0;
}

int vmscm_writer_check_option(enum vmscm_probe_format format, const char *name,
    const char *value, struct vmscm_error *err)
{
    return vmscm_writer_options_check(format, name, value, err);
}

int vmscm_writer_write(struct vmscm_blockdev *source, const char *path,
    const struct vmscm_writer_options *options, uint64_t *written, struct vmscm_error *err)
{
    uint64_t size, none;
    bool done;
    int rc = vmscm_writer_size(&size, options->format, source->size, err);

    for (size_t i = 0; !rc && i < options->option_count; i++)
        rc = vmscm_writer_options_check(
            options->format, options->options[i].name, options->options[i].value, err);
    if (rc)
        return vmscm_error_prefix(err, "%s", path), rc;
    if (!written)
        written = &none;
    *written = 0;
    if (options->format == VMSCM_PROBE_RAW)
        return vmscm_writer_raw_write(source, path, options, written, err);
    rc = vmscm_writer_own_write(&done, source, path, options, written, err);
    return done ? rc : vmscm_writer_qemu_write(source, path, options, written, err);
}
