/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Settings of VirtualBox's from anywhere: what is taken from them can be stored. */
#include "machine/json.h"
#include "machine/model.h"
#include "machine/vbox.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    struct vmscm_vbox vbox;

    if (vmscm_vbox_parse(&vbox, data, size, &err))
        return 0;
    for (size_t i = 0; i < vbox.machine->disk_count; i++) {
        if (!vbox.disks[i].count || vbox.disks[i].count > VMSCM_VBOX_DEPTH_MAX)
            abort();
        for (size_t k = 0; k < vbox.disks[i].count; k++)
            if (!vbox.disks[i].images[k].location)
                abort();
        vbox.machine->disks[i].size = 1;
        if (vmscm_model_set(&vbox.machine->disks[i].format, "raw", &err))
            abort();
    }
    if (vmscm_json_encode(&buf, vbox.machine, &err))
        abort();
    vmscm_buf_release(&buf);
    vmscm_vbox_release(&vbox);
    return 0;
}
