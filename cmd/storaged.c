/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "storaged.h"

#include "keep.h"
#include "memory.h"
#include "report.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEYS "keys.psk" /* the name that QEMU wants for it, in a directory */

static char *escaped(char *own)
{
    char *text = qemuargs_escape(own);

    free(own);
    return text;
}

static int add_tls(struct qemuargs *args, const struct storaged *daemon, struct vmscm_error *err)
{
    const struct export_options *o = daemon->options;
    char *dir, *keys, *full;
    int rc = 0;

    if (!o->tls && !o->tls_psk)
        return 0;
    dir = qemuargs_escape(o->tls ? o->tls : daemon->dir);
    qemuargs_add(args, "--object");
    qemuargs_add(args, "tls-creds-%s,id=tls,endpoint=server,verify-peer=%s,dir=%s",
        o->tls ? "x509" : "psk", !o->tls || o->tls_verify ? "on" : "off", dir);
    free(dir);
    if (o->tls)
        return 0;
    full = realpath(o->tls_psk, NULL);
    keys = memory_printf("%s/" KEYS, daemon->dir);
    if (!full || symlink(full, keys) < 0)
        rc = report_set(err, VMSCM_EIO, "%s: %s", o->tls_psk, strerror(errno));
    free(keys);
    free(full);
    return rc;
}

static void add_server(struct qemuargs *args, const struct storaged *daemon)
{
    const struct export_options *o = daemon->options;
    const char *tls = o->tls || o->tls_psk ? ",tls-creds=tls" : "";
    char *where = qemuargs_escape(daemon->socket ? daemon->socket
            : o->listen                          ? o->listen
                                                 : "127.0.0.1");

    qemuargs_add(args, "--nbd-server");
    if (daemon->socket)
        qemuargs_add(args, "addr.type=unix,addr.path=%s,max-connections=0%s", where, tls);
    else
        qemuargs_add(args, "addr.type=inet,addr.host=%s,addr.port=%u,max-connections=0%s", where,
            o->port, tls);
    free(where);
}

static int add_disk(struct qemuargs *args, const char *id, bool only, size_t n,
    const struct storaged *daemon, struct vmscm_error *err)
{
    char *path = keep_file(daemon->options->writable, id), *name = qemuargs_escape(id);

    if (!path) {
        free(name);
        return report_set(err, VMSCM_ENOTFOUND, "%s: has no disk %s",
            vmscm_workdir_path(daemon->options->writable), id);
    }
    path = escaped(path);
    qemuargs_add(args, "--blockdev");
    qemuargs_add(args, "driver=qcow2,node-name=disk%zu,discard=unmap,file.driver=file,file.filename=%s",
        n, path);
    qemuargs_add(args, "--export");
    qemuargs_add(args, "type=nbd,id=export%zu,node-name=disk%zu,writable=on,name=%s", n, n, name);
    if (only) {
        qemuargs_add(args, "--export");
        qemuargs_add(args, "type=nbd,id=default,node-name=disk%zu,writable=on,name=", n);
    }
    free(path);
    free(name);
    return 0;
}

int storaged_args(struct qemuargs *args, const struct vmscm_machine *machine,
    const struct storaged *daemon, struct vmscm_error *err)
{
    const char *only = daemon->options->disk;
    int rc = 0;

    qemuargs_add(args, "qemu-storage-daemon");
    if ((rc = add_tls(args, daemon, err)))
        return rc;
    add_server(args, daemon);
    for (size_t i = 0; i < machine->disk_count && !rc; i++)
        if (!only || strcmp(only, machine->disks[i].id) == 0)
            rc = add_disk(args, machine->disks[i].id, only || machine->disk_count == 1, i, daemon,
                err);
    /* Written once it listens. */
    qemuargs_add(args, "--pidfile");
    qemuargs_add(args, "%s", daemon->pidfile);
    return rc;
}

void storaged_clean(const char *dir)
{
    char *keys = memory_printf("%s/" KEYS, dir);

    unlink(keys);
    free(keys);
}
