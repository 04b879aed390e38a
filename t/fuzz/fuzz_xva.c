/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An ova.xml from anywhere: what is taken from it can be stored. */
#include "machine/json.h"
#include "machine/model.h"
#include "machine/xva.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    struct vmscm_machine *m = NULL;
    char **sources = NULL;

    if (vmscm_xva_parse(&m, &sources, NULL, data, size, &err))
        return 0;
    for (size_t i = 0; i < m->disk_count; i++) {
        if (!sources[i] || !m->disks[i].size)
            abort();
        free(sources[i]);
        if (vmscm_model_set(&m->disks[i].format, "raw", &err))
            abort();
    }
    free(sources);
    if (vmscm_json_encode(&buf, m, &err))
        abort();
    vmscm_buf_release(&buf);
    vmscm_model_free(m);
    return 0;
}
