/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What something outside the repository needs for as long as it exists, whether a process lives or not:
 * revisions that thin checkouts stand on. Garbage collection leaves these alone.
 *
 * A pin is a file in leases/, pin- and 32 hexadecimal digits, that was written whole:
 * "commit HEX" and "holder PATH", a line each. Nothing removes it but who made it, or somebody who knows
 * that its holder is gone: a directory that is not there may only be on a disk that is not.
 *
 * Threading: functions here share no state.
 */
#ifndef STORE_PIN_H
#define STORE_PIN_H

#include "base/error.h"
#include <stdbool.h>

#define VMSCM_PIN_NAME 33 /* 32 hexadecimal digits, with NUL */

struct vmscm_pin {
    const char *name;
    const char *commit; /* 40 hex digits */
    const char *holder; /* absolute path of the checkout, as it was last seen */
};

/* Whether it is a name of a pin. */
bool vmscm_pin_is_name(const char *name);

/* Durable when it returns. name: of the new pin. VMSCM_EUSAGE: a holder's path with a newline in it. */
int vmscm_pin_add(char name[VMSCM_PIN_NAME], const char *repo_dir, const char *commit,
    const char *holder, struct vmscm_error *err);

/* Its holder has been moved. VMSCM_ENOTFOUND: there is no such pin any more. */
int vmscm_pin_move(const char *repo_dir, const char *name, const char *holder,
    struct vmscm_error *err);

/* Gone is done. */
int vmscm_pin_remove(const char *repo_dir, const char *name, struct vmscm_error *err);

/* All of them; non-zero from each ends the walk and is returned. VMSCM_EDAMAGED: one cannot be read, so
 * that what is needed is not known. */
int vmscm_pin_walk(const char *repo_dir, int (*each)(void *data, const struct vmscm_pin *pin),
    void *data, struct vmscm_error *err);

#endif
