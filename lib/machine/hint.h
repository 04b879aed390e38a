/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What another program's descriptor cannot express, put beside it where that program keeps or passes over
 * what it does not know: two machines as JSON, each on one line, the one that a reader of the descriptor gets
 * to see ("as") and the one that it is ("is"). Who reads it again takes from the second what in the first is
 * still as the descriptor has it; what was changed meanwhile counts more.
 *
 * Pure; one thread at a time per machine.
 */
#ifndef MACHINE_HINT_H
#define MACHINE_HINT_H

#include "base/error.h"
#include <stddef.h>
#include <vmscm/machine.h>

#define VMSCM_HINT_MAX (256u << 10) /* bytes of each text */

/* The text for a machine, of printable characters; the caller's. What its disks' images are like is left
 * out. */
int vmscm_hint_encode(char **out, const struct vmscm_machine *machine, struct vmscm_error *err);

/* Whether the two differ in what hints tell. */
int vmscm_hint_differ(const struct vmscm_machine *is, const struct vmscm_machine *as);

/* Put the disks into the order of those whose files are named so, with their files: *sources is parallel to
 * them. VMSCM_EINPUT: they are not the same files. */
int vmscm_hint_order(struct vmscm_machine *machine, char **sources, const char *const *files,
    struct vmscm_error *err);

/* Correct what was read of a descriptor; sources (may be NULL) is parallel to its disks, and stays so. Texts
 * that are none of ours are passed over; either may be NULL. Only VMSCM_ENOMEM is an error. */
int vmscm_hint_apply(struct vmscm_machine *machine, char **sources, const char *as, const char *is,
    struct vmscm_error *err);

/* Calls each with a line for everything that a reader sees otherwise; format: its name. Disks of both are in
 * the same order. Non-zero from each ends it and is returned. */
int vmscm_hint_losses(const struct vmscm_machine *is, const struct vmscm_machine *as,
    const char *format, int (*each)(void *data, const char *text), void *data);

#endif
