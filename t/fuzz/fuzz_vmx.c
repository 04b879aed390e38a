/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A .vmx from anywhere: what is taken from it can be stored. */
#include "machine/json.h"
#include "machine/model.h"
#include "machine/vmx.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    struct vmscm_vmx vmx;

    if (vmscm_vmx_parse(&vmx, data, size, &err))
        return 0;
    for (size_t i = 0; i < vmx.machine->disk_count; i++) {
        if (!vmx.sources[i])
            abort();
        vmx.machine->disks[i].size = 1;
        if (vmscm_model_set(&vmx.machine->disks[i].format, "raw", &err))
            abort();
    }
    if (vmscm_json_encode(&buf, vmx.machine, &err))
        abort();
    vmscm_buf_release(&buf);
    vmscm_vmx_release(&vmx);
    return 0;
}
