/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A machine's folder on its way out: a descriptor, and image files beside it. Internal to lib/bundle. */
#ifndef BUNDLE_FOLDEROUT_H
#define BUNDLE_FOLDEROUT_H

#include "bundle/export.h"

int vmscm_folderout_write_libvirt(struct vmscm_export *x, struct vmscm_error *err);
int vmscm_folderout_write_vmx(struct vmscm_export *x, struct vmscm_error *err);
int vmscm_folderout_write_hyperv(struct vmscm_export *x, struct vmscm_error *err);

#endif
