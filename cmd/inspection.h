/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Looking into a revision's disks: its disks served over NBD, and vmscm-inspect, which reads them. */
#ifndef INSPECTION_H
#define INSPECTION_H

#include "cmd.h"
#include <stdbool.h>
#include <vmscm/revision.h>

struct inspection_options {
    unsigned timeout; /* seconds; 0: the program's own limit */
    unsigned memory;  /* MiB of the appliance's; likewise */
    const char *list, *read; /* a path: the entries there, or the bytes, instead of facts */
    bool tree;               /* all files: contrib/inspect/tree.c says how */
    const char *device;      /* of these: as facts write it; NULL: the operating system's */
};

/* Whether the program that looks is there. */
bool inspection_is_installed(void);

/* What is in it, as JSON that is not checked yet; *facts is the caller's. With read and without size,
 * *facts is NULL, and the bytes are on standard output; with both, they are *facts, at most 16 MiB.
 * VMSCM_ETOOL: nothing can be inspected here; VMSCM_ENOTFOUND: the disks are not kept any more, or there is
 * no such file. */
int inspection_run(char **facts, size_t *size, struct ctx *ctx, struct vmscm_revision *rev,
    const struct inspection_options *options, struct vmscm_error *err);

/* The same as something that goes on, for who talks with the program: what it prints is its child's `out`,
 * and with tree it reads `in`. Its caller closes it, and looks now and then whether all is well. */
struct inspection;
int inspection_open(struct inspection **out, struct ctx *ctx, struct vmscm_revision *rev,
    const struct inspection_options *options, struct vmscm_error *err);
struct child *inspection_child(struct inspection *inspection);
/* *alive: false after it has ended well; that it did not is an error. */
int inspection_check(bool *alive, struct inspection *inspection, struct vmscm_error *err);
void inspection_close(struct inspection *inspection); /* NULL is fine */

#endif
