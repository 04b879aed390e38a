/* SPDX-License-Identifier: GPL-3.0-or-later */
/* OVF packages on their way in. Internal to lib/bundle. */
#ifndef BUNDLE_OVFIN_H
#define BUNDLE_OVFIN_H

#include "bundle/load.h"

/* load->main is the descriptor. VMSCM_EUSAGE: which of several systems is not said, or it is not there;
 * VMSCM_EREFUSED: a digest of the manifest differs, a file outside the package; else as its parts. */
int vmscm_ovfin_load(struct vmscm_load *load, struct vmscm_error *err);

#endif
