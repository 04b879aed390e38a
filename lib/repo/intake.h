/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A check-in of a machine whose configuration is known from elsewhere than a libvirt domain or the
 * revision before: a bundle's.
 */
#ifndef REPO_INTAKE_H
#define REPO_INTAKE_H

#include "base/buf.h"
#include "image/blockdev.h"
#include <vmscm/checkin.h>
#include <vmscm/machine.h>

/* A file that came with the machine: kept as it is below config/. */
struct vmscm_intake_file {
    const char *path; /* confined, see base/path.h */
    const void *data;
    size_t len; /* at most 64 MiB */
};

struct vmscm_intake {
    /* Its disks have the sources' ids, all of them, and say bus and target; their size, format and
     * options are the images'. */
    const struct vmscm_machine *machine;
    const struct vmscm_intake_file *files;
    size_t file_count;
    /* NULL, or for each source the disk itself where it is no image file (else NULL): the source's
     * path just names it then, and its format says what it is called in the machine. Borrowed. */
    struct vmscm_blockdev *const *devices;
};

/* As vmscm_checkin. intake NULL: it is that. */
int vmscm_intake_checkin(struct vmscm_repo *repo, const char *name,
    const struct vmscm_checkin_disk *disks, size_t disk_count, const struct vmscm_intake *intake,
    const struct vmscm_checkin_options *options, const struct vmscm_events *events,
    struct vmscm_checkin_result *result, struct vmscm_error *err);

#endif
