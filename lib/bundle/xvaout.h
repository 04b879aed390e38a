/* SPDX-License-Identifier: GPL-3.0-or-later */
/* XVA archives on their way out: see bundle/xvain.h. Internal to lib/bundle. */
#ifndef BUNDLE_XVAOUT_H
#define BUNDLE_XVAOUT_H

#include "bundle/export.h"

int vmscm_xvaout_write(struct vmscm_export *x, struct vmscm_error *err);

#endif
