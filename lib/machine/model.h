/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Making and changing a struct vmscm_machine. Pure; one thread at a time per machine. */
#ifndef MACHINE_MODEL_H
#define MACHINE_MODEL_H

#include "base/error.h"
#include <vmscm/machine.h>

/* A container has one disk, of this id and format: its root file system, see format/container.h. */
#define VMSCM_MODEL_ROOTFS "rootfs"
#define VMSCM_MODEL_TAR "tar"

/* A machine of sensible defaults: x86_64, bios, 1 CPU, 1 GiB, no disks, one virtio user NIC. */
int vmscm_model_new(struct vmscm_machine **out, struct vmscm_error *err);
void vmscm_model_free(struct vmscm_machine *machine); /* NULL is fine */
int vmscm_model_copy(struct vmscm_machine **out, const struct vmscm_machine *from,
    struct vmscm_error *err);

/* Append a disk with this id (checked: see vmscm_model_check_disk_id; VMSCM_EEXIST if there is one);
 * *out is borrowed from the machine and zero but for the id. */
int vmscm_model_add_disk(struct vmscm_machine_disk **out, struct vmscm_machine *machine,
    const char *id, struct vmscm_error *err);
int vmscm_model_add_nic(struct vmscm_machine_nic **out, struct vmscm_machine *machine,
    struct vmscm_error *err);
/* Append or replace. */
int vmscm_model_set_option(struct vmscm_machine_disk *disk, const char *name, const char *value,
    struct vmscm_error *err);
/* A MAC address in either case; what is none, or NULL, changes nothing. */
int vmscm_model_set_mac(struct vmscm_machine_nic *nic, const char *value, struct vmscm_error *err);
/* NULL if there is none. Borrowed. */
const char *vmscm_model_option(const struct vmscm_machine_disk *disk, const char *name);
struct vmscm_machine_disk *vmscm_model_disk(const struct vmscm_machine *machine, const char *id);
/* Replace a string field: free the old one, copy the new one (NULL: none). */
int vmscm_model_set(char **field, const char *value, struct vmscm_error *err);
/* Free a disk's own strings and take it out of the machine. */
void vmscm_model_remove_disk(struct vmscm_machine *machine, const char *id);

void vmscm_model_remove_nics(struct vmscm_machine *machine);

/* The id and target that the next disk on this bus gets: "sda", "hdb", "vda", "nvme0n1", the first
 * that is free. */
void vmscm_model_name_disk(char out[16], const struct vmscm_machine *machine, const char *bus);

/* Add a disk on this bus, with that id and target. *disk is borrowed, until the next one. */
int vmscm_model_attach_disk(struct vmscm_machine_disk **disk, struct vmscm_machine *machine,
    const char *bus, struct vmscm_error *err);
/* The same of a disk in a file, whose name is copied to the end of *sources: that has one for each disk,
 * after a failure maybe NULL, and is the caller's, as they are. */
int vmscm_model_attach_file(struct vmscm_machine_disk **disk, char ***sources,
    struct vmscm_machine *machine, const char *bus, const char *file, struct vmscm_error *err);

/* 1 to 64 of A-Z a-z 0-9 . _ -, not starting with '.' or '-'. 0 or VMSCM_EUSAGE. */
int vmscm_model_check_disk_id(const char *id, struct vmscm_error *err);

#endif
