/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A machine as a revision records it: its disks and its virtual hardware. The stored form is
 * machine.json, specified in vmscm-format-machine(5). Everything here is read-only for users of
 * the library and lives as long as the revision it came from.
 */
#ifndef VMSCM_MACHINE_H
#define VMSCM_MACHINE_H

#include <stddef.h>
#include <stdint.h>
#include <vmscm/visibility.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A creation option of a disk format, as qemu-img's -o knows it: "cluster_size" = "65536". */
struct vmscm_machine_option {
    char *name;
    char *value;
};

struct vmscm_machine_disk {
    char *id;     /* unique in the machine, e.g. "sda": names the disk in revisions and files */
    char *target; /* the guest's device name, e.g. "vda"; may be NULL */
    char *bus;    /* "virtio", "scsi", "sata", "ide", "nvme", "usb"; NULL if unknown */
    char *format; /* "raw", "qcow2", "vmdk", "vdi", "vpc", "vhdx", "parallels"; "tar": see
                     vmscm_machine_is_container */
    uint64_t size; /* bytes the guest sees */
    struct vmscm_machine_option *options;
    size_t option_count;
};

struct vmscm_machine_nic {
    char *mac;     /* "52:54:00:12:34:56"; may be NULL */
    char *model;   /* "virtio", "e1000", ...; may be NULL */
    char *type;    /* "network", "bridge", "user", ...; may be NULL */
    char *network; /* name of the network or bridge; may be NULL */
};

struct vmscm_machine {
    char *name;         /* what its own configuration calls it; may be NULL */
    char *arch;         /* "x86_64", "aarch64", ...; never NULL */
    char *machine_type; /* "pc-q35-7.2"; may be NULL */
    char *firmware;     /* "bios" or "uefi"; never NULL */
    int secure_boot;    /* 0 or 1 */
    uint32_t cpus;
    uint64_t memory; /* bytes */
    struct vmscm_machine_disk *disks;
    size_t disk_count;
    struct vmscm_machine_nic *nics;
    size_t nic_count;
};

/* Whether it is a container rather than a machine: its one disk, of the format "tar", is none that anything
 * could attach, but the archive of a root file system, as vmscm-format-container(5) has it. Thread-safe. */
VMSCM_API int vmscm_machine_is_container(const struct vmscm_machine *machine);

#ifdef __cplusplus
}
#endif
#endif
