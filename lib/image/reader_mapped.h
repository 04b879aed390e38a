/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An image whose extents are known beforehand: plain ones are read with pread straight from the
 * file they are in, by any number of threads; the rest through qemu-nbd, which is not started
 * unless it is needed.
 */
#ifndef IMAGE_READER_MAPPED_H
#define IMAGE_READER_MAPPED_H

#include "image/blockdev.h"
#include "image/probe.h"
#include <vmscm/events.h>

/* The probe must outlive the device. VMSCM_EUNSUPPORTED: more extents than are kept in memory, so
 * that another way must be taken; else as vmscm_qemumap_read. */
int vmscm_reader_mapped_open(struct vmscm_blockdev **out, const struct vmscm_probe *probe,
    unsigned jobs, const struct vmscm_events *events, struct vmscm_error *err);

#endif
