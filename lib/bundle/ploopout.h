/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A directory with a disk as OpenVZ keeps it, or with one such for each disk. Internal to lib/bundle. */
#ifndef BUNDLE_PLOOPOUT_H
#define BUNDLE_PLOOPOUT_H

#include "bundle/export.h"

int vmscm_ploopout_write(struct vmscm_export *x, struct vmscm_error *err);

#endif
