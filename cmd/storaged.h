/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qemu-storage-daemon(1) as the NBD server of a thin checkout's disks, which, unlike a revision's, can be
 * written to: it is QEMU that knows how to write to the overlays.
 */
#ifndef STORAGED_H
#define STORAGED_H

#include "export.h"
#include "qemuargs.h"

struct storaged {
    const char *socket; /* Unix socket; NULL: TCP, by the options */
    const char *dir;    /* private: for what must lie under a fixed name */
    const char *pidfile;
    const struct export_options *options;
};

/* Its arguments. machine: which disks there are. */
int storaged_args(struct qemuargs *args, const struct vmscm_machine *machine,
    const struct storaged *daemon, struct vmscm_error *err);

/* Remove what storaged_args put into `dir`. */
void storaged_clean(const char *dir);

#endif
