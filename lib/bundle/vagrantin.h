/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Vagrant's boxes on their way in. Internal to lib/bundle. */
#ifndef BUNDLE_VAGRANTIN_H
#define BUNDLE_VAGRANTIN_H

#include "bundle/load.h"

/* A box of the libvirt plugin: load->main is its metadata.json. VMSCM_EREFUSED: a disk's name leaves the box;
 * VMSCM_EINPUT: one is missing; VMSCM_EUNSUPPORTED: a box for another provider without a descriptor that is
 * known. */
int vmscm_vagrantin_load(struct vmscm_load *load, struct vmscm_error *err);

/* Keep what makes the folder of load->main a box, whatever its machine is described by: metadata.json,
 * info.json and Vagrantfile, which is a program, and is never run. */
int vmscm_vagrantin_keep(struct vmscm_load *load, struct vmscm_error *err);

#endif
