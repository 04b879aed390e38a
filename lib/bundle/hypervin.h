/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What Hyper-V exports, on its way in: a folder with "Virtual Machines" (the configuration), "Virtual Hard
 * Disks" and "Snapshots"; and the scripts that we write for it. Internal to lib/bundle.
 */
#ifndef BUNDLE_HYPERVIN_H
#define BUNDLE_HYPERVIN_H

#include "bundle/load.h"

/* Whether a member of this name is such a configuration: "Virtual Machines/GUID.xml", or .vmcx. */
bool vmscm_hypervin_is_name(const char *name);

/* A disk is the file of the bundle that has the name that the configuration says, without its folders, in
 * whichever folder it is; so is what an image says that it is the difference to. VMSCM_EINPUT: it is missing;
 * VMSCM_EUNSUPPORTED: a .vmcx that we cannot read, with snapshots in more than one line. */
int vmscm_hypervin_load(struct vmscm_load *load, struct vmscm_error *err);

#endif
