/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A container's root file system on its way in: a tar archive with etc, and usr, bin or sbin at its top, and,
 * beside it, the configuration that OpenVZ has of it, if it is there. Internal to lib/bundle.
 */
#ifndef BUNDLE_CONTAINERIN_H
#define BUNDLE_CONTAINERIN_H

#include "bundle/load.h"

/* Whether a tar archive is one. What is malformed is not, for others to say why. */
int vmscm_containerin_match(bool *is, const char *path, struct vmscm_error *err);

/* load->archive is the archive. Errors: as of containerdev.h. */
int vmscm_containerin_load(struct vmscm_load *load, struct vmscm_error *err);

#endif
