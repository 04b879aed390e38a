/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An OVF manifest from anywhere. */
#include "bundle/manifest.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_manifest manifest = {0};

    if (!vmscm_manifest_parse(&manifest, data, size, &err))
        for (size_t i = 0; i < manifest.lines.len; i++)
            if (!manifest.lines.items[i].name ||
                !vmscm_manifest_has(&manifest, manifest.lines.items[i].name))
                abort();
    vmscm_manifest_release(&manifest);
    return 0;
}
