/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * metadata.json of Vagrant's boxes, and what is written beside it. Vagrant's own fields are provider (it is
 * mandatory: developer.hashicorp.com/vagrant/docs/boxes/format) and architecture; those of its libvirt plugin
 * (github.com/vagrant-libvirt/vagrant-libvirt, docs/boxes) are format and virtual_size, of one image called
 * box.img, or disks, each with a path. Hardware is for the box's Vagrantfile to say, a program, which is
 * written but never read: what it says is in metadata.json too, in a field "vmscm". Pure.
 */
#ifndef MACHINE_VAGRANT_H
#define MACHINE_VAGRANT_H

#include "base/buf.h"
#include "machine/description.h"

#define VMSCM_VAGRANT_MAX (1u << 20) /* bytes of a metadata.json */

struct vmscm_vagrant {
    char *provider;
    struct vmscm_machine *machine; /* its disks' sizes are not filled in, nor formats that are not said */
    char **sources; /* each disk's file: parallel to the machine's disks, of which others than libvirt's
                       boxes have none here */
};

/* VMSCM_EINPUT: no metadata.json of a box, or one that makes no sense. */
int vmscm_vagrant_parse(struct vmscm_vagrant *out, const void *text, size_t len,
    struct vmscm_error *err);
void vmscm_vagrant_release(struct vmscm_vagrant *vagrant);

/* metadata.json of a box for the libvirt plugin, of qcow2 images. */
int vmscm_vagrant_encode(struct vmscm_buf *out, const struct vmscm_description *description,
    struct vmscm_error *err);

/* The Vagrantfile beside it. */
int vmscm_vagrant_program(struct vmscm_buf *out, const struct vmscm_machine *machine,
    struct vmscm_error *err);

/* Of a box for VirtualBox, whose machine is in an OVF: metadata.json and Vagrantfile. */
int vmscm_vagrant_virtualbox(struct vmscm_buf *metadata, struct vmscm_buf *program,
    const struct vmscm_machine *machine, struct vmscm_error *err);

#endif
