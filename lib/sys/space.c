/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sys/space.h"

#include <sys/statvfs.h>

#define SPARE ((uint64_t)64 << 20)

uint64_t vmscm_space_free(const char *path)
{
    struct statvfs st;

    return statvfs(path, &st) == 0 ? (uint64_t)st.f_bavail * st.f_frsize : UINT64_MAX;
}

int vmscm_space_check(const char *path, struct vmscm_error *err)
{
    if (vmscm_space_free(path) >= SPARE)
        return 0;
    vmscm_error_set(err, VMSCM_EIO, "%s: no space left for what is coming", path);
    return vmscm_error_hint(err, "what came so far is kept; free some space and try again");
}
