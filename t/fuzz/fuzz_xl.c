/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A configuration of xl's from anywhere: what is taken from it can be stored. */
#include "base/path.h"
#include "machine/json.h"
#include "machine/xl.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    struct vmscm_xl xl;

    if (vmscm_xl_parse(&xl, data, size, &err))
        return 0;
    for (size_t i = 0; i < xl.machine->disk_count; i++) {
        if (!xl.sources[i] || !vmscm_path_is_confined(xl.sources[i]))
            abort();
        xl.machine->disks[i].size = 1;
    }
    if (vmscm_json_encode(&buf, xl.machine, &err))
        abort();
    vmscm_buf_release(&buf);
    vmscm_xl_release(&xl);
    return 0;
}
