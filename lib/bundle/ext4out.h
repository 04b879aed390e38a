/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A container as a disk with its files in an ext4 file system. Internal to lib/bundle. */
#ifndef BUNDLE_EXT4OUT_H
#define BUNDLE_EXT4OUT_H

#include "bundle/export.h"

int vmscm_ext4out_write_raw(struct vmscm_export *x, struct vmscm_error *err);
int vmscm_ext4out_write_qcow2(struct vmscm_export *x, struct vmscm_error *err);

#endif
