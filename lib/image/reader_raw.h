/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A raw image: its bytes are the guest's, holes are zeros. */
#ifndef IMAGE_READER_RAW_H
#define IMAGE_READER_RAW_H

#include "image/blockdev.h"
#include "image/probe.h"

int vmscm_reader_raw_open(struct vmscm_blockdev **out, const struct vmscm_probe *probe,
    struct vmscm_error *err);

/* Open a file of a probed image, as it was at probing: *fd is the caller's. VMSCM_EBUSY if another
 * file is there now or it changed. */
int vmscm_reader_raw_open_file(int *fd, const struct vmscm_probe_file *file,
    struct vmscm_error *err);

#endif
