/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The file system of vmscm mount, over libfuse. Of one revision it shows the files; of all, a tree:
 *
 *   MACHINE/latest                  -> revisions/ID
 *   MACHINE/tags/TAG                -> ../revisions/ID
 *   MACHINE/revisions/ID/DISK.raw, ID/config/..., ID/partitions/DISK1.raw
 *
 * A name with slashes is a directory in a directory: a machine that has others below it cannot be.
 */
#ifndef MOUNTFS_H
#define MOUNTFS_H

#include "revfs.h"
#include <stdbool.h>

struct mountfs_options {
    const char *dir;
    const char *source;  /* what /proc/mounts shows */
    const char *id;      /* of the revision; NULL: all */
    bool allow_other;    /* other users, too */
    bool partitions;     /* show them */
    bool foreground;     /* do not go on in the background */
    void (*ready)(void *data); /* called once it is there, before this process ends or goes on */
    void *data;
};

/* Mounts, and serves until it is unmounted or a signal ends it. In the background: this process ends
 * with status 0 once the mount is there, and another returns from here. */
int mountfs_run(struct revfs *fs, const struct mountfs_options *options, struct vmscm_error *err);

#endif
