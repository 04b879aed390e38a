/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The hardware of an OVF's VirtualSystem: what ovf.c and its files share. Internal to lib/machine. */
#ifndef MACHINE_OVFPARTS_H
#define MACHINE_OVFPARTS_H

#include "base/vec.h"
#include "machine/xml.h"
#include <stdint.h>
#include <vmscm/machine.h>

#define VMSCM_OVFPARTS_SIZE_MAX (UINT64_C(1) << 62)

/* CIM_ResourceAllocationSettingData's ResourceType. */
enum {
    VMSCM_OVFPARTS_CPU = 3,
    VMSCM_OVFPARTS_MEMORY = 4,
    VMSCM_OVFPARTS_IDE = 5,
    VMSCM_OVFPARTS_SCSI = 6,
    VMSCM_OVFPARTS_NIC = 10,
    VMSCM_OVFPARTS_DISK = 17,
    VMSCM_OVFPARTS_OTHER_STORAGE = 20, /* SATA, NVMe */
    VMSCM_OVFPARTS_USB = 23,
};

struct vmscm_ovfparts_item {
    uint64_t type;
    uint64_t quantity; /* 0: not said */
    char *id;          /* the rest may be NULL */
    char *subtype, *unit, *parent, *host_resource, *connection, *address;
};

/* Zero-initialised but for the section is empty. */
struct vmscm_ovfparts_items {
    const xmlNode *hardware; /* the VirtualHardwareSection */
    VMSCM_VEC(struct vmscm_ovfparts_item) list;
};

int vmscm_ovfparts_items_read(struct vmscm_ovfparts_items *items, struct vmscm_error *err);
void vmscm_ovfparts_items_release(struct vmscm_ovfparts_items *items);

/* A value in "byte * 2^20", "MegaBytes", "GB" and the like; unit NULL: fallback. 0 if it is too large. */
uint64_t vmscm_ovfparts_scale(uint64_t value, const char *unit, const char *fallback);

/* The bus that a drive hangs on, as machine.json has it. Static. */
const char *vmscm_ovfparts_bus(const struct vmscm_ovfparts_items *items,
    const struct vmscm_ovfparts_item *drive);
/* The same by oVirt's name of it; fallback if that is not known. */
const char *vmscm_ovfparts_interface(const char *name, const char *fallback);

/* The value of a VMware ExtraConfig; *out stays NULL if there is none. */
int vmscm_ovfparts_extra(char **out, const xmlNode *hardware, const char *key,
    struct vmscm_error *err);

/* VALUE of "NAME=VALUE" in a text of such words; *out stays NULL if there is none. */
int vmscm_ovfparts_word(char **out, const char *text, const char *name, struct vmscm_error *err);

bool vmscm_ovfparts_is_token(const char *s);

/* Name and firmware, from the VirtualSystem; id: its own, or NULL. */
int vmscm_ovfparts_system(struct vmscm_machine *m, const xmlNode *system, const char *id,
    struct vmscm_error *err);
/* CPUs, memory, NICs, and what is configured of the firmware. */
int vmscm_ovfparts_hardware(struct vmscm_machine *m, const struct vmscm_ovfparts_items *items,
    struct vmscm_error *err);

#endif
