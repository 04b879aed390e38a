/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A machine's folder as its hypervisor keeps it, on its way in: VMware's .vmx, libvirt's domain XML,
 * Proxmox VE's .conf, Xen's .cfg, our own script for Hyper-V.
 * load->main is the descriptor; disks and NVRAM are beside or below it. Internal to lib/bundle.
 */
#ifndef BUNDLE_FOLDER_H
#define BUNDLE_FOLDER_H

#include "bundle/load.h"

/* VMSCM_EREFUSED: a disk's name leaves the folder; VMSCM_EINPUT: it is missing. */
int vmscm_folder_load_vmx(struct vmscm_load *load, struct vmscm_error *err);

/* A disk, and the NVRAM, is the file beside the XML that has its name: where it was elsewhere does not
 * matter, and nothing is read there. */
int vmscm_folder_load_libvirt(struct vmscm_load *load, struct vmscm_error *err);

/* Proxmox VE's: a volume is the file beside it that has its name, or, if that has no ending, as many a
 * storage leaves it out, its name and .raw, .qcow2 or .vmdk; its ending says its format. */
int vmscm_folder_load_proxmox(struct vmscm_load *load, struct vmscm_error *err);

/* What we export for Hyper-V: the script, which is not run, and the images that it names. */
int vmscm_folder_load_hyperv(struct vmscm_load *load, struct vmscm_error *err);

/* Xen's own: a disk is the file beside it that has the name of its file or device, of the format that is
 * said. */
int vmscm_folder_load_xl(struct vmscm_load *load, struct vmscm_error *err);

#endif
