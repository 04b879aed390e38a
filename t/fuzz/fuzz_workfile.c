/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzz target of lib/repo/workfile: what a checkout's file may say, whoever wrote it. */
#include "base/path.h"
#include "repo/workfile.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_workfile work;

    if (vmscm_workfile_decode(&work, data, size, &err)) {
        if (!err.message[0] || work.repository || work.disks.items)
            abort();
        return 0;
    }
    if (work.repository[0] != '/' || !work.machine || !work.request ||
        strspn(work.base, "0123456789abcdefABCDEF") != 40 || work.base[40])
        abort();
    for (size_t i = 0; i < work.disks.len; i++) {
        const struct vmscm_workfile_disk *disk = &work.disks.items[i];
        if (!disk->id[0] || strchr(disk->id, '/') || !disk->format || !disk->files.len)
            abort();
        for (size_t f = 0; f < disk->files.len; f++)
            if (!vmscm_path_is_confined(disk->files.items[f].name))
                abort();
    }
    vmscm_workfile_release(&work);
    return 0;
}
