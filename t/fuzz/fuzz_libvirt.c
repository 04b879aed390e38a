/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A domain XML from anywhere: what is taken from it can be stored. */
#include "machine/json.h"
#include "machine/libvirt.h"
#include "machine/model.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    struct vmscm_machine *m = NULL;
    char **sources = NULL;

    if (vmscm_libvirt_parse(&m, &sources, data, size, &err))
        return 0;
    for (size_t i = 0; i < m->disk_count; i++) {
        free(sources[i]);
        m->disks[i].size = 1;
        if (!m->disks[i].format && vmscm_model_set(&m->disks[i].format, "raw", &err))
            abort();
    }
    if (vmscm_json_encode(&buf, m, &err))
        abort();
    free(sources);
    vmscm_buf_release(&buf);
    vmscm_model_free(m);
    return 0;
}
