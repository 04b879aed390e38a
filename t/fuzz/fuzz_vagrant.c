/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A metadata.json from anywhere: what is taken from it can be stored. */
#include "machine/json.h"
#include "machine/model.h"
#include "machine/vagrant.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    struct vmscm_vagrant v;

    if (vmscm_vagrant_parse(&v, data, size, &err))
        return 0;
    for (size_t i = 0; i < v.machine->disk_count; i++) {
        if (!v.sources[i])
            abort();
        v.machine->disks[i].size = 1;
        if (!v.machine->disks[i].format &&
            vmscm_model_set(&v.machine->disks[i].format, "raw", &err))
            abort();
    }
    if (vmscm_json_encode(&buf, v.machine, &err))
        abort();
    vmscm_buf_release(&buf);
    vmscm_vagrant_release(&v);
    return 0;
}
