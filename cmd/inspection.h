/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Looking into a revision's disks: its disks served over NBD, and vmscm-inspect, which reads them. */
#ifndef INSPECTION_H
#define INSPECTION_H

#include "cmd.h"
#include <stdbool.h>
#include <vmscm/revision.h>

struct inspection_options {
    unsigned timeout; /* seconds; 0: the program's own limit */
    unsigned memory;  /* MiB of the appliance's; likewise */
    const char *list, *read; /* a path: the entries there, or the bytes, instead of facts */
    const char *device;      /* of these: as facts write it; NULL: the operating system's */
};

/* Whether the program that looks is there. */
bool inspection_is_installed(void);

/* What is in it, as JSON that is not checked yet; *facts is the caller's. With read, *facts is NULL, and the
 * bytes are on standard output. VMSCM_ETOOL: nothing can be inspected here; VMSCM_ENOTFOUND: the disks are
 * not kept any more, or there is no such file. */
int inspection_run(char **facts, struct ctx *ctx, struct vmscm_revision *rev,
    const struct inspection_options *options, struct vmscm_error *err);

#endif
