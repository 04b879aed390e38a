/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether another process is writing to an image. QEMU marks the permissions it holds on an image
 * with open-file-description locks on single bytes (block/file-posix.c: byte 100 + n for a
 * permission held, 200 + n for one it does not share); this asks for them and takes none.
 */
#ifndef IMAGE_LOCKCHECK_H
#define IMAGE_LOCKCHECK_H

#include "base/error.h"
#include <stdbool.h>

/* *held: some process has path open with QEMU's permission to write or to resize. A file system
 * without such locks says false: nothing can be known there. VMSCM_ENOTFOUND, VMSCM_EIO;
 * VMSCM_EINPUT: not a regular file. */
int vmscm_lockcheck_writer(bool *held, const char *path, struct vmscm_error *err);

#endif
