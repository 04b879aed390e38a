/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A machine's folder as VirtualBox keeps it, on its way in: NAME.vbox, images and Snapshots. Internal to
 * lib/bundle. */
#ifndef BUNDLE_VBOXIN_H
#define BUNDLE_VBOXIN_H

#include "bundle/load.h"

/* An image is the file that the settings say, if that is in the folder or below it; else the file of its name
 * in the folder, or in Snapshots. VMSCM_EINPUT: it is missing, or is not what is said of it. */
int vmscm_vboxin_load(struct vmscm_load *load, struct vmscm_error *err);

#endif
