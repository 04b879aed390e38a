/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What makes two VHDX images of the same disk differ: random GUIDs and sequence numbers, and what is left in
 * the log ([MS-VHDX] 2.2.2, 2.3, 2.6.2.3).
 */
#ifndef IMAGE_VHDXID_H
#define IMAGE_VHDXID_H

#include "base/error.h"
#include <stdint.h>

#define VMSCM_VHDXID_SEED 16 /* bytes */

/* Give a whole image that was closed cleanly, open for reading and writing, GUIDs that follow from the seed
 * alone, and clear its log. Not synced. VMSCM_EIO: it is no such image. */
int vmscm_vhdxid_set(int fd, const char *path, const uint8_t seed[VMSCM_VHDXID_SEED],
    struct vmscm_error *err);

#endif
