/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An image read through confined qemu-nbd programs on private Unix sockets: up to `jobs` of them,
 * each started when a thread first needs one more than there are. While a thread waits for one it
 * uses no core: twice as many threads as jobs keep both busy, and have a connection each.
 */
#ifndef IMAGE_READER_NBD_H
#define IMAGE_READER_NBD_H

#include "image/blockdev.h"
#include "image/probe.h"

/* The probe must outlive the device. */
int vmscm_reader_nbd_open(struct vmscm_blockdev **out, const struct vmscm_probe *probe,
    unsigned jobs, struct vmscm_error *err);

#endif
