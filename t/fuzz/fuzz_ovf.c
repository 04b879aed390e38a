/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An OVF descriptor from anywhere: what is taken from it can be stored. */
#include "machine/json.h"
#include "machine/model.h"
#include "machine/ovf.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    struct vmscm_ovf *ovf = NULL;

    if (vmscm_ovf_parse(&ovf, data, size, &err))
        return 0;
    for (size_t i = 0; i < ovf->systems.len; i++) {
        struct vmscm_machine *m = ovf->systems.items[i].machine;
        for (size_t k = 0; k < m->disk_count; k++) {
            const struct vmscm_ovf_disk *disk = &ovf->systems.items[i].disks[k];
            if (disk->file != SIZE_MAX ? disk->file >= ovf->files.len : !disk->capacity)
                abort();
            m->disks[k].size = 1;
            if (vmscm_model_set(&m->disks[k].format, "raw", &err))
                abort();
        }
        if (vmscm_json_encode(&buf, m, &err))
            abort();
        vmscm_buf_release(&buf);
    }
    vmscm_ovf_free(ovf);
    return 0;
}
