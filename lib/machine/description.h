/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What writers of other programs' descriptors get. Internal to the library. */
#ifndef MACHINE_DESCRIPTION_H
#define MACHINE_DESCRIPTION_H

#include <vmscm/machine.h>

struct vmscm_description {
    const struct vmscm_machine *machine;
    const char *name;         /* for a machine that has none */
    const char *const *files; /* where each disk's image is: parallel to the machine's disks */
    const char *nvram;        /* its file; NULL: none */
    const char *annotation;   /* NULL: none */
    const char *as, *is;      /* see machine/hint.h; NULL: none */
    int new_identity;         /* leave MAC addresses out, so that new ones are made */
};

#endif
