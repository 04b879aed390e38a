/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/tarout.h"
#include "bundle/tar.h"

static const uint8_t zeros[2 * VMSCM_TAR_BLOCK];

int vmscm_tarout_header(struct vmscm_export_file *out, const char *name, uint64_t size,
    struct vmscm_error *err)
{
    uint8_t block[VMSCM_TAR_BLOCK];

    vmscm_tar_header(block, name, size);
    return vmscm_export_put(out, block, sizeof block, err);
}

int vmscm_tarout_padding(struct vmscm_export_file *out, uint64_t size, struct vmscm_error *err)
{
    size_t over = size % VMSCM_TAR_BLOCK;

    return over ? vmscm_export_put(out, zeros, VMSCM_TAR_BLOCK - over, err) : 0;
}

int vmscm_tarout_member(struct vmscm_export_file *out, const char *name, const void *bytes,
    size_t size, struct vmscm_error *err)
{
    int rc = vmscm_tarout_header(out, name, size, err);

    if (!rc)
        rc = vmscm_export_put(out, bytes, size, err);
    return rc ? rc : vmscm_tarout_padding(out, size, err);
}

int vmscm_tarout_end(struct vmscm_export_file *out, struct vmscm_error *err)
{
    return vmscm_export_put(out, zeros, sizeof zeros, err);
}
