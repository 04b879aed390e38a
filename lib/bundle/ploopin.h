/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Directories of OpenVZ's, Virtuozzo's and Parallels' disks, on their way in: each a DiskDescriptor.xml and
 * images. Internal to lib/bundle. */
#ifndef BUNDLE_PLOOPIN_H
#define BUNDLE_PLOOPIN_H

#include "bundle/load.h"

bool vmscm_ploopin_is_name(const char *name);

/* All disks that are there, in the order of their names. A file is where the descriptor says, if that is
 * below it; of an absolute path, the file of that name. VMSCM_EREFUSED: it leaves the directory;
 * VMSCM_EINPUT: it is missing, or not as long as the disk. */
int vmscm_ploopin_load(struct vmscm_load *load, struct vmscm_error *err);

#endif
