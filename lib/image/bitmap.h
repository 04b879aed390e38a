/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The persistent dirty bitmap that a qcow2 image carries for us: QEMU sets a bit of it with every
 * write, whatever program runs it, so that it tells what changed since it was made.
 *
 * Each is named "vmscm-" and 16 random hex digits, never used again: a bitmap that has the name
 * that was noted down is the one that was made then, and no other, even if the image was replaced
 * by a copy from another time. It is read by ourselves (docs/interop/qcow2.txt of QEMU), with the
 * image probed and not open in any QEMU, and made and removed by a confined qemu-img.
 */
#ifndef IMAGE_BITMAP_H
#define IMAGE_BITMAP_H

#include "image/changes.h"
#include "image/probe.h"

/* What the bitmap called `name` says about the disk. VMSCM_ENOTFOUND: it cannot be used; the
 * message is why, e.g. "was not closed cleanly"; VMSCM_EIO. */
int vmscm_bitmap_read(struct vmscm_changes *out, const struct vmscm_probe *probe,
    const char *name, struct vmscm_error *err);

/* Make a new one, in which nothing is dirty yet, and remove all of ours but `keep` (may be NULL).
 * *name is the caller's. The image changes by this, and must be probed anew.
 * VMSCM_EUNSUPPORTED: the image cannot have one; VMSCM_ETOOL, VMSCM_EBUSY. */
int vmscm_bitmap_lay(char **name, const struct vmscm_probe *probe, const char *keep,
    struct vmscm_error *err);

#endif
