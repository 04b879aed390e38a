/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A configuration of Hyper-V's from anywhere, XML or .vmcx: what is taken from it can be stored. */
#include "base/path.h"
#include "machine/hyperv.h"
#include "machine/json.h"
#include "machine/model.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    struct vmscm_machine *machine;
    char **sources;

    vmscm_hyperv_names(data, size, "Disk.vhdx");
    if (vmscm_hyperv_parse(&machine, &sources, data, size, &err))
        return 0;
    for (size_t i = 0; i < machine->disk_count; i++) {
        if (!sources[i] || !vmscm_path_is_confined(sources[i]))
            abort();
        free(sources[i]);
        machine->disks[i].size = 1;
        if (vmscm_model_set(&machine->disks[i].format, "raw", &err))
            abort();
    }
    free(sources);
    if (vmscm_json_encode(&buf, machine, &err))
        abort();
    vmscm_buf_release(&buf);
    vmscm_model_free(machine);
    return 0;
}
