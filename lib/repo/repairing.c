/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/repairing.h"
#include "repo/aside.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void vmscm_repairing_tell(const struct vmscm_repairing *r, const char *object, const char *fmt,
    ...)
{
    char text[VMSCM_ERROR_MESSAGE_MAX];
    struct vmscm_repair_action action = {object, text};
    va_list ap;

    va_start(ap, fmt);
    if (vsnprintf(text, sizeof text, fmt, ap) < 0)
        text[0] = '\0';
    va_end(ap);
    if (r->done)
        r->done(r->data, &action);
}

int vmscm_repairing_set_aside(const struct vmscm_repairing *r, const char *file, const char *name,
    bool stays, const char *why, struct vmscm_error *err)
{
    char *to = NULL;
    int rc = vmscm_aside_move(&to, r->path, file, name, stays, err);

    if (!rc) {
        r->result->set_aside++;
        vmscm_repairing_tell(r, file, "%s; set aside as %s", why, to);
    }
    free(to);
    return rc;
}

int vmscm_repairing_canceled(void *data, struct vmscm_error *err)
{
    const struct vmscm_repairing *r = data;

    return vmscm_handle_canceled(r->events, err);
}
