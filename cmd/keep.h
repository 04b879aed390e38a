/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Thin checkouts that a command itself writes to: made when they are first named, gone on with later. */
#ifndef KEEP_H
#define KEEP_H

#include "cmd.h"
#include <vmscm/thin.h>

/*
 * The thin checkout of rev at dir: the one that is there, or a new one, with the service that it reads
 * through; its disks can be given to other programs. *out is the caller's. VMSCM_EREFUSED: what is there is
 * something else, or over another revision, with how to go on as the hint.
 */
int keep_open(struct vmscm_workdir **out, struct ctx *ctx, struct vmscm_revision *rev,
    const char *dir, struct vmscm_error *err);

/* Path of the file of a disk; NULL: there is no such disk. The caller's. */
char *keep_file(struct vmscm_workdir *dir, const char *disk);

#endif
