/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Opening a probed image for reading, by the quickest safe way: raw files directly; images whose
 * extents `qemu-img map` tells are read straight from their file with pread; what is left
 * (compressed clusters, vmdk with several files) through a confined qemu-nbd and libnbd.
 */
#ifndef IMAGE_READER_H
#define IMAGE_READER_H

#include "image/blockdev.h"
#include "image/probe.h"
#include <vmscm/events.h>

/* jobs: how many cores to use. The probe must outlive the device.
 * Errors: as probing, and VMSCM_ETOOL: qemu is missing or failed; VMSCM_EBUSY: another process
 * writes to it. few: little of it will be read, so that it is not worth while to learn beforehand
 * where all its bytes are, nor to start a program before the first read. events (may be NULL):
 * note says which way was taken. */
int vmscm_reader_open(struct vmscm_blockdev **out, const struct vmscm_probe *probe, unsigned jobs,
    bool few, const struct vmscm_events *events, struct vmscm_error *err);

#endif
