/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A container on its way out, see bundle/containerin.h. Internal to lib/bundle. */
#ifndef BUNDLE_CONTAINEROUT_H
#define BUNDLE_CONTAINEROUT_H

#include "bundle/export.h"

/* The tar archive that was checked in, unpacked if it was packed. */
int vmscm_containerout_write(struct vmscm_export *x, struct vmscm_error *err);

#endif
