/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Checking in disk images, as the public library has it. */
#include <vmscm/checkin.h>

#include "repo/intake.h"

int vmscm_checkin(struct vmscm_repo *repo, const char *name,
    const struct vmscm_checkin_disk *disks, size_t disk_count,
    const struct vmscm_checkin_options *options, const struct vmscm_events *events,
    struct vmscm_checkin_result *result, struct vmscm_error *err)
{
    return vmscm_intake_checkin(
        repo, name, disks, disk_count, NULL, options, events, result, err);
}
