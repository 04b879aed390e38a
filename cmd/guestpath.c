/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "guestpath.h"

#include "report.h"
#include <string.h>

#define LENGTH_MAX 4095 /* bytes; as of Linux */

bool guestpath_is(const char *spec)
{
    return strstr(spec, ":/") != NULL;
}

int guestpath_split(const char **path, char *spec, struct vmscm_error *err)
{
    char *at = strstr(spec, ":/");

    if (!at || at == spec)
        return report_set(err, VMSCM_EUSAGE, "%.200s: not REV:/PATH", spec);
    if (strlen(at + 1) > LENGTH_MAX)
        return report_set(err, VMSCM_EUSAGE, "path: over %d bytes", LENGTH_MAX);
    *at = '\0';
    *path = at + 1;
    return 0;
}
