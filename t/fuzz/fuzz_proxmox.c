/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A Proxmox configuration from anywhere: what is taken from it can be stored. */
#include "machine/json.h"
#include "machine/model.h"
#include "machine/proxmox.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    struct vmscm_proxmox conf;

    if (vmscm_proxmox_parse(&conf, data, size, &err))
        return 0;
    for (size_t i = 0; i < conf.machine->disk_count; i++) {
        if (!conf.volumes[i] || strchr(conf.volumes[i], '/'))
            abort();
        conf.machine->disks[i].size = 1;
        if (vmscm_model_set(&conf.machine->disks[i].format, "raw", &err))
            abort();
    }
    if (vmscm_json_encode(&buf, conf.machine, &err))
        abort();
    vmscm_buf_release(&buf);
    vmscm_proxmox_release(&conf);
    return 0;
}
