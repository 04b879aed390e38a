/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Vagrant's boxes on their way out: ustar archives. Internal to lib/bundle. */
#ifndef BUNDLE_VAGRANTOUT_H
#define BUNDLE_VAGRANTOUT_H

#include "bundle/export.h"

/* Of the libvirt plugin: version 1 of its format for one disk, else version 2. */
int vmscm_vagrantout_write_libvirt(struct vmscm_export *x, struct vmscm_error *err);
/* An OVF package with metadata.json and Vagrantfile. */
int vmscm_vagrantout_write_virtualbox(struct vmscm_export *x, struct vmscm_error *err);

#endif
