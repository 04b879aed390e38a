/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Disks of machines with snapshots on their way in: an image that may be the difference to another, whose
 * place somebody who knows the bundle says. Internal to lib/bundle.
 */
#ifndef BUNDLE_CHAININ_H
#define BUNDLE_CHAININ_H

#include "bundle/load.h"
#include "image/probe.h"

/* A member that is an image, and of which format it is said to be (never NULL; static). */
struct vmscm_chainin_image {
    const struct vmscm_member *member;
    const char *format;
    bool child; /* somebody else says that it is the difference to another */
};

/* The next disk is this image, with all that it is the difference to: find says what child is on top of.
 * Errors also of find, which names what is missing. */
int vmscm_chainin_add(struct vmscm_load *load, struct vmscm_chainin_image top,
    int (*find)(void *data, struct vmscm_chainin_image *out, const struct vmscm_probe *child,
        struct vmscm_error *err),
    void *data, struct vmscm_error *err);

/* What an image says of itself. VMSCM_EBUSY: another file is there now. */
int vmscm_chainin_probe(struct vmscm_probe **out, struct vmscm_chainin_image image,
    struct vmscm_error *err);

#endif
