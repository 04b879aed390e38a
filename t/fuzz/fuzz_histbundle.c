/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzz target of lib/format/histbundle: a bundle's head, then its frames, as many as there are. */
#include "format/histbundle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_histbundle bundle = {0};
    size_t at = VMSCM_HISTBUNDLE_HEAD_SIZE;

    if (size < at || vmscm_histbundle_decode_head(data, NULL))
        return 0;
    while (!bundle.over && size - at >= VMSCM_WIRE_HEAD_SIZE) {
        unsigned type;
        uint32_t length;
        if (vmscm_wire_decode_head(&type, &length, data + at, NULL))
            break;
        at += VMSCM_WIRE_HEAD_SIZE;
        if (length > size - at ||
            vmscm_histbundle_frame(&bundle, type, data + at, length, NULL))
            break;
        at += length;
    }
    return 0;
}
