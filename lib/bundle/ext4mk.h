/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The empty file system that bundle/ext4fs.h fills: what mke2fs(8) does. Internal to lib/bundle. */
#ifndef BUNDLE_EXT4MK_H
#define BUNDLE_EXT4MK_H

#include "bundle/ext4fs.h"
#include <ext2fs/ext2fs.h>

/* The root's and lost+found's inodes are not written yet. Errors: as vmscm_ext4fs_create. */
int vmscm_ext4mk_make(ext2_filsys *out, const char *path, const struct vmscm_ext4fs_needs *needs,
    struct vmscm_error *err);
/* *fs becomes NULL. */
int vmscm_ext4mk_finish(ext2_filsys *fs, struct vmscm_error *err);
/* What libext2fs returned, as an error. fs may be NULL. */
int vmscm_ext4mk_failed(ext2_filsys fs, errcode_t code, struct vmscm_error *err);

#endif
