/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An image read through a confined qemu-nbd on a private Unix socket. The program is started by
 * the first read; connections are opened as threads need them, up to `jobs`. A vmdk gets a program
 * of its own for each.
 */
#ifndef IMAGE_READER_NBD_H
#define IMAGE_READER_NBD_H

#include "image/blockdev.h"
#include "image/probe.h"

/* The probe must outlive the device. */
int vmscm_reader_nbd_open(struct vmscm_blockdev **out, const struct vmscm_probe *probe,
    unsigned jobs, struct vmscm_error *err);

#endif
