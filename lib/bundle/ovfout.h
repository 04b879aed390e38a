/* SPDX-License-Identifier: GPL-3.0-or-later */
/* OVF packages on their way out. Internal to lib/bundle. */
#ifndef BUNDLE_OVFOUT_H
#define BUNDLE_OVFOUT_H

#include "bundle/export.h"

int vmscm_ovfout_write_archive(struct vmscm_export *x, struct vmscm_error *err);
int vmscm_ovfout_write_files(struct vmscm_export *x, struct vmscm_error *err);

#endif
