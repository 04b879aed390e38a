/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A revision's disks served over NBD by nbdkit and our plugin for it; or those of a thin checkout, which can
 * be written to, by qemu-storage-daemon.
 */
#ifndef EXPORT_H
#define EXPORT_H

#include "child.h"
#include "cmd.h"
#include <vmscm/revision.h>
#include <vmscm/thin.h>

struct export_options {
    const char *disk;       /* just this one; NULL: all */
    const char *socket;     /* path of a Unix socket; NULL: one in a directory of its own */
    unsigned port;          /* TCP instead; 0: no */
    const char *listen;     /* address for it; NULL: 127.0.0.1 */
    const char *tls;        /* directory of certificates; NULL: none */
    const char *tls_psk;    /* file of pre-shared keys; NULL: none */
    int tls_verify;         /* clients need a certificate, too */
    const char *cache_size; /* NULL: the plugin's */
    int boot;   /* it is booted from: read ahead at once by the boot trace, if there is one */
    int record; /* note what is read, for export_record */
    struct vmscm_workdir *writable; /* a thin checkout of the revision; NULL: read-only */
};

struct export;

/* Starts it and waits till it can be connected to. rev: of ctx->repo. */
int export_start(struct export **out, struct ctx *ctx, struct vmscm_revision *rev,
    const struct export_options *options, struct vmscm_error *err);
/* Ends it and removes its socket. NULL is fine. */
void export_stop(struct export *export);

/* End it, and keep what was read as the revision's boot trace. */
int export_record(struct export *export, struct vmscm_revision *rev, struct vmscm_error *err);

/* Whether it still serves; what it has to say is told. If not, VMSCM_ETOOL. */
int export_check(struct export *export, struct vmscm_error *err);

/* The URI of a disk's export, the caller's. */
char *export_uri(const struct export *export, const char *disk);
/* The Unix socket, or NULL. Borrowed. */
const char *export_socket(const struct export *export);

/* A directory for sockets and the like, private and with a short name; the caller's. NULL: err. */
char *export_private_dir(struct vmscm_error *err);

/* Our plugin, as nbdkit is told it: beside us in a build tree, where it is installed with us, or
 * wherever nbdkit looks. The caller's. */
char *export_plugin(void);

/* Make way for a socket: VMSCM_EUSAGE if its path is too long, VMSCM_EBUSY if something listens there,
 * VMSCM_EEXIST if it is no socket. One that nobody listens on any more is removed. */
int export_check_socket(const char *path, struct vmscm_error *err);

#endif
