/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <vmscm/version.h>

const char *vmscm_version(void)
{
    return VMSCM_VERSION;
}

const char *vmscm_version_libraries(void)
{
    return VMSCM_LIBRARIES;
}
