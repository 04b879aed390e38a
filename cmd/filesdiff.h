/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm diff --files and --content: what differs in the files of two revisions' guests. */
#ifndef FILESDIFF_H
#define FILESDIFF_H

#include "cmd.h"
#include <vmscm/revision.h>

/* Both print, and return 1 if something differs. device: as for vmscm ls. */
int filesdiff_list(struct ctx *ctx, struct vmscm_revision *before, struct vmscm_revision *after,
    const char *device, struct vmscm_error *err);
/* VMSCM_ENOTFOUND: neither has such a file. */
int filesdiff_content(struct ctx *ctx, struct vmscm_revision *before, struct vmscm_revision *after,
    const char *path, const char *device, struct vmscm_error *err);

#endif
