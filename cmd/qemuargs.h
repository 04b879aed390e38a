/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A recorded machine as arguments of qemu. */
#ifndef QEMUARGS_H
#define QEMUARGS_H

#include "cmd.h"
#include <vmscm/machine.h>

#define QEMUARGS_KVM "/dev/kvm"

struct qemuargs {
    char **items; /* NULL ends; all are the list's own */
    size_t len;
};

void qemuargs_add(struct qemuargs *args, const char *fmt, ...) VMSCM_PRINTF(2, 3);
void qemuargs_release(struct qemuargs *args);

/* A value within an argument of qemu's that others stand beside: a comma is doubled. The caller's. */
char *qemuargs_escape(const char *value);

struct qemuargs_options {
    unsigned cpus;      /* 0: as recorded */
    unsigned memory;    /* MiB; 0: as recorded */
    const char *bus;    /* for all disks; NULL: as recorded */
    const char *dir;    /* private: what the firmware remembers goes there */
    int isolate;        /* the guest reaches nothing */
    int emulate;        /* without KVM, even if it is there */
    const struct opt_list *forwards; /* HOST:GUEST */
    int kept;           /* disks are qcow2 images that keep what is written; else raw, and it goes */
    char *(*file)(const void *data, const char *disk); /* path or URI of a disk, the caller's; or NULL */
    const void *data;
};

/* All that the machine is made of, from argv[0] on; consoles and screens are the caller's.
 * VMSCM_EUNSUPPORTED: an architecture or bus that this cannot do; VMSCM_EUSAGE: a forward that is
 * malformed; VMSCM_ETOOL: its firmware is not installed. */
int qemuargs_machine(struct qemuargs *args, const struct vmscm_machine *machine,
    const struct qemuargs_options *options, struct vmscm_error *err);

/* HOST:GUEST into ports. */
int qemuargs_forward(unsigned *host, unsigned *guest, const char *text, struct vmscm_error *err);

#endif
